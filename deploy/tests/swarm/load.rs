//! Load that is counted: a bounded number of requests a second, over all nodes, none of which may fail.

use std::io;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use testkit::http::Wire;
use testkit::wait::wait_within;

/// Clients for each node: one keeps its connection, the other doesn't.
const CLIENTS: usize = 2;
/// Between two requests of one client.
const PAUSE: Duration = Duration::from_millis(60);
/// Longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// So many answers show that the clients go on.
const SOME: usize = 50;

pub(crate) struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

struct Shared {
    name: &'static str,
    done: AtomicBool,
    answered: AtomicUsize,
    failures: Mutex<Vec<String>>,
}

impl Load {
    /// Starts the clients, under a name that no other load has.
    pub(crate) fn start(nodes: &[String], name: &'static str) -> Self {
        let shared = Arc::new(Shared {
            name,
            done: AtomicBool::new(false),
            answered: AtomicUsize::new(0),
            failures: Mutex::default(),
        });
        let mut clients = Vec::new();
        for node in nodes {
            for number in 0..CLIENTS {
                let (shared, node) = (Arc::clone(&shared), node.clone());
                clients.push(thread::spawn(move || {
                    shared.send_until_done(&node, number > 0);
                }));
            }
        }
        let load = Self { shared, clients };
        load.go_on();
        load
    }

    fn go_on(&self) {
        let wanted = self.shared.answered.load(Ordering::SeqCst) + SOME;
        wait_within(PATIENCE, "answers", || {
            self.shared.answered.load(Ordering::SeqCst) >= wanted
        });
    }

    /// Ends it: none has failed. Returns how many were answered 200.
    #[expect(clippy::print_stdout, reason = "it is shown with the test's result")]
    pub(crate) fn end(self) -> usize {
        self.go_on();
        self.shared.done.store(true, Ordering::SeqCst);
        for client in self.clients {
            client.join().unwrap();
        }
        let answered = self.shared.answered.load(Ordering::SeqCst);
        let failures = self.shared.failures.lock().unwrap();
        println!(
            "{}: {answered} requests answered 200, {} failed",
            self.shared.name,
            failures.len()
        );
        assert!(failures.is_empty(), "the first: {:?}", failures.first());
        answered
    }
}

impl Shared {
    fn send_until_done(&self, node: &str, keep: bool) {
        while !self.done.load(Ordering::SeqCst) {
            if let Err(error) = self.use_up_a_connection(node, keep) {
                self.failures
                    .lock()
                    .unwrap()
                    .push(format!("{node}: {error}"));
            }
        }
    }

    /// Sends requests until the answer says that it was the connection's last.
    fn use_up_a_connection(&self, node: &str, keep: bool) -> io::Result<()> {
        let mut connection = Wire::new(TcpStream::connect((node, 8080))?);
        connection.stream().set_read_timeout(Some(PATIENCE))?;
        let request = format!(
            "GET /?load={} HTTP/1.1\r\nHost: {node}\r\nConnection: {}\r\n\r\n",
            self.name,
            if keep { "keep-alive" } else { "close" }
        );
        while !self.done.load(Ordering::SeqCst) {
            connection.try_send(&request)?;
            let answer = connection.response("GET");
            let answer = answer.map_err(|error| io::Error::other(format!("{error:?}")))?;
            if answer.status != 200 {
                return Err(io::Error::other(format!("{answer:?}")));
            }
            self.answered.fetch_add(1, Ordering::SeqCst);
            thread::sleep(PAUSE);
            if answer.head.get("connection") == Some("close") {
                return Ok(());
            }
        }
        Ok(())
    }
}
