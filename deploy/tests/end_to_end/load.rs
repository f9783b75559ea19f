//! Load that is counted: clients that send one request after the other while something is done to
//! the stack. In the end each request was answered 200, and each answer is a document.

use std::{
    io,
    net::TcpStream,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use testkit::http::{Framing, Response, Wire};

use crate::stack::Stack;

/// Clients with a connection for each request; beside them is one that keeps its own, and never leaves it
/// idle: an idle one may be closed at any time (RFC 9112 §9.3.1).
const CLIENTS: usize = 4;

/// Before each of their connections, which leaves the machine to what is done to the stack.
const PAUSE: Duration = Duration::from_millis(60);

/// How many answers show that all clients go on.
const SOME: usize = 100;

/// Longest wait for one answer, and for progress.
const PATIENCE: Duration = Duration::from_secs(60);

/// The clients of one test, until it ends them.
pub(crate) struct Load {
    /// What they ask for, by which their documents are known.
    url: String,
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

/// What the clients have in common.
struct Shared {
    port: u16,
    /// The URL's path and query.
    target: String,
    done: AtomicBool,
    outcomes: Mutex<Outcomes>,
}

/// What became of the requests.
#[derive(Default)]
struct Outcomes {
    /// The ids in the answers of status 200.
    ids: Vec<String>,
    /// Everything else.
    failures: Vec<String>,
}

impl Load {
    /// Starts the clients, under a name that no other load on this stack has.
    pub(crate) fn start(stack: &Stack, name: &str) -> Self {
        let target = format!("/?load={name}");
        let shared = Arc::new(Shared {
            port: stack.port(),
            target: target.clone(),
            done: AtomicBool::new(false),
            outcomes: Mutex::default(),
        });
        let clients = (0..=CLIENTS)
            .map(|number| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || shared.send_until_done(number == CLIENTS))
            })
            .collect();
        let load = Self {
            url: stack.url() + &target,
            shared,
            clients,
        };
        load.go_on();
        load
    }

    /// Waits until it is seen to go on.
    pub(crate) fn go_on(&self) {
        let wanted = self.shared.outcomes().ids.len() + SOME;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let outcomes = self.shared.outcomes();
            if outcomes.ids.len() >= wanted {
                return;
            }
            let failures = &outcomes.failures;
            assert!(Instant::now() < deadline, "no progress: {failures:?}");
            drop(outcomes);
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends it: none has failed, and the database has what was answered, once each, and no more.
    #[expect(clippy::print_stdout, reason = "it is shown with the test's result")]
    pub(crate) fn end(self, stack: &Stack) {
        self.go_on();
        self.shared.done.store(true, Ordering::SeqCst);
        for client in self.clients {
            client.join().unwrap();
        }
        let mut outcomes = self.shared.outcomes();
        let count = outcomes.ids.len();
        println!("{}: {count} requests answered 200", self.url);
        let failed = outcomes.failures.len();
        assert!(
            failed == 0,
            "{failed} failures beside {count} answers, the first: {:?}",
            outcomes.failures.first()
        );
        outcomes.ids.sort();
        let stored = stack.stored_ids(&self.url);
        assert!(
            outcomes.ids == stored,
            "{count} answers, {} documents",
            stored.len()
        );
    }
}

impl Shared {
    fn outcomes(&self) -> MutexGuard<'_, Outcomes> {
        self.outcomes.lock().unwrap()
    }

    fn send_until_done(&self, keep: bool) {
        while !self.done.load(Ordering::SeqCst) {
            if !keep {
                thread::sleep(PAUSE);
            }
            if let Err(error) = self.use_up_a_connection(keep) {
                self.outcomes().failures.push(error.to_string());
            }
        }
    }

    /// Sends requests until the answer says that it was the connection's last.
    fn use_up_a_connection(&self, keep: bool) -> io::Result<()> {
        let mut connection = Wire::new(TcpStream::connect(("127.0.0.1", self.port))?);
        connection.stream().set_read_timeout(Some(PATIENCE))?;
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: {}\r\n\r\n",
            self.target,
            self.port,
            if keep { "keep-alive" } else { "close" }
        );
        while !self.done.load(Ordering::SeqCst) {
            connection.try_send(&request)?;
            let answer = connection.response("GET");
            let answer = answer.map_err(|error| io::Error::other(format!("{error:?}")))?;
            let id = id_in(&answer).ok_or_else(|| io::Error::other(format!("{answer:?}")))?;
            self.outcomes().ids.push(id);
            if answer.head.get("connection") == Some("close") {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// The id under which the request is stored, if it says so: the proxy's, which the API believes
/// because it knows the proxy's token.
fn id_in(answer: &Response) -> Option<String> {
    let body = answer.text();
    let id = body.strip_prefix("Request information stored successfully: ")?;
    let id = id.trim_end();
    let told = answer.head.get("x-request-id") == Some(id) && answer.framing == Framing::Length;
    (answer.status == 200 && told).then(|| id.to_owned())
}
