//! What somebody who has the sockets may do to them, and that they work again.

use std::{
    io::{BufRead, BufReader},
    net::{IpAddr, Shutdown, TcpStream},
    os::fd::AsFd,
    time::Duration,
};

use rustix::{
    io::ioctl_fionbio,
    net::sockopt::{set_socket_linger, set_tcp_nodelay, socket_linger, tcp_nodelay},
};
use socket2::{SockFilter, SockRef};

use super::*;

/// A process that has the sockets, and does to each of them what `statement` says (Python; the
/// socket is `s`). It keeps them until it is dropped.
fn rogue(socket: &Path, statement: &str) -> Process {
    let script = format!(
        "import array, ctypes, socket, struct, sys\n\
         connection = socket.socket(socket.AF_UNIX)\n\
         connection.connect(sys.argv[1])\n\
         drop_all = ctypes.create_string_buffer(struct.pack('HBBI', 6, 0, 0, 0))\n\
         drop_all = struct.pack('HL', 1, ctypes.addressof(drop_all)), drop_all\n\
         sockets = [socket.socket(fileno=f) for f in socket.recv_fds(connection, 1, 64)[1]]\n\
         for s in sockets:\n    {statement}\n\
         print('done', flush=True)\n\
         sys.stdin.read()\n"
    );
    let mut process = Process::start(
        Command::new("python3")
            .args(["-c", &script])
            .arg(socket)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped()),
    );
    let mut said = String::new();
    let mut stdout = BufReader::new(process.stdout.take().unwrap());
    stdout.read_line(&mut said).unwrap();
    assert_eq!(said, "done\n", "{statement}");
    process
}

/// Whether each of many connections is taken in by one of `sockets`.
fn take_connections_in(sockets: &[TcpListener], address: SocketAddr) -> bool {
    let limit = Duration::from_millis(500);
    (0..32).all(|_| {
        let Ok(client) = TcpStream::connect_timeout(&address, limit) else {
            return false;
        };
        let client = [client];
        let deadline = Instant::now() + limit;
        while accept_now(sockets, &client).is_none() {
            if Instant::now() > deadline {
                return false;
            }
            thread::sleep(Duration::from_millis(1));
        }
        true
    })
}

/// All who have the sockets are told, and whoever did it keeps no share of the connections.
#[test]
fn broken_sockets_are_replaced_while_others_have_them() {
    for statement in [
        // Shut down, in two ways.
        "s.shutdown(socket.SHUT_RDWR)",
        "ctypes.CDLL(None).connect(s.fileno(), bytes(16), 16)",
        // A filter that can't be removed (SO_ATTACH_FILTER, SO_LOCK_FILTER).
        "s.setsockopt(1, 26, drop_all[0]); s.setsockopt(1, 44, 1)",
        "s.setsockopt(1, socket.SO_BINDTODEVICE, b'lo')",
        // Only a connection shows this: IP_MINTTL, more hops than the way has.
        "s.setsockopt(0, 21, 255)",
    ] {
        let directory = tempfile::tempdir().unwrap();
        let listener = Listener::start(&directory, free_address(), 2);
        let (connection, before) = receive(&listener.socket);
        // As a proxy does, which would otherwise be the next to have it.
        wait_until("its own connection waits", || {
            waiting(listener.address) == 1
        });
        accept_now(&before, &[]);
        let rogue = rogue(&listener.socket, statement);
        let sockets = handed_over(&connection);
        assert_eq!(sockets.len(), 2, "{statement}");
        drop(before);
        wait_until(
            &format!("connections are taken in after {statement}"),
            || take_connections_in(&sockets, listener.address),
        );
        assert!(healthcheck(&listener.socket).status.success());
        let (_connection, others) = receive(&listener.socket);
        assert!(take_connections_in(&others, listener.address));
        drop(rogue);
    }
}

/// The others stay as they are, with what waits in their queues.
#[test]
fn only_the_broken_socket_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let listener = Listener::start(&directory, free_address(), 3);
    let (connection, before) = receive(&listener.socket);
    SockRef::from(&before[1]).shutdown(Shutdown::Both).unwrap();
    // None of them is lost while nobody accepts.
    let clients: Vec<_> = (0..16)
        .map(|_| TcpStream::connect(listener.address).unwrap())
        .collect();
    let sockets = handed_over(&connection);
    assert_eq!(sockets.len(), 3);
    drop(before);
    let mut missing: HashSet<_> = clients.iter().map(|it| it.local_addr().unwrap()).collect();
    while !missing.is_empty() {
        missing.remove(&accept(&sockets, &clients).peer_addr().unwrap());
    }
}

