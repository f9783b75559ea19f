//! A claim on a backend with the socket that serves it.

use tokio::net::TcpStream;

use super::{balancer::Lease, slots::Slot};

/// A connection to a backend, in use.
pub struct UpstreamConnection {
    /// The connection.
    pub stream: TcpStream,
    /// The claim on the backend.
    pub lease: Lease,
    /// The place there; none for a tunnel.
    pub slot: Option<Slot>,
    /// Whether it has served a request before.
    pub reused: bool,
}
