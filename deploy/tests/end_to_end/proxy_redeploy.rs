//! The proxy is replaced, and then gone for a moment, while clients send all the time: each of their
//! requests is answered 200. About ten seconds on top of the deploy.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::stack::{PROJECT, Stack, run};

/// Clients with a connection for each request, and as many that keep theirs.
const CLIENTS: usize = 4;
/// Longest wait for one answer, and for progress.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn no_request_fails_while_the_proxy_is_replaced() {
    let stack = Stack::fresh_checkout();
    stack.make(&["deploy"]);
    let id = |service: &str| {
        let name = format!("{PROJECT}-{service}-1");
        stack.docker(&["inspect", "--format", "{{.Id}}", &name])
    };
    let before = (id("listener"), stack.container_ids());

    let load = Load::start(stack.port());
    load.go_on(100);
    // A changed setting of the proxy, and of nothing else.
    let log = run(stack
        .deploy_command()
        .arg("up")
        .env("PROXY_ACCESS_LOG", "off"));
    load.go_on(100);
    let after = stack.container_ids();
    assert_eq!(before.0, id("listener"), "{log}");
    let kept = after.lines().filter(|id| before.1.contains(*id)).count();
    assert_eq!((kept, after.lines().count()), (3, 4), "{log}");

    // Nobody accepts for a moment: connections wait in the listener's queue.
    let proxy = stack.docker(&[
        "ps",
        "--quiet",
        "--filter",
        "label=com.docker.compose.service=proxy",
    ]);
    stack.docker(&["restart", proxy.trim()]);
    load.go_on(100);
    let (answered, failures) = load.end();
    assert_eq!(failures, Vec::<String>::new(), "beside {answered} answers");
    stack.deploy(&["down", "--volumes"]);
}

/// Clients that send one request after the other.
struct Load {
    answered: Arc<AtomicUsize>,
    failures: Arc<Mutex<Vec<String>>>,
    done: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(port: u16) -> Self {
        let answered = Arc::<AtomicUsize>::default();
        let failures = Arc::<Mutex<Vec<String>>>::default();
        let done = Arc::<AtomicBool>::default();
        let clients = (0..2 * CLIENTS)
            .map(|number| {
                let (answered, failures) = (Arc::clone(&answered), Arc::clone(&failures));
                let done = Arc::clone(&done);
                thread::spawn(move || {
                    while !done.load(Ordering::SeqCst) {
                        let keep = number >= CLIENTS;
                        if let Err(error) = use_up_a_connection(port, keep, &answered, &done) {
                            failures.lock().unwrap().push(error.to_string());
                        }
                    }
                })
            })
            .collect();
        Self {
            answered,
            failures,
            done,
            clients,
        }
    }

    /// Waits for so many more answers.
    fn go_on(&self, more: usize) {
        let wanted = self.answered.load(Ordering::SeqCst) + more;
        let deadline = Instant::now() + PATIENCE;
        while self.answered.load(Ordering::SeqCst) < wanted {
            let failures = self.failures.lock().unwrap();
            assert!(Instant::now() < deadline, "no progress: {failures:?}");
            drop(failures);
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends it: how many requests were answered, and what became of the others.
    fn end(self) -> (usize, Vec<String>) {
        self.done.store(true, Ordering::SeqCst);
        for client in self.clients {
            client.join().unwrap();
        }
        let failures = self.failures.lock().unwrap().clone();
        (self.answered.load(Ordering::SeqCst), failures)
    }
}

/// Sends requests until the answer says that it was the connection's last.
fn use_up_a_connection(
    port: u16,
    keep: bool,
    answered: &AtomicUsize,
    done: &AtomicBool,
) -> io::Result<()> {
    let mut stream = BufReader::new(TcpStream::connect(("127.0.0.1", port))?);
    stream.get_ref().set_read_timeout(Some(PATIENCE))?;
    let connection = if keep { "keep-alive" } else { "close" };
    while !done.load(Ordering::SeqCst) {
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: {connection}\r\n\r\n");
        stream.get_mut().write_all(request.as_bytes())?;
        let (status, last) = answer(&mut stream)?;
        if status != "200" {
            return Err(io::Error::other(format!("status {status}")));
        }
        answered.fetch_add(1, Ordering::SeqCst);
        if last {
            return Ok(());
        }
    }
    Ok(())
}

/// Reads one answer: its status, and whether the connection ends with it.
fn answer(stream: &mut BufReader<TcpStream>) -> io::Result<(String, bool)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head)? == 0 {
            return Err(io::Error::other(format!(
                "the connection ended after {head:?}"
            )));
        }
    }
    let head = head.to_ascii_lowercase();
    let field = |name: &str| {
        let mut lines = head.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    };
    let length = field("content-length").and_then(|it| it.parse().ok());
    let mut body = vec![0; length.ok_or_else(|| io::Error::other(format!("no length: {head}")))?];
    stream.read_exact(&mut body)?;
    let status = head.split(' ').nth(1).unwrap_or_default().to_owned();
    Ok((status, field("connection") == Some("close")))
}
