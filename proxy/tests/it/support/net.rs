//! Addresses that belong to one test process alone, and waiting for a condition.
//!
//! Linux answers on the whole of 127.0.0.0/8, so each test process takes addresses made from its
//! process id. Ports are then handed out in order: nobody else binds on these addresses, so there
//! is no race between finding a free port and the proxy's binding it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// How long a test waits for something that has to happen. Long, because a busy build machine
/// may stall any process; a passing test never waits this long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

/// The `n`th (0 to 7) loopback address of this test process.
pub(crate) fn loopback(n: u8) -> IpAddr {
    assert!(n < 8, "a test process owns eight addresses");
    let [_, high, mid, low] = std::process::id().to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(127, 64 + n * 8 + (high & 7), mid, low))
}

/// An address of this test process on which nobody listens.
pub(crate) fn free_address() -> SocketAddr {
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
pub(crate) fn free_port() -> u16 {
    let offset = u16::try_from(std::process::id() % 15_000).unwrap();
    (2_000 + offset..18_000)
        .find(|port| TcpListener::bind((Ipv6Addr::UNSPECIFIED, *port)).is_ok())
        .expect("a free port")
}

/// Polls until `condition` gives a value; panics with `what` after [`PATIENCE`].
#[track_caller]
pub(crate) fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(
            Instant::now() < deadline,
            "waited {PATIENCE:?} in vain: {what}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Asserts that no more than `limit` has passed since `start`.
#[track_caller]
pub(crate) fn assert_within(limit: Duration, start: Instant) {
    let took = start.elapsed();
    assert!(took < limit, "it took {took:?}, not less than {limit:?}");
}
