//! The authority that signs what is generated: `ca.pem`, which clients are to trust, and `ca.key`,
//! which is kept to sign the certificates to come, and which no container ever sees.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use compose_file::Project;
use compose_file::model::{Certificate, CertificateName};
use engine::error::{Error, Result};
use engine::file::{self, Access};
use p256::SecretKey;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::pkcs8::EncodePublicKey;
use x509_cert::builder::profile::BuilderProfile;
use x509_cert::builder::{Builder, CertificateBuilder};
use x509_cert::certificate::TbsCertificate;
use x509_cert::der::asn1::{Ia5String, OctetString};
use x509_cert::der::oid::db::rfc5280::ID_KP_SERVER_AUTH;
use x509_cert::der::pem::LineEnding;
use x509_cert::der::{Decode, EncodePem};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages,
    SubjectAltName, SubjectKeyIdentifier,
};
use x509_cert::ext::{Extension, ToExtension};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{SubjectPublicKeyInfo, SubjectPublicKeyInfoRef};
use x509_cert::time::{Time, Validity};

use super::key::{PrivateKey, unsigned};
use super::leaf::Leaf;
use super::{MARK, days};
use crate::secrets::file as secret_file;

/// Of an authority. Whoever trusts it has to be told of another one.
const AUTHORITY_LIFETIME: Duration = days(3650);
/// What clients accept of a certificate is 398 days.
const LIFETIME: Duration = days(397);
/// For clients whose clocks are behind.
const BACKDATED: Duration = Duration::from_secs(60 * 60);

/// Who signs.
pub(super) struct Authority {
    certificate: Leaf,
    key: SecretKey,
}

impl Authority {
    /// The authority beside a certificate; `None` where there is none yet.
    pub(super) fn open(pair: Certificate<'_>, now: SystemTime) -> Result<Option<Self>, String> {
        let (file, key_file) = pair.authority();
        let (shown, key_shown) = (file.display(), key_file.display());
        let Some(certificate) = Leaf::read(&file)? else {
            return Ok(None);
        };
        let Some(key) = PrivateKey::read(&key_file)? else {
            return Err(format!(
                "{shown} can't sign it: its key, {key_shown}, is gone. Put it back, or move {shown} \
                 away for a new authority, which clients then have to be told of"
            ));
        };
        if key.is_of(&certificate) == Some(false) {
            return Err(format!("{shown} isn't the certificate of {key_shown}"));
        }
        if certificate.not_after() < now {
            return Err(format!(
                "{shown} expired at {}: move it and {key_shown} away for a new authority, which \
                 clients then have to be told of",
                humantime::format_rfc3339_seconds(certificate.not_after())
            ));
        }
        let Some(key) = key.p256().cloned() else {
            return Err(format!(
                "{key_shown} isn't a key that deploy can sign with, a P-256 one without passphrase"
            ));
        };
        Ok(Some(Self { certificate, key }))
    }

    /// Whether the authority beside a certificate, if there is one, signed it.
    pub(super) fn signed(pair: Certificate<'_>, leaf: &Leaf) -> Result<bool, String> {
        let authority = Leaf::read(&pair.authority().0)?;
        Ok(authority.is_some_and(|it| {
            let id = it.key_id();
            id.is_some() && id == leaf.signer_id()
        }))
    }

    /// Makes one; with the key that is there, if there is one.
    pub(super) fn make(project: &Project, pair: Certificate<'_>, now: SystemTime) -> Result<Self> {
        let (file, key_file) = pair.authority();
        let store = |file, content: &[u8], mode| {
            let access = Access { mode, owner: None };
            file::create(file, content, access)
                .map_err(|err| secret_file::unwritable(pair.name, pair.certificate, &err))
        };
        let failed = |fault: String| Error::failed(fault, "move it away, then run again");
        let key = if let Some(key) = PrivateKey::read(&key_file).map_err(failed)? {
            key
        } else {
            let key = PrivateKey::generate();
            store(&key_file, key.to_pem()?.as_bytes(), 0o600)?;
            key
        };
        let key = key
            .p256()
            .cloned()
            .ok_or_else(|| failed(format!("{} isn't a P-256 key", key_file.display())))?;
        let subject = format!("CN={} authority,O={MARK}", project.name);
        let profile = Root(Name::from_str(&subject).map_err(unsigned)?);
        let lifetime = now + AUTHORITY_LIFETIME;
        let pem = certificate(profile, &key, &key, (now, lifetime))?;
        store(&file, pem.as_bytes(), 0o644)?;
        let certificate = Leaf::read(&file).map_err(failed)?;
        let certificate = certificate.ok_or_else(|| unsigned("its file is gone"))?;
        Ok(Self { certificate, key })
    }

    pub(super) fn not_after(&self) -> SystemTime {
        self.certificate.not_after()
    }

    /// A certificate for a key, in PEM.
    pub(super) fn sign(
        &self,
        project: &Project,
        names: &BTreeSet<CertificateName>,
        key: &PrivateKey,
        now: SystemTime,
    ) -> Result<String> {
        let key = key
            .p256()
            .ok_or_else(|| unsigned("the key isn't a P-256 one"))?;
        let subject = format!("CN={},O={MARK}", project.name);
        let profile = Server {
            issuer: self.certificate.subject().clone(),
            subject: Name::from_str(&subject).map_err(unsigned)?,
            issuer_id: self.certificate.key_id(),
            names: names.iter().map(general).collect::<Result<_>>()?,
        };
        let end = (now + LIFETIME - BACKDATED).min(self.not_after());
        certificate(profile, key, &self.key, (now, end))
    }
}

