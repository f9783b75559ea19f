//! Listening sockets handed from the process that holds them to those that accept on them, over a Unix
//! socket.
//!
//! Whoever connects gets a message of one byte that carries all sockets as `SCM_RIGHTS`. The connection
//! then stays open: another such message brings sockets that take the place of those before, and its
//! end tells either side that the other is gone. Who connects while there are no sockets meets the end
//! at once. [`Server`] is the holder's end, [`receive`] the other, and [`check`] a health check.

mod client;
mod server;

pub use client::{check, receive};
pub use server::{Event, MAX_RECEIVERS, Server};

/// Most sockets: all of them go in one message, which the kernel limits to 253 descriptors, and
/// receivers have to make room for.
pub const MAX_SOCKETS: usize = 64;

#[cfg(test)]
mod tests {
    use std::{
        fs,
        io::{ErrorKind, Read as _},
        net::TcpListener,
        os::{fd::AsFd as _, unix::net::UnixStream},
        path::Path,
        time::{Duration, Instant},
    };

    use super::*;

    fn sockets(count: usize) -> Vec<TcpListener> {
        let socket = |_| TcpListener::bind("127.0.0.1:0").unwrap();
        (0..count).map(socket).collect()
    }

    fn connect(path: &Path, server: &mut Server, sockets: &[TcpListener]) -> UnixStream {
        let connection = UnixStream::connect(path).unwrap();
        let sockets: Vec<_> = sockets.iter().map(|socket| socket.as_fd()).collect();
        server.hand_over(&sockets).unwrap();
        connection
    }

    fn addresses(sockets: &[TcpListener]) -> Vec<u16> {
        let port = |socket: &TcpListener| socket.local_addr().unwrap().port();
        sockets.iter().map(port).collect()
    }

    #[test]
    fn what_is_held_is_received_and_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sock");
        let mut server = Server::open(&path).unwrap();
        for count in [1, MAX_SOCKETS] {
            let (first, second) = (sockets(count), sockets(1));
            let connection = connect(&path, &mut server, &first);
            assert_eq!(addresses(&receive(&connection).unwrap()), addresses(&first));
            server.replace(&[second[0].as_fd()]);
            let received = receive(&connection).unwrap();
            assert_eq!(addresses(&received), addresses(&second));
            let nobody = received[0].accept().unwrap_err();
            assert_eq!(nobody.kind(), ErrorKind::WouldBlock);
        }
    }

    #[test]
    fn the_end_of_either_side_is_seen() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sock");
        let mut server = Server::open(&path).unwrap();
        let (stop, signalled) = UnixStream::pair().unwrap();
        let soon = || Instant::now() + Duration::from_millis(10);
        assert!(matches!(server.wait(&stop, soon()).unwrap(), Event::Time));
        let held = sockets(1);
        let gone = connect(&path, &mut server, &held);
        let mut kept = connect(&path, &mut server, &held);
        drop(gone);
        assert!(matches!(server.wait(&stop, soon()).unwrap(), Event::Time));
        assert_eq!(server.receivers(), 1);
        let asking = UnixStream::connect(&path).unwrap();
        assert!(matches!(
            server.wait(&stop, soon()).unwrap(),
            Event::Connection
        ));
        server.hand_over(&[]).unwrap();
        let nothing = receive(&asking).unwrap_err();
        assert_eq!(nothing.kind(), ErrorKind::UnexpectedEof);
        drop(signalled);
        assert!(matches!(server.wait(&stop, soon()).unwrap(), Event::Stop));
        server.close().unwrap();
        receive(&kept).unwrap();
        assert_eq!(kept.read(&mut [0]).unwrap(), 0);
        assert!(!path.exists() && check(&path).is_err());
    }

    #[test]
    fn one_receiver_too_many_ends_the_oldest() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sock");
        let mut server = Server::open(&path).unwrap();
        let held = sockets(1);
        let mut all: Vec<_> = (0..=MAX_RECEIVERS)
            .map(|_| connect(&path, &mut server, &held))
            .collect();
        for connection in &all {
            receive(connection).unwrap();
        }
        assert_eq!(all[0].read(&mut [0]).unwrap(), 0);
        all[1].set_nonblocking(true).unwrap();
        assert!(all[1].read(&mut [0]).is_err(), "is still open");
    }

    #[test]
    fn what_is_no_listening_socket_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sock");
        let mut server = Server::open(&path).unwrap();
        let connection = UnixStream::connect(&path).unwrap();
        server.hand_over(&[connection.as_fd()]).unwrap();
        let error = receive(&connection).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
    }

    #[test]
    fn a_dead_servers_file_is_replaced_and_a_living_ones_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sock");
        drop(Server::open(&path).unwrap());
        assert!(path.exists());
        let _server = Server::open(&path).unwrap();
        assert!(Server::open(&path).is_err());
        fs::remove_file(&path).unwrap();
        fs::write(&path, "no socket").unwrap();
        assert!(Server::open(&path).is_err());
    }
}
