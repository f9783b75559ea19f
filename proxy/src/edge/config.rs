//! What is offered to clients: Mozilla's intermediate level, which rustls has nothing below.

use std::sync::Arc;

use rustls::{
    Error, ServerConfig,
    crypto::{
        CryptoProvider,
        aws_lc_rs::{cipher_suite as suite, default_provider, kx_group as group},
    },
    server::NoServerSessionStorage,
    version::{TLS12, TLS13},
};

use super::{certificates::Certificates, tickets::Tickets};

/// HTTP/1.1, by ALPN.
pub(super) const HTTP11: &[u8] = b"http/1.1";

/// TLS 1.3 and 1.2 with ephemeral keys and authenticated encryption. There is no renegotiation, no
/// compression and no early data, and sessions are kept by nobody but the client.
pub(super) fn server(
    certificates: Arc<Certificates>,
    tickets: Tickets,
) -> Result<ServerConfig, Error> {
    let provider = CryptoProvider {
        cipher_suites: vec![
            suite::TLS13_AES_128_GCM_SHA256,
            suite::TLS13_AES_256_GCM_SHA384,
            suite::TLS13_CHACHA20_POLY1305_SHA256,
            suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
            suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
            suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
            suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
            suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        ],
        kx_groups: vec![
            group::X25519MLKEM768,
            group::X25519,
            group::SECP256R1,
            group::SECP384R1,
        ],
        ..default_provider()
    };
    let builder = ServerConfig::builder_with_provider(Arc::new(provider));
    let mut config = builder
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    config.ignore_client_order = true;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = Arc::new(tickets);
    config.alpn_protocols = vec![HTTP11.to_vec()];
    config.max_early_data_size = 0;
    Ok(config)
}
