//! Private keys in PEM: those that are generated, and those of one's own, of which it is only asked
//! whether a certificate is theirs.

use std::fmt::Display;
use std::path::Path;

use compose_file::model::Certificate;
use engine::error::{Error, Result};
use p256::SecretKey;
use p256::elliptic_curve::Generate;
use p256::elliptic_curve::zeroize::Zeroizing;
use p256::pkcs8::{DecodePrivateKey, EncodePrivateKey, LineEnding, PrivateKeyInfoRef};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use sec1::EcPrivateKey;
use x509_cert::der::asn1::UintRef;
use x509_cert::der::{Decode, Header, SliceReader, oid::ObjectIdentifier};

use super::leaf::Leaf;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const ELLIPTIC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

/// A private key, which is never shown.
pub(super) struct PrivateKey(Form);

enum Form {
    /// As generated ones are.
    P256(SecretKey),
    /// Any other, as far as its public half is known.
    Other(Option<Public>),
}

/// What a certificate has of a key.
enum Public {
    /// The modulus.
    Rsa(Vec<u8>),
    /// The point.
    Elliptic(Vec<u8>),
}

impl PrivateKey {
    /// The key in a file; `None` where there is no file.
    pub(super) fn read(file: &Path) -> Result<Option<Self>, String> {
        let Some(pem) = super::read(file)?.map(Zeroizing::new) else {
            return Ok(None);
        };
        let der = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| {
            format!(
                "{} holds no private key in PEM (one with a passphrase is of no use here)",
                file.display()
            )
        })?;
        let form = match &der {
            PrivateKeyDer::Pkcs1(key) => Form::Other(rsa(key.secret_pkcs1_der())),
            PrivateKeyDer::Sec1(key) => elliptic(key.secret_sec1_der()),
            PrivateKeyDer::Pkcs8(key) => pkcs8(key.secret_pkcs8_der()),
            _ => Form::Other(None),
        };
        Ok(Some(Self(form)))
    }

    /// A new one.
    pub(super) fn generate() -> Self {
        Self(Form::P256(SecretKey::generate_from_rng(&mut rand::rng())))
    }

    /// As its file has it.
    pub(super) fn to_pem(&self) -> Result<Zeroizing<String>> {
        let Form::P256(key) = &self.0 else {
            return Err(unsigned("only generated keys are written"));
        };
        key.to_pkcs8_pem(LineEnding::LF).map_err(unsigned)
    }

    /// The key, if it is of the kind that is generated.
    pub(super) fn p256(&self) -> Option<&SecretKey> {
        match &self.0 {
            Form::P256(key) => Some(key),
            Form::Other(_) => None,
        }
    }

    /// Whether a certificate can be made for it.
    pub(super) fn signable(&self, pair: &Certificate<'_>) -> Result<(), String> {
        let refusal = || {
            format!(
                "{} is a key of your own, and {} isn't its certificate: put that there, or move the key \
                 away for a generated one",
                pair.key.file.display(),
                pair.certificate.file.display()
            )
        };
        self.p256().map(|_| ()).ok_or_else(refusal)
    }

    /// Whether the certificate is this key's; `None` where that can't be told.
    pub(super) fn is_of(&self, leaf: &Leaf) -> Option<bool> {
        let certified = leaf.public_key();
        match &self.0 {
            Form::P256(key) => {
                let point = key.public_key().to_sec1_bytes();
                Some(*point == *certified)
            }
            Form::Other(Some(Public::Elliptic(point))) => Some(point == certified),
            Form::Other(Some(Public::Rsa(modulus))) => Some(first_number(certified, 0)? == modulus),
            Form::Other(None) => None,
        }
    }
}

fn pkcs8(der: &[u8]) -> Form {
    if let Ok(key) = SecretKey::from_pkcs8_der(der) {
        return Form::P256(key);
    }
    let Ok(info) = PrivateKeyInfoRef::try_from(der) else {
        return Form::Other(None);
    };
    match info.algorithm.oid {
        RSA => Form::Other(rsa(info.private_key.as_bytes())),
        ELLIPTIC => elliptic(info.private_key.as_bytes()),
        _ => Form::Other(None),
    }
}

fn elliptic(der: &[u8]) -> Form {
    let Ok(found) = EcPrivateKey::try_from(der) else {
        return Form::Other(None);
    };
    // A shorter key than this curve's isn't one of its.
    match SecretKey::from_sec1_der(der) {
        Ok(key) => Form::P256(key),
        Err(_) => Form::Other(found.public_key.map(|it| Public::Elliptic(it.to_vec()))),
    }
}

/// The modulus comes after the version.
fn rsa(der: &[u8]) -> Option<Public> {
    first_number(der, 1).map(|it| Public::Rsa(it.to_vec()))
}

/// The number in a sequence of them after so many others.
fn first_number(der: &[u8], after: usize) -> Option<&[u8]> {
    let mut reader = SliceReader::new(der).ok()?;
    Header::decode(&mut reader).ok()?;
    let mut number = || UintRef::decode(&mut reader).ok();
    for _ in 0..after {
        number()?;
    }
    number().map(|it| it.as_bytes())
}

/// What can only be an error of ours.
pub(super) fn unsigned(reason: impl Display) -> Error {
    Error::failed(
        format!("a certificate can't be made: {reason}"),
        "report it with this message",
    )
}
