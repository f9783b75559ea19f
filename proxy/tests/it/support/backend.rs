//! A backend that keeps every byte it receives and answers what the test scripts.

use socket2::{Domain, SockRef, Socket, Type};
use std::collections::HashMap;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::ops::{Deref, DerefMut};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use testkit::http::{Request, Wire, WireError, ok};
use testkit::net::{cut_off, free_address};
use testkit::wait::{until, wait_until};

/// A server on loopback with one thread per connection; it ends with the value.
pub(crate) struct Backend {
    address: SocketAddr,
    listener: Arc<TcpListener>,
    record: Arc<Record>,
}

#[derive(Default)]
struct Record {
    /// Whole requests, in the order in which they were complete.
    requests: Mutex<Vec<Request>>,
    /// What each connection has received, in the order in which they were accepted.
    received: Mutex<Vec<Arc<Mutex<Vec<u8>>>>>,
    /// The open connections by number, to close them with the backend.
    streams: Mutex<HashMap<usize, TcpStream>>,
}

/// One connection to a backend, as its script sees it.
pub(crate) struct BackendConnection {
    wire: Wire,
    record: Arc<Record>,
    /// Whether to end with RST instead of FIN.
    reset: bool,
}

impl Backend {
    /// Runs `script` on every connection; the connection is closed when it returns.
    pub(crate) fn start(script: impl Fn(&mut BackendConnection) + Send + Sync + 'static) -> Self {
        Self::start_at(free_address(), script)
    }

    /// The same on a chosen address.
    pub(crate) fn start_at(
        address: SocketAddr,
        script: impl Fn(&mut BackendConnection) + Send + Sync + 'static,
    ) -> Self {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
        socket.set_reuse_address(true).unwrap();
        socket.bind(&address.into()).unwrap();
        socket.listen(1024).unwrap();
        let listener = Arc::new(TcpListener::from(socket));
        let record = Arc::new(Record::default());

        let script = Arc::new(script);
        let (accepting, kept) = (Arc::clone(&listener), Arc::clone(&record));
        thread::spawn(move || {
            let mut number = 0;
            while let Ok((stream, _)) = accepting.accept() {
                number += 1;
                let received = Arc::default();
                kept.received.lock().unwrap().push(Arc::clone(&received));
                kept.streams
                    .lock()
                    .unwrap()
                    .insert(number, stream.try_clone().unwrap());
                let wire = Wire::new(stream).tapped(received);
                let record = Arc::clone(&kept);
                let mut connection = BackendConnection {
                    wire,
                    record,
                    reset: false,
                };
                let script = Arc::clone(&script);
                thread::spawn(move || {
                    script(&mut connection);
                    connection.end(number);
                });
            }
        });
        Self {
            address,
            listener,
            record,
        }
    }

    /// Answers every request with what `answer` makes of it, on kept-alive connections.
    pub(crate) fn answering(answer: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::answering_at(free_address(), answer)
    }

    /// The same on a chosen address.
    pub(crate) fn answering_at(
        address: SocketAddr,
        answer: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        Self::start_at(address, move |connection| {
            while let Ok(request) = connection.request() {
                if connection.try_send(answer(&request)).is_err() {
                    break;
                }
            }
        })
    }

    /// Answers each request once it is told to, or when the sender is dropped.
    pub(crate) fn held_at(address: SocketAddr, body: &'static str) -> (Self, Sender<()>) {
        let (answer, answers) = channel();
        let answers = Mutex::new(answers);
        let backend = Self::answering_at(address, move |_| {
            answers.lock().unwrap().recv().ok();
            ok(body)
        });
        (backend, answer)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every whole request so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.record.requests.lock().unwrap().clone()
    }

    /// The only request so far.
    #[track_caller]
    pub(crate) fn only_request(&self) -> Request {
        let mut requests = self.requests();
        assert_eq!(requests.len(), 1, "one request expected: {requests:#?}");
        requests.remove(0)
    }

    /// The targets of every whole request so far.
    pub(crate) fn targets(&self) -> Vec<String> {
        self.requests()
            .into_iter()
            .map(|request| request.target)
            .collect()
    }

    /// What each connection has received so far; those that got nothing are left out, since a
    /// proxy may open one only to see whether somebody answers.
    pub(crate) fn received(&self) -> Vec<Vec<u8>> {
        let received = self.record.received.lock().unwrap();
        let bytes = received.iter().map(|bytes| bytes.lock().unwrap().clone());
        bytes.filter(|bytes| !bytes.is_empty()).collect()
    }

    /// How many connections have carried at least a byte.
    pub(crate) fn connections(&self) -> usize {
        self.received().len()
    }

    /// Waits until `count` whole requests have come.
    #[track_caller]
    pub(crate) fn wait_for_requests(&self, count: usize) -> Vec<Request> {
        until(&format!("{count} requests at the backend"), || {
            Some(self.requests()).filter(|requests| requests.len() >= count)
        })
    }

    /// How many connections are open.
    pub(crate) fn open_connections(&self) -> usize {
        self.record.streams.lock().unwrap().len()
    }

    /// Waits until `count` connections have carried at least a byte.
    #[track_caller]
    pub(crate) fn wait_for_connections(&self, count: usize) {
        let what = format!("{count} connections at the backend");
        wait_until(&what, || self.connections() >= count);
    }

    /// Cuts it off, as if its machine were: nothing gets to it any more, and no packet says so.
    pub(crate) fn vanish(&self) {
        cut_off(&self.listener);
        for stream in self.record.streams.lock().unwrap().values() {
            cut_off(stream);
        }
    }

    /// Stops listening and closes every connection, as a stopped process does.
    pub(crate) fn stop(self) {
        drop(self);
    }

    /// Closes every connection but keeps listening.
    pub(crate) fn close_connections(&self) {
        for stream in self.record.streams.lock().unwrap().values() {
            let _already_gone = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        // Wakes the accepting thread, which then ends.
        let _already_gone = SockRef::from(&*self.listener).shutdown(Shutdown::Both);
        self.close_connections();
    }
}

impl BackendConnection {
    /// Reads one whole request and keeps it in the backend's record.
    pub(crate) fn request(&mut self) -> Result<Request, WireError> {
        let request = self.wire.request()?;
        self.record.requests.lock().unwrap().push(request.clone());
        Ok(request)
    }

    /// Has the connection end with RST instead of FIN when the script returns.
    pub(crate) fn reset_at_end(&mut self) {
        self.reset = true;
    }

    fn end(self, number: usize) {
        let other_handle = self.record.streams.lock().unwrap().remove(&number);
        if self.reset {
            drop(other_handle);
            self.wire.reset_on_drop();
        }
    }
}

impl Deref for BackendConnection {
    type Target = Wire;

    fn deref(&self) -> &Wire {
        &self.wire
    }
}

impl DerefMut for BackendConnection {
    fn deref_mut(&mut self) -> &mut Wire {
        &mut self.wire
    }
}
