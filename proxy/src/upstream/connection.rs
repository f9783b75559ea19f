//! A claim on a backend with the socket that serves it.

use std::time::Duration;

use service::sockets;
use tokio::net::TcpStream;

use super::{balancer::Lease, slots::Slot};

/// So many bytes any backend's kernel takes in at once, whether or not the backend reads them.
const WINDOW: usize = 32 * 1024;

/// A connection to a backend, in use.
pub(crate) struct UpstreamConnection {
    pub(crate) stream: TcpStream,
    pub(crate) lease: Lease,
    /// The place there; none for a tunnel.
    pub(crate) slot: Option<Slot>,
    /// Whether it has served a request before.
    pub(crate) reused: bool,
    /// Whether what is sent has to be acknowledged soon, as it has on a new connection.
    pub(crate) limited: bool,
}

impl UpstreamConnection {
    /// Expects the backend's kernel to acknowledge so many bytes within `limit`: no limit where they may
    /// have to wait until the backend reads, since the kernel can't tell that from a backend that has
    /// vanished.
    pub(crate) fn expect_acknowledgement(&mut self, bytes: Option<usize>, limit: Duration) {
        let limited = bytes.is_some_and(|bytes| bytes <= WINDOW);
        if self.limited != limited {
            self.limited = limited;
            // It only takes longer to notice if it fails.
            let _ = sockets::limit_unacknowledged(&self.stream, limited.then_some(limit));
        }
    }
}
