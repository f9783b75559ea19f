//! Addresses that belong to one test process alone.
//!
//! Linux answers on the whole of 127.0.0.0/8, so each test process takes addresses made from its
//! process id. Ports are then handed out in order: nobody else binds on these addresses, so there
//! is no race between finding a free port and the proxy's binding it.

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU16, Ordering};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use socket2::{SockFilter, SockRef};

/// The `n`th (0 to 7) loopback address of this test process.
pub fn loopback(n: u8) -> IpAddr {
    assert!(n < 8, "a test process owns eight addresses");
    let [_, high, mid, low] = std::process::id().to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(127, 64 + n * 8 + (high & 7), mid, low))
}

/// An address of this test process on which nobody listens.
pub fn free_address() -> SocketAddr {
    static NEXT_PORT: AtomicU16 = AtomicU16::new(18_000);
    loop {
        let address = SocketAddr::new(loopback(0), NEXT_PORT.fetch_add(1, Ordering::Relaxed));
        // Somebody may listen on this port of every address (0.0.0.0).
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// A port that is free on every address, IPv6 too. Below those that the kernel gives to outgoing
/// connections and those of [`free_address`]; each test process begins its search elsewhere.
pub fn free_port() -> u16 {
    let offset = u16::try_from(std::process::id() % 15_000).unwrap();
    (2_000 + offset..18_000)
        .find(|port| TcpListener::bind((Ipv6Addr::UNSPECIFIED, *port)).is_ok())
        .expect("a free port")
}

/// A port of 127.0.0.1 on which nobody listens.
pub fn local_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// The next listening sockets that come over a connection to the listener, beside one byte.
#[track_caller]
pub fn handed_over(connection: &UnixStream) -> Vec<TcpListener> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(64))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut carrier = [0];
    let carrier = &mut [IoSliceMut::new(&mut carrier)];
    let message = recvmsg(connection, carrier, &mut ancillary, RecvFlags::CMSG_CLOEXEC);
    assert_eq!(message.unwrap().bytes, 1);
    let mut sockets = Vec::new();
    for part in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = part {
            sockets.extend(descriptors.map(TcpListener::from));
        }
    }
    sockets
}

/// Cuts a socket off, as if its machine were: whatever is sent to it, and to what is accepted on it from
/// then on, is dropped before its kernel sees it, and nothing is acknowledged.
pub fn cut_off(socket: &impl AsFd) {
    // "Return 0": no byte of the packet is kept.
    let drop_all = [SockFilter::new(6, 0, 0, 0)];
    SockRef::from(socket).attach_filter(&drop_all).unwrap();
}

/// Undoes [`cut_off`].
pub fn mend(socket: &impl AsFd) {
    SockRef::from(socket).detach_filter().unwrap();
}
