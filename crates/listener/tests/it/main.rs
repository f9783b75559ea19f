//! What the listener promises, asked of the real binary: sockets that others accept on.
#![allow(clippy::unwrap_used)]

mod broken;

use std::{
    collections::HashSet,
    ffi::OsStr,
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::{ffi::OsStrExt, fs::PermissionsExt, net::UnixStream},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::Instant,
};

use tempfile::TempDir;
use testkit::{
    net::{free_address, handed_over},
    process::{Process, Signal, assert_refused, help_of},
    wait::{PATIENCE, until, wait_until},
};

const BINARY: &str = env!("CARGO_BIN_EXE_listener");

/// A running listener.
struct Listener {
    process: Process,
    address: SocketAddr,
    socket: PathBuf,
}

impl Listener {
    fn start(directory: &TempDir, address: SocketAddr, count: usize) -> Self {
        let socket = directory.path().join("listen.sock");
        let mut command = command(address, &socket);
        let process = Process::start(command.env("LISTENER_COUNT", count.to_string()));
        wait_until_healthy(&socket);
        Self {
            process,
            address,
            socket,
        }
    }
}

fn wait_until_healthy(socket: &Path) {
    wait_until("the listener is healthy", || {
        healthcheck(socket).status.success()
    });
}

fn command(address: SocketAddr, socket: &Path) -> Command {
    let mut command = Command::new(BINARY);
    command
        .env_clear()
        .env("LISTENER_LISTEN", address.to_string())
        .env("LISTENER_SOCKET", socket)
        .stdin(Stdio::null());
    command
}

fn healthcheck(socket: &Path) -> Output {
    let mut command = command(free_address(), socket);
    command.arg("healthcheck").output().unwrap()
}

/// Asks for the sockets as a proxy does; the connection goes with them.
fn receive(path: &Path) -> (UnixStream, Vec<TcpListener>) {
    let connection = UnixStream::connect(path).unwrap();
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    let sockets = handed_over(&connection);
    (connection, sockets)
}

/// Accepts one of `clients` from whichever socket has one.
fn accept(sockets: &[TcpListener], clients: &[TcpStream]) -> TcpStream {
    let stream = until("a client is there", || accept_now(sockets, clients));
    stream.set_nonblocking(false).unwrap();
    stream
}

/// Accepts one of `clients` if it is there. Others, such as the listener's own connections, are
/// passed over.
fn accept_now(sockets: &[TcpListener], clients: &[TcpStream]) -> Option<TcpStream> {
    let is_ours = |peer| clients.iter().any(|it| it.local_addr().unwrap() == peer);
    let mut accepted = sockets.iter().filter_map(|socket| socket.accept().ok());
    accepted
        .find(|(_, peer)| is_ours(*peer))
        .map(|(stream, _)| stream)
}

#[test]
fn help_lists_every_key_with_its_default() {
    insta::assert_snapshot!(help_of(BINARY));
}

#[test]
fn everybody_who_connects_gets_the_same_sockets() {
    let directory = tempfile::tempdir().unwrap();
    let listener = Listener::start(&directory, free_address(), 3);
    let (_first, sockets) = receive(&listener.socket);
    let (_second, others) = receive(&listener.socket);
    assert_eq!((sockets.len(), others.len()), (3, 3));
    for socket in &sockets {
        assert_eq!(socket.local_addr().unwrap(), listener.address);
    }
    // Connections are spread over the sockets, and each is accepted by one of the two.
    let clients: Vec<_> = (0..32)
        .map(|_| TcpStream::connect(listener.address).unwrap())
        .collect();
    let mut served = HashSet::new();
    for turn in 0..clients.len() {
        let mut stream = accept(if turn % 2 == 0 { &sockets } else { &others }, &clients);
        stream.write_all(b"hello").unwrap();
        served.insert(stream.peer_addr().unwrap());
    }
    for mut client in clients {
        assert!(served.contains(&client.local_addr().unwrap()));
        let mut said = [0; 5];
        client.read_exact(&mut said).unwrap();
    }
}

/// The queue is the listener's: a client that comes while nobody accepts waits for the next one.
#[test]
fn connections_wait_while_nobody_accepts() {
    let directory = tempfile::tempdir().unwrap();
    let listener = Listener::start(&directory, free_address(), 2);
    let (connection, sockets) = receive(&listener.socket);
    drop((connection, sockets));
    let mut clients: Vec<_> = (0..8)
        .map(|_| TcpStream::connect(listener.address).unwrap())
        .collect();
    let (_connection, sockets) = receive(&listener.socket);
    for _ in 0..clients.len() {
        accept(&sockets, &clients).write_all(b"!").unwrap();
    }
    for client in &mut clients {
        client.read_exact(&mut [0]).unwrap();
    }
}

