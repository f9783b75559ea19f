//! What is known of a client's connection before its first request.

use std::net::SocketAddr;

use crate::rewrite::hop::Hop;

#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    /// Whoever has connected.
    pub(crate) peer: SocketAddr,
    /// What carries its requests.
    pub(crate) hop: Hop,
}

impl Arrival {
    /// One whose requests come over TCP as it is.
    pub(crate) fn plain(peer: SocketAddr) -> Self {
        Self {
            peer,
            hop: Hop::default(),
        }
    }
}
