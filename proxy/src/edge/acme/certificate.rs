//! What orders have to know of a certificate.

use std::time::{Duration, SystemTime};

use instant_acme::CertificateIdentifier;
use rustls::{
    client::verify_server_name,
    crypto::aws_lc_rs::sign::any_ecdsa_type,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
    server::ParsedCertificate,
    sign::CertifiedKey,
};
use x509_parser::{parse_x509_certificate, time::ASN1Time};

/// A certificate's time, and its name with the authority.
#[derive(Debug, Clone)]
pub(super) struct Issued {
    pub(super) not_before: SystemTime,
    pub(super) not_after: SystemTime,
    /// What renewal information is asked by (RFC 9773 §4.1), where it has what that is made of.
    pub(super) id: Option<CertificateIdentifier<'static>>,
}

impl Issued {
    /// Of the first certificate in a PEM chain.
    pub(super) fn read(chain: &[u8]) -> Result<Self, String> {
        let leaf = CertificateDer::from_pem_slice(chain).map_err(|error| error.to_string())?;
        let (_, parsed) = parse_x509_certificate(&leaf).map_err(|error| error.to_string())?;
        let validity = parsed.validity();
        let id = CertificateIdentifier::try_from(&leaf).ok();
        Ok(Self {
            not_before: time(validity.not_before)?,
            not_after: time(validity.not_after)?,
            id: id.map(CertificateIdentifier::into_owned),
        })
    }

    pub(super) fn lifetime(&self) -> Duration {
        let lifetime = self.not_after.duration_since(self.not_before);
        lifetime.unwrap_or_default()
    }
}

fn time(time: ASN1Time) -> Result<SystemTime, String> {
    let since_epoch = u64::try_from(time.timestamp())
        .ok()
        .map(Duration::from_secs);
    since_epoch
        .and_then(|since_epoch| SystemTime::UNIX_EPOCH.checked_add(since_epoch))
        .ok_or_else(|| "it isn't of this age".to_owned())
}

/// Certificates and their key, from PEM, for a handshake.
pub(super) fn certified_key(chain: &[u8], key: &[u8]) -> Result<CertifiedKey, String> {
    let chain = CertificateDer::pem_slice_iter(chain).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| error.to_string())?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| error.to_string())?;
    let key = any_ecdsa_type(&key).map_err(|error| error.to_string())?;
    Ok(CertifiedKey::new(chain, key))
}

/// Whether a chain that has come is for this name and key.
pub(super) fn fits(chain: &str, key: &str, name: &str) -> Result<(), String> {
    let certified = certified_key(chain.as_bytes(), key.as_bytes())?;
    certified.keys_match().map_err(|error| error.to_string())?;
    let leaf = certified.cert.first().ok_or("it is empty")?;
    let leaf = ParsedCertificate::try_from(leaf).map_err(|error| error.to_string())?;
    let name = ServerName::try_from(name).map_err(|error| error.to_string())?;
    verify_server_name(&leaf, &name).map_err(|error| error.to_string())
}