#[test]
fn its_end_is_seen_and_its_successor_takes_the_place() {
    let directory = tempfile::tempdir().unwrap();
    let address = free_address();
    for signal in [Signal::KILL, Signal::TERM, Signal::INT] {
        let mut listener = Listener::start(&directory, address, 1);
        let mode = fs::metadata(&listener.socket).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let (mut connection, _sockets) = receive(&listener.socket);
        listener.process.signal(signal);
        assert_eq!(connection.read(&mut [0]).unwrap(), 0);
        let status = listener.process.wait().unwrap();
        assert_eq!(
            status.code(),
            (signal != Signal::KILL).then_some(0),
            "{signal:?}"
        );
        let failed = healthcheck(&listener.socket);
        assert_eq!(failed.status.code(), Some(1));
    }
}

#[test]
fn a_second_one_does_not_take_the_socket_away() {
    let directory = tempfile::tempdir().unwrap();
    let listener = Listener::start(&directory, free_address(), 1);
    let second = command(free_address(), &listener.socket).output().unwrap();
    assert_refused(&second, 1, &["LISTENER_SOCKET", "listen.sock"]);
    assert!(healthcheck(&listener.socket).status.success());
}

#[test]
fn errors_name_the_key_the_value_and_what_is_allowed() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for (key, value, code, expected) in [
        ("LISTENER_LISTEN", "localhost", 2, "an address and port"),
        ("LISTENER_LISTEN", taken.as_str(), 1, "in use"),
        ("LISTENER_COUNT", "0", 2, "auto or a number from 1 to 64"),
        ("LISTENER_COUNT", "65", 2, "auto or a number from 1 to 64"),
        ("LISTENER_SOCKET", "listen.sock", 2, "an absolute path"),
        ("LISTENER_SOCKET", "/nowhere/at/all", 1, "No such file"),
        ("LISTENER_SOCKETS", "2", 2, "unknown key"),
        ("LISTENER_PORT", "80", 2, "unknown key"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let output = command(free_address(), &directory.path().join("listen.sock"))
            .env(key, value)
            .output()
            .unwrap();
        assert_refused(&output, code, &[key, expected]);
    }
}

#[test]
fn an_empty_variable_counts_as_unset() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("listen.sock");
    let mut command = command(free_address(), &socket);
    let mut process = Process::start(command.env("LISTENER_COUNT", ""));
    wait_until_healthy(&socket);
    process.signal(Signal::TERM);
    assert!(process.ended().success());
}

/// Kubernetes and Docker's links put such variables beside a service that is called `listener`.
#[test]
fn variables_that_describe_services_are_passed_over_and_named() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("listen.sock");
    let mut command = command(free_address(), &socket);
    command
        .env("LISTENER_PORT", "tcp://10.0.0.11:80")
        .env("LISTENER_SERVICE_HOST", "10.0.0.11")
        .env("OTHER", OsStr::from_bytes(b"\xff"))
        .env(OsStr::from_bytes(b"\xff"), "other");
    let mut process = Process::start(command.stderr(Stdio::piped()));
    wait_until_healthy(&socket);
    process.signal(Signal::TERM);
    assert!(process.ended().success());
    let mut said = String::new();
    let mut stderr = process.stderr.take().unwrap();
    stderr.read_to_string(&mut said).unwrap();
    let notes = said.lines().filter(|line| line.contains("passed over"));
    let notes: Vec<_> = notes.collect();
    assert_eq!(notes.len(), 1, "{said}");
    for name in ["LISTENER_PORT", "LISTENER_SERVICE_HOST"] {
        assert!(notes[0].contains(name), "{said}");
    }
}

#[test]
fn what_is_no_text_is_an_error_and_no_panic() {
    let bytes = OsStr::from_bytes(b"/\xff");
    for (key, expected) in [
        ("LISTENER_SOCKET", "an absolute path"),
        ("LISTENER_LISTEN", "an address and port"),
        ("LISTENER_OTHER", "unknown key"),
    ] {
        let output = command(free_address(), Path::new("/nowhere"))
            .env(key, bytes)
            .output()
            .unwrap();
        assert_refused(&output, 2, &[key, expected]);
    }
    let output = Command::new(BINARY).arg(bytes).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn too_few_open_files_are_an_error_that_says_how_many_it_takes() {
    for limit in [8, 16, 24] {
        let directory = tempfile::tempdir().unwrap();
        let listener = command(free_address(), &directory.path().join("listen.sock"));
        let output = Command::new("sh")
            .arg("-c")
            .arg(format!("ulimit -n {limit} && exec {BINARY}"))
            .envs(
                listener
                    .get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            )
            .output()
            .unwrap();
        let expected = format!("ulimit -n) = {limit}: expected");
        assert_refused(&output, 1, &[&expected]);
    }
}