#[test]
fn a_filter_is_removed_and_the_sockets_stay() {
    let directory = tempfile::tempdir().unwrap();
    let listener = Listener::start(&directory, free_address(), 2);
    let (mut connection, sockets) = receive(&listener.socket);
    // "Return 0": no byte of the packet is kept.
    let drop_all = [SockFilter::new(6, 0, 0, 0)];
    for socket in &sockets {
        SockRef::from(socket).attach_filter(&drop_all).unwrap();
    }
    wait_until("connections are taken in", || {
        take_connections_in(&sockets, listener.address)
    });
    connection.set_nonblocking(true).unwrap();
    let nothing = connection.read(&mut [0]).unwrap_err();
    assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn options_that_accepted_sockets_inherit_are_set_again() {
    let directory = tempfile::tempdir().unwrap();
    let listener = Listener::start(&directory, free_address(), 1);
    let (_connection, sockets) = receive(&listener.socket);
    let socket = sockets[0].as_fd();
    set_socket_linger(socket, Some(Duration::ZERO)).unwrap();
    set_tcp_nodelay(socket, false).unwrap();
    ioctl_fionbio(socket, false).unwrap();
    wait_until("they are as they were", || {
        socket_linger(socket).unwrap().is_none() && tcp_nodelay(socket).unwrap()
    });
    let nonblocking = || {
        let flags = rustix::fs::fcntl_getfl(socket).unwrap();
        flags.contains(rustix::fs::OFlags::NONBLOCK)
    };
    wait_until("accepting doesn't block", nonblocking);
}

#[test]
fn it_is_unhealthy_while_broken_sockets_can_not_be_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let listener = Listener::start(&directory, free_address(), 2);
    let (connection, mut sockets) = receive(&listener.socket);
    // Somebody takes the address, if not at once then after the next try.
    let mut thief = None;
    wait_until("the address is taken", || {
        for socket in &sockets {
            SockRef::from(socket).shutdown(Shutdown::Both).unwrap();
        }
        thief = service::sockets::listen(listener.address, false).ok();
        if thief.is_none() {
            sockets = handed_over(&connection);
        }
        thief.is_some()
    });
    wait_until("the listener is unhealthy", || {
        let output = healthcheck(&listener.socket);
        let said = String::from_utf8_lossy(&output.stderr);
        output.status.code() == Some(1) && said.contains("no listening sockets that work")
    });
    drop((thief, sockets));
    let sockets = handed_over(&connection);
    assert_eq!(sockets.len(), 2);
    assert!(healthcheck(&listener.socket).status.success());
    assert!(take_connections_in(&sockets, listener.address));
}

/// Where nobody accepts, the listener's own connections must not fill the queue.
#[test]
fn its_own_connections_do_not_pile_up() {
    let directory = tempfile::tempdir().unwrap();
    let listener = Listener::start(&directory, free_address(), 2);
    wait_until("it has tried one", || waiting(listener.address) == 1);
    let enough = Instant::now() + Duration::from_secs(7);
    while Instant::now() < enough {
        assert_eq!(waiting(listener.address), 1);
        thread::sleep(Duration::from_millis(100));
    }
}

/// The connections that wait to be accepted: `rx_queue` of sockets in state 0A (LISTEN) at this
/// address; another test's process may listen at the same port of another one.
fn waiting(address: SocketAddr) -> u32 {
    let IpAddr::V4(ip) = address.ip() else {
        panic!("{address} isn't in /proc/net/tcp");
    };
    let local = format!(
        "{:08X}:{:04X}",
        u32::from_ne_bytes(ip.octets()),
        address.port()
    );
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let listening = table.lines().filter_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let waiting = fields.get(4)?.split_once(':')?.1;
        (*fields.get(1)? == local && *fields.get(3)? == "0A")
            .then(|| u32::from_str_radix(waiting, 16).unwrap())
    });
    listening.sum()
}

/// A process that asks again and again takes nothing from the others.
#[test]
fn many_who_ask_do_not_use_it_up() {
    let directory = tempfile::tempdir().unwrap();
    let listener = Listener::start(&directory, free_address(), 2);
    let askers: Vec<_> = (0..200).map(|_| receive(&listener.socket)).collect();
    assert!(healthcheck(&listener.socket).status.success());
    let (_connection, sockets) = receive(&listener.socket);
    assert!(take_connections_in(
        &askers
            .iter()
            .flat_map(|(_, all)| all)
            .chain(&sockets)
            .map(|it| it.try_clone().unwrap())
            .collect::<Vec<_>>(),
        listener.address
    ));
}
