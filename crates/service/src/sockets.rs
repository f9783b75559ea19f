//! Listening sockets, and how soon the kernel notices that a peer has vanished.

use std::{
    error::Error,
    fmt, io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

use rustix::{
    io::{Errno, ioctl_fionbio},
    net::{AddressFamily, SocketFlags, SocketType, bind, listen as start, socket_with, sockopt},
};

/// Connections that may wait to be accepted; the kernel caps it at `net.core.somaxconn`, 4096 unless
/// somebody set it. Where the queue is full the kernel drops whoever knocks, who comes back a second
/// later at the earliest: two workers' sockets take in as many as the proxy serves at most.
const BACKLOG: i32 = 16_384;

/// An address of a setting that can't be listened on.
#[derive(Debug)]
pub struct ListenError {
    /// The setting.
    pub key: &'static str,
    /// Its value.
    pub address: SocketAddr,
    /// What the system says.
    pub error: io::Error,
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}: {}", self.key, self.address, self.error)
    }
}

impl Error for ListenError {}

/// [`listen`] on the address of a setting, which an error names.
pub fn listen_for(
    key: &'static str,
    address: SocketAddr,
    shared: bool,
) -> Result<TcpListener, ListenError> {
    match listen(address, shared) {
        Ok(socket) => Ok(socket.into()),
        Err(error) => Err(ListenError {
            key,
            address,
            error,
        }),
    }
}

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
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    if address.is_ipv6() {
        // Whatever net.ipv6.bindv6only says.
        sockopt::set_ipv6_v6only(&socket, !address.ip().is_unspecified())?;
    }
    sockopt::set_socket_reuseaddr(&socket, true)?;
    sockopt::set_socket_reuseport(&socket, shared)?;
    bind(&socket, &address)?;
    start_on(&socket)?;
    Ok(socket)
}

/// Sets again what [`listen`] has set on `socket`, which is shared: whoever has a descriptor of it
/// may have set something else, also for what is accepted later.
pub fn restore(socket: impl AsFd) -> io::Result<()> {
    Ok(start_on(socket)?)
}

fn start_on(socket: impl AsFd) -> Result<(), Errno> {
    ioctl_fionbio(&socket, true)?;
    // Inherited by the accepted sockets. Keep-alive finds peers that vanished without a word.
    sockopt::set_tcp_nodelay(&socket, true)?;
    sockopt::set_socket_keepalive(&socket, true)?;
    sockopt::set_tcp_keepidle(&socket, Duration::from_secs(60))?;
    sockopt::set_tcp_keepintvl(&socket, Duration::from_secs(15))?;
    sockopt::set_socket_linger(&socket, None)?;
    start(&socket, BACKLOG)
}

/// Has the kernel end a connection whose peer has vanished (its machine is off, or cut off): one that
/// acknowledges nothing for `limit`, at least a second. It is asked for a sign of life (keep-alive) as
/// long as there is silence, and what is sent has to be acknowledged ([`limit_unacknowledged`]). A peer
/// that is only slow stays: its kernel acknowledges for it. What is accepted on a listening socket
/// inherits this.
pub fn notice_vanished(socket: impl AsFd, limit: Duration) -> io::Result<()> {
    let probes = limit.as_secs().clamp(2, 5);
    // Whole seconds are what the kernel counts in.
    let interval = Duration::from_secs((limit.as_secs() / probes).max(1));
    sockopt::set_socket_keepalive(&socket, true)?;
    sockopt::set_tcp_keepidle(&socket, interval)?;
    sockopt::set_tcp_keepintvl(&socket, interval)?;
    // One interval passes before the first.
    sockopt::set_tcp_keepcnt(&socket, u32::try_from(probes).unwrap_or(u32::MAX) - 1)?;
    limit_unacknowledged(socket, Some(limit))
}

/// How long what was sent may stay unacknowledged (`TCP_USER_TIMEOUT`, RFC 5482); where nothing is said,
/// for about a quarter of an hour. It holds for what can't be sent, too, since a peer that is there takes
/// nothing (its window is closed): a limit is for those that read all that they get at once.
pub fn limit_unacknowledged(socket: impl AsFd, limit: Option<Duration>) -> io::Result<()> {
    // 0 is none.
    let millis = limit.map_or(0, |limit| limit.as_millis());
    let millis = u32::try_from(millis).unwrap_or(u32::MAX);
    Ok(sockopt::set_tcp_user_timeout(socket, millis)?)
}

/// Where the machine itself reaches what listens on `address`: for every address, that is
/// 127.0.0.1, also where `[::]` is listened on, since there may be no `::1`.
pub fn reachable(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        SocketAddr::from((Ipv4Addr::LOCALHOST, address.port()))
    } else {
        address
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn everywhere_is_both_families() {
        let listener = TcpListener::from(listen("[::]:0".parse().unwrap(), false).unwrap());
        let address = listener.local_addr().unwrap();
        assert!(TcpStream::connect(reachable(address)).is_ok());
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

    #[test]
    fn what_is_accepted_notices_that_its_peer_has_vanished() {
        for (limit, interval, probes) in [(1, 1, 1), (3, 1, 2), (5, 1, 4), (60, 12, 4)] {
            let listener =
                TcpListener::from(listen("127.0.0.1:0".parse().unwrap(), false).unwrap());
            notice_vanished(&listener, Duration::from_secs(limit)).unwrap();
            let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (accepted, _) = listener.accept().unwrap();
            assert!(sockopt::socket_keepalive(&accepted).unwrap());
            let interval = Duration::from_secs(interval);
            assert_eq!(sockopt::tcp_keepidle(&accepted).unwrap(), interval);
            assert_eq!(sockopt::tcp_keepintvl(&accepted).unwrap(), interval);
            assert_eq!(sockopt::tcp_keepcnt(&accepted).unwrap(), probes);
            let millis = || u64::from(sockopt::tcp_user_timeout(&accepted).unwrap());
            assert_eq!(millis(), limit * 1000);
            limit_unacknowledged(&accepted, None).unwrap();
            assert_eq!(millis(), 0);
        }
    }

    #[test]
    fn what_another_has_set_is_set_again() {
        let socket = listen("127.0.0.1:0".parse().unwrap(), false).unwrap();
        sockopt::set_socket_linger(&socket, Some(Duration::ZERO)).unwrap();
        sockopt::set_tcp_nodelay(&socket, false).unwrap();
        ioctl_fionbio(&socket, false).unwrap();
        restore(&socket).unwrap();
        assert_eq!(sockopt::socket_linger(&socket).unwrap(), None);
        assert!(sockopt::tcp_nodelay(&socket).unwrap());
        let nobody = TcpListener::from(socket).accept().unwrap_err();
        assert_eq!(nobody.kind(), io::ErrorKind::WouldBlock);
    }
}
