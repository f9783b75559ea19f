//! TLS in tests: an authority of one's own, certificates, and clients that trust it.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
pub use rcgen::{PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, SignatureAlgorithm};
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::http::{self, Stream};

/// Has every client that connects to `address` from now on speak TLS, with this configuration.
pub fn speak_at(address: SocketAddr, config: Arc<ClientConfig>) {
    http::carry_at(address, move |tcp| client(tcp, &config, "example.test"));
}

/// A client of the server called `name`; the handshake comes with the first bytes.
pub fn client(tcp: TcpStream, config: &Arc<ClientConfig>, name: &str) -> Stream {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let session = ClientConnection::new(Arc::clone(config), name).unwrap();
    Stream::Tls(Box::new(StreamOwned::new(session, tcp)))
}

/// Whoever signs certificates.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// A new one.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        // Not that of those that it signs: then each of them would look signed by itself.
        params
            .distinguished_name
            .push(DnType::CommonName, "authority of a test");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    /// Its own certificate.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for these names, and its key, in PEM.
    pub fn issue(
        &self,
        names: &[&str],
        algorithm: &'static SignatureAlgorithm,
    ) -> (String, String) {
        self.issue_for(names, algorithm, |_| {})
    }

    /// The same, with parameters of one's own.
    pub fn issue_for(
        &self,
        names: &[&str],
        algorithm: &'static SignatureAlgorithm,
        change: impl FnOnce(&mut CertificateParams),
    ) -> (String, String) {
        let names: Vec<_> = names.iter().copied().map(String::from).collect();
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        let key = KeyPair::generate_for(algorithm).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    /// Writes a certificate and its key as `NAME.crt` and `NAME.key`.
    pub fn write(
        &self,
        directory: &Path,
        name: &str,
        names: &[&str],
        algorithm: &'static SignatureAlgorithm,
    ) {
        let (certificate, key) = self.issue(names, algorithm);
        write_pair(directory, name, &certificate, &key);
    }

    /// Those whom its clients trust: itself.
    pub fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        let pem = self.pem();
        let own = CertificateDer::from_pem_slice(pem.as_bytes());
        roots.add(own.unwrap()).unwrap();
        roots
    }

    /// What a client is configured with that trusts it.
    pub fn client(&self) -> ClientConfig {
        ClientConfig::builder()
            .with_root_certificates(self.roots())
            .with_no_client_auth()
    }
}

/// Puts a pair of files in place, each of them at once.
pub fn write_pair(directory: &Path, name: &str, certificate: &str, key: &str) {
    for (extension, content, mode) in [("key", key, 0o600), ("crt", certificate, 0o644)] {
        let path = directory.join(format!("{name}.{extension}"));
        let new = directory.join(format!("{name}.{extension}.new"));
        fs::write(&new, content).unwrap();
        fs::set_permissions(&new, fs::Permissions::from_mode(mode)).unwrap();
        fs::rename(&new, &path).unwrap();
    }
}
