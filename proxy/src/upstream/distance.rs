//! How far away a backend is: of those that are as idle as each other, the nearer ones get requests. Where
//! backends are on several machines, that is the one on this machine.
//!
//! What is measured is the round trip of a connection's handshake, by the kernel (`TCP_INFO`, tcp(7)). The
//! kernels make it between them, so that a busy backend doesn't look far away; the least of several is
//! what the way takes. On one machine all are alike, some tens of microseconds, and none is far.

use std::{
    os::fd::AsRawFd,
    sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
};

use pingora_core::protocols::l4::ext::get_tcp_info;

/// A backend isn't far before so many handshakes: one may have had to wait for a processor.
const HANDSHAKES: u32 = 3;
/// What is far takes so many times as long as what is nearest,
const FACTOR: u32 = 2;
/// and at least so much longer, in µs.
const MARGIN: u32 = 100;

#[derive(Debug)]
pub(super) struct Distance {
    /// The least round trip so far, in µs; the largest number before the first.
    least: AtomicU32,
    handshakes: AtomicU32,
    far: AtomicBool,
}

impl Default for Distance {
    fn default() -> Self {
        Self {
            least: AtomicU32::new(u32::MAX),
            handshakes: AtomicU32::default(),
            far: AtomicBool::default(),
        }
    }
}

impl Distance {
    /// Notes the round trip of one more handshake, in µs.
    pub(super) fn note(&self, round_trip: u32) {
        self.least.fetch_min(round_trip, Relaxed);
        self.handshakes.fetch_add(1, Relaxed);
    }

    pub(super) fn is_far(&self) -> bool {
        self.far.load(Relaxed)
    }

    /// Judges each by the nearest of all.
    pub(super) fn compare<'a>(all: impl Iterator<Item = &'a Self> + Clone) {
        let nearest = all.clone().map(|it| it.least.load(Relaxed)).min();
        let nearest = nearest.unwrap_or(u32::MAX);
        for distance in all {
            let least = distance.least.load(Relaxed);
            let far = distance.handshakes.load(Relaxed) >= HANDSHAKES
                && least >= nearest.saturating_mul(FACTOR)
                && least - nearest >= MARGIN;
            distance.far.store(far, Relaxed);
        }
    }
}

/// The round trip of a new connection's handshake, in µs; none where the kernel doesn't tell.
pub(super) fn round_trip(connection: &impl AsRawFd) -> Option<u32> {
    let told = get_tcp_info(connection.as_raw_fd()).ok()?.tcpi_rtt;
    (told > 0).then_some(told)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    fn far(round_trips: &[&[u32]]) -> Vec<bool> {
        let all: Vec<_> = round_trips.iter().map(|_| Distance::default()).collect();
        for (distance, measured) in all.iter().zip(round_trips) {
            measured.iter().for_each(|it| distance.note(*it));
        }
        Distance::compare(all.iter());
        all.iter().map(Distance::is_far).collect()
    }

    #[test]
    fn what_takes_twice_as_long_and_a_margin_is_far() {
        let near: &[u32] = &[60, 40, 300];
        assert_eq!(far(&[near, &[450, 260, 270]]), [false, true]);
        // One of its handshakes was quick: the others had to wait.
        assert_eq!(far(&[near, &[450, 130, 270]]), [false, false]);
        assert_eq!(far(&[&[400; 3], &[700; 3]]), [false, false]);
        assert_eq!(far(&[&[400; 3], &[800; 3], near]), [true, true, false]);
    }

    #[test]
    fn a_few_handshakes_or_none_say_nothing() {
        assert_eq!(far(&[&[40], &[900, 900]]), [false, false]);
        assert_eq!(far(&[&[], &[900; 3]]), [false, false]);
        assert_eq!(far(&[&[40], &[900; 3]]), [false, true]);
        assert_eq!(far(&[&[], &[]]), [false, false]);
    }

    #[test]
    fn the_kernel_tells_the_round_trip_of_a_handshake() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let connection = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(round_trip(&connection).is_some());
    }
}
