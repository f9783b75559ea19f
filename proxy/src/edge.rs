//! What is between an accepted connection and HTTP, where that is TLS.
//!
//! ```text
//! accept ──► handshake ──► TlsTransport ──► accept::connection
//!               │  └──► tickets: what sessions are resumed with
//!               └──► certificates: which one a client gets (directories, watched)
//! ```
//!
//! Versions, ciphers and curves are those of Mozilla's intermediate level, and nobody has to choose.

pub(crate) mod certificates;
mod config;
pub(crate) mod handshake;
pub(crate) mod session;
mod tickets;
mod transport;

use std::{io, sync::Arc};

use rustls::ServerConfig;
use thiserror::Error;
use tracing::info;

use self::{
    certificates::{Certificates, Watch},
    tickets::Tickets,
};
pub(crate) use self::{handshake::serve, session::Session};
use crate::settings::Settings;

/// Why there can't be TLS.
#[derive(Debug, Error)]
pub(crate) enum EdgeError {
    #[error("TLS: {0}")]
    Config(#[from] rustls::Error),
    #[error("no randomness for the keys of session tickets: {0}")]
    Randomness(#[from] getrandom::Error),
}

/// What all connections to the TLS port have in common.
#[derive(Debug)]
pub(crate) struct Edge {
    /// The port of the sockets that TLS is spoken on, whoever holds them.
    port: u16,
    config: Arc<ServerConfig>,
    pub(crate) certificates: Arc<Certificates>,
}

impl Edge {
    /// What `settings` ask for, if it is TLS; and what keeps its certificates up to date.
    pub(crate) fn new(settings: &Settings) -> Result<Option<(Arc<Self>, Watch)>, EdgeError> {
        let Some(address) = settings.tls_listen else {
            return Ok(None);
        };
        let (certificates, watch) = certificates::open(&settings.tls_certificates);
        if settings.tls_ticket_keys.is_empty() {
            info!(
                "no PROXY_TLS_TICKET_KEY_FILE: TLS sessions can't be resumed after a restart, or by \
                 another proxy"
            );
        }
        let tickets = Tickets::new(&settings.tls_ticket_keys)?;
        let edge = Self {
            port: address.port(),
            config: Arc::new(config::server(Arc::clone(&certificates), tickets)?),
            certificates,
        };
        Ok(Some((Arc::new(edge), watch)))
    }

    /// Whether TLS is spoken on this socket.
    pub(crate) fn is_for(&self, listener: &tokio::net::TcpListener) -> io::Result<bool> {
        Ok(listener.local_addr()?.port() == self.port)
    }

    /// Whether clients can be served.
    pub(crate) fn ready(&self) -> Result<(), String> {
        if self.certificates.is_empty() {
            return Err("no certificate: see PROXY_TLS_CERTIFICATES".to_owned());
        }
        Ok(())
    }
}
