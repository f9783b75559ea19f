//! Listening sockets.

use std::{io, net::SocketAddr, os::fd::OwnedFd, time::Duration};

use rustix::{
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, bind, listen as start, socket_with, sockopt},
};

/// Connections that may wait to be accepted; the kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Listens on `address`, without blocking. With `shared`, others may listen on the same address, and
/// the kernel spreads connections over all of them (`SO_REUSEPORT`).
///
/// `[::]` stands for every address of the machine: of both families, or of IPv4 alone where the
/// kernel has no IPv6.
pub fn listen(address: SocketAddr, shared: bool) -> io::Result<OwnedFd> {
    let everywhere = address.is_ipv6() && address.ip().is_unspecified();
    match listen_on(address, shared) {
        Err(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL) if everywhere => {
            let ipv4 = SocketAddr::from(([0, 0, 0, 0], address.port()));
            Ok(listen_on(ipv4, shared)?)
        }
        listening => Ok(listening?),
    }
}

fn listen_on(address: SocketAddr, shared: bool) -> Result<OwnedFd, Errno> {
    let family = if address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    if address.is_ipv6() {
        // Whatever net.ipv6.bindv6only says.
        sockopt::set_ipv6_v6only(&socket, !address.ip().is_unspecified())?;
    }
    sockopt::set_socket_reuseaddr(&socket, true)?;
    sockopt::set_socket_reuseport(&socket, shared)?;
    // Inherited by the accepted sockets. Keep-alive finds peers that vanished without a word.
    sockopt::set_tcp_nodelay(&socket, true)?;
    sockopt::set_socket_keepalive(&socket, true)?;
    sockopt::set_tcp_keepidle(&socket, Duration::from_secs(60))?;
    sockopt::set_tcp_keepintvl(&socket, Duration::from_secs(15))?;
    bind(&socket, &address)?;
    start(&socket, BACKLOG)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn everywhere_is_both_families() {
        let listener = TcpListener::from(listen("[::]:0".parse().unwrap(), false).unwrap());
        let address = listener.local_addr().unwrap();
        assert!(TcpStream::connect(("127.0.0.1", address.port())).is_ok());
        if address.is_ipv6() {
            assert!(TcpStream::connect(("::1", address.port())).is_ok());
        }
    }

    #[test]
    fn only_shared_addresses_are_shared() {
        for shared in [true, false] {
            let first = listen("127.0.0.1:0".parse().unwrap(), shared).unwrap();
            let address = TcpListener::from(first.try_clone().unwrap())
                .local_addr()
                .unwrap();
            assert_eq!(listen(address, shared).is_ok(), shared);
        }
    }
}
