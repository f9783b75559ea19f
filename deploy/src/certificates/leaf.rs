//! The certificate that a server presents.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, SystemTime};

use compose_file::model::CertificateName;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_cert::certificate::{CertificateInner, Raw};
use x509_cert::der::Decode;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{AuthorityKeyIdentifier, SubjectAltName, SubjectKeyIdentifier};

use super::MARK;

/// A certificate, read as leniently as those who present it do.
pub(super) struct Leaf(CertificateInner<Raw>);

impl Leaf {
    /// The first certificate of the chain in a file; `None` where there is no file.
    pub(super) fn read(file: &Path) -> Result<Option<Self>, String> {
        let Some(pem) = super::read(file)? else {
            return Ok(None);
        };
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        let broken = |reason: &dyn std::fmt::Display| {
            format!("{} is no certificate in PEM: {reason}", file.display())
        };
        let chain = chain.map_err(|err| broken(&err))?;
        let first = chain.first();
        let first = first.ok_or_else(|| broken(&"it has no BEGIN CERTIFICATE"))?;
        let read = CertificateInner::from_der(first);
        read.map(|it| Some(Self(it))).map_err(|err| broken(&err))
    }

    /// Whether `deploy` made it.
    pub(super) fn is_generated(&self) -> bool {
        let subject = self.0.tbs_certificate().subject();
        let organisation = subject.organization().ok().flatten();
        organisation.is_some_and(|it| it.value() == MARK)
    }

    pub(super) fn not_before(&self) -> SystemTime {
        self.0.tbs_certificate().validity().not_before.into()
    }

    pub(super) fn not_after(&self) -> SystemTime {
        self.0.tbs_certificate().validity().not_after.into()
    }

    /// From its first to its last moment.
    pub(super) fn lifetime(&self) -> Duration {
        let lifetime = self.not_after().duration_since(self.not_before());
        lifetime.unwrap_or_default()
    }

    /// The bits of its public key.
    pub(super) fn public_key(&self) -> &[u8] {
        let key = self.0.tbs_certificate().subject_public_key_info();
        key.subject_public_key.raw_bytes()
    }

    /// What it is for, as far as those are names and addresses.
    pub(super) fn names(&self) -> BTreeSet<CertificateName> {
        let names = self.0.tbs_certificate().get_extension::<SubjectAltName>();
        let names = names.ok().flatten().map(|(_, names)| names.0);
        let name = |name| match name {
            GeneralName::DnsName(name) => CertificateName::parse(name.as_ref()),
            GeneralName::IpAddress(address) => {
                let bytes = address.as_bytes();
                let v4 = || <[u8; 4]>::try_from(bytes).map(IpAddr::from);
                let v6 = || <[u8; 16]>::try_from(bytes).map(IpAddr::from);
                let address = v4().or_else(|_| v6()).ok()?;
                Some(CertificateName::Address(address))
            }
            _ => None,
        };
        names.into_iter().flatten().filter_map(name).collect()
    }

    /// The identifier of its own key, by which those that it signs name it.
    pub(super) fn key_id(&self) -> Option<Vec<u8>> {
        let found = self
            .0
            .tbs_certificate()
            .get_extension::<SubjectKeyIdentifier>();
        let (_, id) = found.ok()??;
        Some(id.0.into_bytes().into_vec())
    }

    /// The identifier of the key that signed it.
    pub(super) fn signer_id(&self) -> Option<Vec<u8>> {
        let found = self
            .0
            .tbs_certificate()
            .get_extension::<AuthorityKeyIdentifier>();
        let (_, id) = found.ok()??;
        Some(id.key_identifier?.into_bytes().into_vec())
    }

    /// Whom it is for, as a name for those that it signs.
    pub(super) fn subject(&self) -> &x509_cert::name::Name {
        self.0.tbs_certificate().subject()
    }
}
