//! One proxy takes over from another on the same addresses: no request is lost on the way.

use crate::support::{
    Answer, Backend, NameServer, RawClient, TestProxy, WireError, free_address, in_own_network, ok,
    run_proxy, until,
};
use nix::sys::signal::Signal;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// A connection that waits for a request is kept for a second when its proxy drains. A client that
/// is slower, on a busy machine, can't complain of the close.
const PROMPT: Duration = Duration::from_millis(500);

/// Clients that send all the time, each answer a 200.
struct Load {
    answered: Arc<AtomicUsize>,
    done: Arc<AtomicBool>,
    clients: Vec<thread::JoinHandle<()>>,
}

impl Load {
    fn start(address: SocketAddr) -> Self {
        let (answered, done) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let clients = (0..6)
            .map(|number| {
                let (answered, done) = (Arc::clone(&answered), Arc::clone(&done));
                let lines = if number % 3 == 0 {
                    ""
                } else {
                    "Connection: close\r\n"
                };
                thread::spawn(move || {
                    while !done.load(Ordering::SeqCst) {
                        use_up_a_connection(address, lines, &answered, &done);
                    }
                })
            })
            .collect();
        Self {
            answered,
            done,
            clients,
        }
    }

    /// Waits for so many more answers.
    fn go_on(&self, more: usize) {
        let wanted = self.answered.load(Ordering::SeqCst) + more;
        until("more answers", || {
            let lost_heart = self.clients.iter().any(thread::JoinHandle::is_finished);
            (lost_heart || self.answered.load(Ordering::SeqCst) >= wanted).then_some(())
        });
    }

    fn end(self) -> usize {
        self.done.store(true, Ordering::SeqCst);
        for client in self.clients {
            client.join().expect("no request fails");
        }
        self.answered.load(Ordering::SeqCst)
    }
}

/// Sends one request after the other until the proxy says that this was the last.
fn use_up_a_connection(
    address: SocketAddr,
    lines: &str,
    answered: &AtomicUsize,
    done: &AtomicBool,
) {
    let mut idle_since = Instant::now();
    let mut client = RawClient::connect(address);
    while !done.load(Ordering::SeqCst) {
        let sent = client.try_send(format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n"));
        let late = idle_since.elapsed() > PROMPT;
        let response = match client.response("GET") {
            Err(WireError::Closed | WireError::Truncated(_)) if late => return,
            response => response.unwrap_or_else(|error| panic!("{error:?} after {sent:?}")),
        };
        assert_eq!(response.status, 200, "{}", response.text());
        answered.fetch_add(1, Ordering::SeqCst);
        if response.head.get("connection") == Some("close") {
            return;
        }
        idle_since = Instant::now();
    }
}

fn is_ready(socket: &Path) -> bool {
    let environment = [("PROXY_ADMIN_SOCKET", socket.to_str().unwrap())];
    let output = run_proxy(&["healthcheck", "--ready"], &environment);
    output.status.code() == Some(0)
}

#[test]
fn a_successor_takes_over_and_no_request_is_lost() {
    in_own_network(|| {
        // As in the deployed stack: without it a connection that comes between the last look at a
        // listener's queue and its close would be reset.
        std::fs::write("/proc/sys/net/ipv4/tcp_migrate_req", "1").unwrap();
        let backend = Backend::answering(|_| ok("served"));
        // A proxy that listened before it had the answer would send 503s meanwhile.
        let addresses = vec![backend.address().ip()];
        let names = NameServer::start(Answer::Late(Duration::from_millis(200), addresses));
        let (address, admin) = (free_address(), free_address());
        let sockets = tempfile::tempdir().unwrap();
        let start = |number: usize| {
            let socket = sockets.path().join(number.to_string());
            let proxy = TestProxy::builder(format!("flask-app:{}", backend.address().port()))
                .asking(&names)
                .listening_on(address)
                .admin_on(admin)
                .set("ADMIN_SOCKET", socket.display())
                .set("WORKERS", 2)
                .set("DRAIN_TIMEOUT", "30s")
                .start_alive();
            until("the proxy to be ready", || is_ready(&socket).then_some(()));
            proxy
        };
        let mut proxy = start(0);
        let load = Load::start(address);
        for number in 1..=4 {
            let successor = start(number);
            load.go_on(100);
            proxy.signal(Signal::SIGTERM);
            assert_eq!(proxy.wait().code(), Some(0));
            load.go_on(100);
            proxy = successor;
        }
        let answered = load.end();
        assert!(answered > 800, "{answered}");
    });
}
