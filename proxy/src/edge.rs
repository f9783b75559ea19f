//! What is between an accepted connection and HTTP, where that is TLS.
//!
//! ```text
//! accept ──► handshake ──► TlsTransport ──► accept::connection
//!               │  └──► tickets: what sessions are resumed with
//!               └──► certificates: which one a client gets (directories, watched)
//!                                          ▲
//!               acme: gets and renews them ┘
//! ```
//!
//! Versions, ciphers and curves are those of Mozilla's intermediate level, and nobody has to choose.

pub(crate) mod acme;
pub(crate) mod certificates;
mod config;
pub(crate) mod handshake;
pub(crate) mod session;
mod tickets;
mod transport;

use std::{io, path::PathBuf, sync::Arc};

use rustls::{ServerConfig, server::ClientHello};
use thiserror::Error;
use tracing::info;

use self::{
    acme::challenges,
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
    /// The state of ACME, where certificates are got by that.
    acme: Option<PathBuf>,
    pub(crate) certificates: Arc<Certificates>,
}

impl Edge {
    /// What `settings` ask for, if it is TLS; and what keeps its certificates up to date.
    pub(crate) fn new(settings: &Settings) -> Result<Option<(Arc<Self>, Watch)>, EdgeError> {
        let Some(address) = settings.tls_listen else {
            return Ok(None);
        };
        let acme = settings.acme.as_ref();
        let mut directories = settings.tls_certificates.clone();
        if let Some(acme) = acme {
            // One's own come first, and those that are there for want of others last.
            directories.insert(directories.len().min(1), acme.prepare_certificates());
        }
        let (certificates, watch) = certificates::open(&directories);
        if settings.tls_ticket_keys.is_empty() {
            info!(
                "no PROXY_TLS_TICKET_KEY_FILE: TLS sessions can't be resumed after a restart, or by \
                 another proxy"
            );
        }
        let tickets = Tickets::new(&settings.tls_ticket_keys)?;
        let edge = Self {
            port: address.port(),
            config: Arc::new(config::server(
                Arc::clone(&certificates),
                tickets,
                settings.http2,
            )?),
            acme: acme.map(|acme| acme.state.clone()),
            certificates,
        };
        Ok(Some((Arc::new(edge), watch)))
    }

    /// Whether TLS is spoken on this socket.
    pub(crate) fn is_for(&self, listener: &tokio::net::TcpListener) -> io::Result<bool> {
        Ok(listener.local_addr()?.port() == self.port)
    }

    /// How to shake hands with a client that says this.
    fn config_for(&self, hello: &ClientHello<'_>) -> Arc<ServerConfig> {
        let acme = self.acme.as_deref();
        let proof = acme.and_then(|state| challenges::tls_answer(state, hello));
        proof.unwrap_or_else(|| Arc::clone(&self.config))
    }

    /// Whether clients can be served.
    pub(crate) fn ready(&self) -> Result<(), String> {
        // The first one by ACME may be got only once clients get here.
        if self.certificates.is_empty() && self.acme.is_none() {
            return Err("no certificate: see PROXY_TLS_CERTIFICATES".to_owned());
        }
        Ok(())
    }
}
