//! A claim on a backend with the socket that serves it.

use tokio::net::TcpStream;

use super::{balancer::Lease, slots::Slot};

/// A connection to a backend, in use.
pub(crate) struct UpstreamConnection {
    pub(crate) stream: TcpStream,
    pub(crate) lease: Lease,
    /// The place there; none for a tunnel.
    pub(crate) slot: Option<Slot>,
    /// Whether it has served a request before.
    pub(crate) reused: bool,
}
