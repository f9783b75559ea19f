//! What is known of a client's connection before its first request.

use std::{net::SocketAddr, sync::Arc};

use crate::{edge::Session, rewrite::hop::Hop};

#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    /// Whoever has connected.
    pub(crate) peer: SocketAddr,
    /// What carries its requests.
    pub(crate) hop: Hop,
    /// What TLS it is, where it is.
    pub(crate) session: Option<Arc<Session>>,
}

impl Arrival {
    /// One whose requests come over TCP as it is.
    pub(crate) fn plain(peer: SocketAddr) -> Self {
        Self {
            peer,
            hop: Hop::default(),
            session: None,
        }
    }
}