fn general(name: &CertificateName) -> Result<GeneralName> {
    match name {
        CertificateName::Dns(name) => {
            let name = Ia5String::new(name).map_err(unsigned)?;
            Ok(GeneralName::DnsName(name))
        }
        CertificateName::Address(address) => Ok(IpAddr::into(*address)),
    }
}

/// A certificate for `key`, signed by `signer`.
fn certificate(
    profile: impl BuilderProfile,
    key: &SecretKey,
    signer: &SecretKey,
    (now, end): (SystemTime, SystemTime),
) -> Result<String> {
    let signer = SigningKey::from(signer);
    let time = |time| Time::try_from(time).map_err(unsigned);
    let validity = Validity::new(time(now - BACKDATED)?, time(end)?);
    let public = key.public_key().to_public_key_der().map_err(unsigned)?;
    let public = SubjectPublicKeyInfo::from_der(public.as_bytes()).map_err(unsigned)?;
    let serial = SerialNumber::generate(&mut rand::rng());
    let builder = CertificateBuilder::new(profile, serial, validity, public).map_err(unsigned)?;
    let certificate = builder.build::<_, DerSignature>(&signer);
    let pem = certificate.map_err(unsigned)?.to_pem(LineEnding::LF);
    pem.map_err(unsigned)
}

/// An authority: it signs certificates of servers, and no other authorities.
///
/// It isn't constrained to names, since those of the stack may change while it is trusted.
struct Root(Name);

impl BuilderProfile for Root {
    fn get_issuer(&self, _: &Name) -> Name {
        self.0.clone()
    }

    fn get_subject(&self) -> Name {
        self.0.clone()
    }

    fn build_extensions(
        &self,
        key: SubjectPublicKeyInfoRef<'_>,
        _: SubjectPublicKeyInfoRef<'_>,
        _: &TbsCertificate,
    ) -> x509_cert::builder::Result<Vec<Extension>> {
        let constraints = BasicConstraints {
            ca: true,
            path_len_constraint: Some(0),
        };
        let usage = KeyUsage(KeyUsages::KeyCertSign | KeyUsages::CRLSign);
        let id = SubjectKeyIdentifier::try_from(key)?;
        Ok(vec![
            extension(&constraints, &self.0)?,
            extension(&usage, &self.0)?,
            extension(&id, &self.0)?,
        ])
    }
}

/// What a server presents.
struct Server {
    issuer: Name,
    subject: Name,
    /// Of the authority's key.
    issuer_id: Option<Vec<u8>>,
    names: Vec<GeneralName>,
}

impl BuilderProfile for Server {
    fn get_issuer(&self, _: &Name) -> Name {
        self.issuer.clone()
    }

    fn get_subject(&self) -> Name {
        self.subject.clone()
    }

    fn build_extensions(
        &self,
        key: SubjectPublicKeyInfoRef<'_>,
        issuer_key: SubjectPublicKeyInfoRef<'_>,
        _: &TbsCertificate,
    ) -> x509_cert::builder::Result<Vec<Extension>> {
        let subject = &self.subject;
        Ok(vec![
            extension(&KeyUsage(KeyUsages::DigitalSignature.into()), subject)?,
            extension(&ExtendedKeyUsage(vec![ID_KP_SERVER_AUTH]), subject)?,
            extension(&SubjectAltName(self.names.clone()), subject)?,
            extension(&SubjectKeyIdentifier::try_from(key)?, subject)?,
            extension(&self.authority_key_id(issuer_key)?, subject)?,
        ])
    }
}

impl Server {
    /// As the authority's own certificate has it, whoever made that.
    fn authority_key_id(
        &self,
        key: SubjectPublicKeyInfoRef<'_>,
    ) -> x509_cert::builder::Result<AuthorityKeyIdentifier> {
        match &self.issuer_id {
            None => Ok(AuthorityKeyIdentifier::try_from(key)?),
            Some(id) => Ok(AuthorityKeyIdentifier {
                key_identifier: Some(OctetString::new(id.as_slice())?),
                ..AuthorityKeyIdentifier::default()
            }),
        }
    }
}

fn extension<T>(value: &T, subject: &Name) -> x509_cert::builder::Result<Extension>
where
    for<'a> &'a T: ToExtension<Error = x509_cert::der::Error>,
{
    Ok(value.to_extension(subject, &[])?)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A certificate as others make them.
    pub(in super::super) fn self_signed(
        key: &PrivateKey,
        (start, end): (SystemTime, SystemTime),
    ) -> String {
        let subject = Name::from_str("CN=example.org,O=Somebody else").unwrap();
        let profile = Server {
            issuer: subject.clone(),
            subject,
            issuer_id: None,
            names: vec![general(&CertificateName::parse("example.org").unwrap()).unwrap()],
        };
        let key = key.p256().unwrap();
        certificate(profile, key, key, (start, end)).unwrap()
    }
}
