//! The listening sockets: all on one address, so that the kernel spreads connections over them.

use std::{io, net::SocketAddr, os::fd::OwnedFd, time::Duration};

use rustix::net::{
    AddressFamily, SocketFlags, SocketType, bind as bind_to, listen, socket_with, sockopt,
};

/// Connections that may wait to be accepted; the kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Binds `count` sockets to `address`.
pub fn bind(address: SocketAddr, count: usize) -> io::Result<Vec<OwnedFd>> {
    (0..count).map(|_| listening(address)).collect()
}

fn listening(address: SocketAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    sockopt::set_socket_reuseport(&socket, true)?;
    // Inherited by the accepted sockets. Keep-alive finds peers that vanished without a word.
    sockopt::set_tcp_nodelay(&socket, true)?;
    sockopt::set_socket_keepalive(&socket, true)?;
    sockopt::set_tcp_keepidle(&socket, Duration::from_secs(60))?;
    sockopt::set_tcp_keepintvl(&socket, Duration::from_secs(15))?;
    bind_to(&socket, &address)?;
    listen(&socket, BACKLOG)?;
    Ok(socket)
}
