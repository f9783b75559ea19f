//! What carries a request, and connections for that.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{
    CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    ClientConfig, DigitallySignedStruct, Error as TlsError, SignatureScheme,
};

/// What carries a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carrier {
    /// HTTP/1.1 over TCP.
    Plain,
    /// HTTP/1.1 over TLS.
    Tls,
    /// A stream of HTTP/2 over TLS.
    Http2,
}

/// Where the stack can be reached.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Published {
    pub(crate) plain: SocketAddr,
    pub(crate) tls: SocketAddr,
}

/// A connection, whatever it speaks.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Published {
    /// Opens a connection for requests that are carried so.
    pub(crate) async fn connect(&self, carrier: Carrier) -> io::Result<Pin<Box<dyn Stream>>> {
        let address = match carrier {
            Carrier::Plain => self.plain,
            Carrier::Tls | Carrier::Http2 => self.tls,
        };
        let stream = TcpStream::connect(address).await?;
        // Only costs latency if it fails.
        _ = stream.set_nodelay(true);
        secured(stream, carrier).await
    }
}

/// What carries requests over `stream`: itself, or TLS.
pub(crate) async fn secured(
    stream: TcpStream,
    carrier: Carrier,
) -> io::Result<Pin<Box<dyn Stream>>> {
    static HTTP1: LazyLock<Arc<ClientConfig>> = LazyLock::new(|| client(b"http/1.1"));
    static HTTP2: LazyLock<Arc<ClientConfig>> = LazyLock::new(|| client(b"h2"));
    let config = match carrier {
        Carrier::Plain => return Ok(Box::pin(stream)),
        Carrier::Tls => &HTTP1,
        Carrier::Http2 => &HTTP2,
    };
    Ok(Box::pin(over_tls(stream, config).await?))
}

/// The certificate that clients are shown.
pub(crate) async fn presented(address: SocketAddr) -> io::Result<Vec<u8>> {
    let stream = TcpStream::connect(address).await?;
    let stream = over_tls(stream, &client(b"http/1.1")).await?;
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let first = chain.first().ok_or(io::ErrorKind::InvalidData)?;
    Ok(first.to_vec())
}

async fn over_tls(
    stream: TcpStream,
    config: &Arc<ClientConfig>,
) -> io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
    let connector = TlsConnector::from(Arc::clone(config));
    connector.connect(name, stream).await
}

/// A client that takes any certificate, also one that has expired: that clients are served is what is
/// looked at, not whom they trust.
fn client(protocol: &[u8]) -> Arc<ClientConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Arc::new(Anybody(Arc::clone(&provider)));
    let versions =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = match versions {
        Ok(builder) => builder
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth(),
        Err(error) => unreachable!("the provider has suites for its versions: {error}"),
    };
    config.alpn_protocols = vec![protocol.to_vec()];
    Arc::new(config)
}

#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
