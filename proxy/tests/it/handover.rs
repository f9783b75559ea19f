//! One proxy takes over from another on sockets that neither of them holds: no request is lost on
//! the way.

use crate::support::{
    Answer, Authority, Backend, NameServer, PKCS_ECDSA_P256_SHA256, ProxyBuilder, RawClient,
    Signal, TestListener, TestProxy, WireError, ok, tls_kit, until, wait_until,
};
use socket2::{SockFilter, SockRef};
use std::io::Write;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

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
        wait_until("more answers", || {
            let lost_heart = self.clients.iter().any(thread::JoinHandle::is_finished);
            lost_heart || self.answered.load(Ordering::SeqCst) >= wanted
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

/// Starts a proxy on the listener's sockets and waits until it accepts.
fn start(listener: &TestListener, upstream: impl ToString, names: &NameServer) -> TestProxy {
    start_with(listener, TestProxy::builder(upstream), names)
}

fn start_with(listener: &TestListener, builder: ProxyBuilder, names: &NameServer) -> TestProxy {
    let proxy = builder
        .asking(names)
        .listening_from(listener)
        .set("WORKERS", 2)
        .set("DRAIN_TIMEOUT", "30s")
        .start_alive();
    wait_until("the proxy to be healthy", || {
        proxy.admin_get("/healthz").status == 200
    });
    proxy
}

#[test]
fn a_successor_takes_over_and_no_request_is_lost() {
    let backend = Backend::answering(|_| ok("served"));
    // A proxy that accepted before it had the answer would send 503s meanwhile.
    let addresses = vec![backend.address().ip()];
    let names = NameServer::start(Answer::Late(Duration::from_millis(200), addresses));
    let upstream = format!("flask-app:{}", backend.address().port());
    // More sockets than workers, as many, and fewer.
    for count in [3, 2, 1] {
        let listener = TestListener::start(count);
        let mut proxy = start(&listener, &upstream, &names);
        let load = Load::start(listener.address);
        for _ in 0..2 {
            let successor = start(&listener, &upstream, &names);
            load.go_on(100);
            proxy.signal(Signal::TERM);
            assert_eq!(proxy.ended().code(), Some(0));
            load.go_on(100);
            proxy = successor;
        }
        // And with nobody there in between: clients wait.
        proxy.signal(Signal::TERM);
        assert_eq!(proxy.ended().code(), Some(0));
        let _proxy = start(&listener, &upstream, &names);
        load.go_on(100);
        let answered = load.end();
        assert!(answered > 500, "{answered}");
    }
}

/// The same over TLS, on the listener's other sockets; and sessions go on with the successor.
#[test]
fn a_successor_takes_tls_over_and_no_request_is_lost() {
    let directory = TempDir::new().unwrap();
    let path = directory.path();
    let authority = Authority::new();
    authority.write(path, "a", &["example.test"], &PKCS_ECDSA_P256_SHA256);
    std::fs::write(path.join("keys"), "0123456789abcdef").unwrap();
    let backend = Backend::answering(|_| ok("served"));
    let names = NameServer::start(Answer::Addresses(vec![backend.address().ip()]));
    for count in [3, 1] {
        let listener = TestListener::start(count);
        tls_kit::speak_at(listener.tls_address, Arc::new(authority.client()));
        let start = || {
            let builder = TestProxy::builder(format!("flask-app:{}", backend.address().port()))
                .set("TLS_LISTEN", listener.tls_address)
                .set("TLS_CERTIFICATES", path.display())
                .set("TLS_TICKET_KEY_FILE", path.join("keys").display());
            start_with(&listener, builder, &names)
        };
        let mut proxy = start();
        let load = Load::start(listener.tls_address);
        let plain = Load::start(listener.address);
        for _ in 0..2 {
            let successor = start();
            load.go_on(50);
            proxy.signal(Signal::TERM);
            assert_eq!(proxy.ended().code(), Some(0));
            load.go_on(50);
            plain.go_on(50);
            let resumed = ["version=\"1.3\"", "resumed=\"yes\""];
            assert!(successor.metric("proxy_tls_handshakes_total", &resumed) > 0);
            proxy = successor;
        }
        proxy.signal(Signal::TERM);
        assert_eq!(proxy.ended().code(), Some(0));
        let _proxy = start();
        load.go_on(50);
        load.end();
        plain.end();
    }
}

#[test]
fn it_starts_without_the_listener_and_follows_it() {
    let backend = Backend::answering(|_| ok("served"));
    let mut listener = TestListener::absent(2);
    let proxy = TestProxy::builder(backend.address())
        .listening_from(&listener)
        .start_alive();
    for path in ["/healthz", "/readyz"] {
        // Whoever looks at the health check is told what is missing.
        let missing = format!(
            "no listening sockets: PROXY_LISTEN_FROM = {}: No such file or directory (os error 2)\n",
            listener.socket().display()
        );
        wait_until("the reason", || {
            let answer = proxy.admin_get(path);
            assert_eq!(answer.status, 503);
            answer.text() == missing
        });
    }
    for _ in 0..3 {
        listener.run();
        wait_until("the proxy to be ready", || {
            proxy.admin_get("/readyz").status == 200
        });
        // On every socket: each connection is hashed to one of them.
        for _ in 0..16 {
            assert_eq!(RawClient::connect(listener.address).get("/").status, 200);
        }
        let files = proxy.open_files();
        listener.kill();
        wait_until("the proxy to see the end", || {
            proxy.admin_get("/readyz").status == 503
        });
        assert!(proxy.open_files() <= files, "sockets of the past are kept");
    }
}

/// What can't be accepted on is refused rather than taken for sockets.
#[test]
fn what_is_no_listener_is_asked_again() {
    let backend = Backend::answering(|_| ok("served"));
    let mut listener = TestListener::absent(1);
    let mute = UnixListener::bind(listener.socket()).unwrap();
    let answering = std::thread::spawn(move || {
        let (mut stream, _) = mute.accept().unwrap();
        stream.write_all(b"L").unwrap();
    });
    let proxy = TestProxy::builder(backend.address())
        .listening_from(&listener)
        .start_alive();
    answering.join().unwrap();
    wait_until("the refusal in the log", || {
        proxy.log().contains("nothing was handed over")
    });
    assert_eq!(proxy.admin_get("/healthz").status, 503);
    listener.run();
    wait_until("the proxy to be ready", || {
        proxy.admin_get("/readyz").status == 200
    });
    assert_eq!(RawClient::connect(listener.address).get("/").status, 200);
}

/// Code in one proxy can break the sockets of all. It does so once more with those that come after.
#[test]
fn it_serves_again_after_somebody_has_shut_the_sockets_down() {
    let backend = Backend::answering(|_| ok("served"));
    let listener = TestListener::start(2);
    let proxy = TestProxy::builder(backend.address())
        .listening_from(&listener)
        .set("WORKERS", 2)
        .start();
    for _ in 0..2 {
        assert_eq!(RawClient::connect(listener.address).get("/").status, 200);
        let files = proxy.open_files();
        for socket in listener.take_sockets() {
            SockRef::from(&socket).shutdown(Shutdown::Both).unwrap();
        }
        until("clients to be let in again", || {
            TcpStream::connect(listener.address).ok()
        });
        for _ in 0..16 {
            assert_eq!(RawClient::connect(listener.address).get("/").status, 200);
        }
        assert_eq!(proxy.admin_get("/readyz").status, 200);
        wait_until("the broken ones to be closed", || {
            proxy.open_files() <= files
        });
    }
}

/// Clients that come meanwhile wait until TCP tries again.
#[test]
fn a_filter_on_the_sockets_costs_time_and_no_request() {
    let backend = Backend::answering(|_| ok("served"));
    let listener = TestListener::start(2);
    let _proxy = TestProxy::builder(backend.address())
        .listening_from(&listener)
        .set("WORKERS", 2)
        .start();
    let load = Load::start(listener.address);
    load.go_on(100);
    // "Return 0": nothing of a packet is kept.
    let drop_all = [SockFilter::new(6, 0, 0, 0)];
    for socket in listener.take_sockets() {
        SockRef::from(&socket).attach_filter(&drop_all).unwrap();
    }
    load.go_on(100);
    load.end();
}
