//! Certificates that are generated: two secrets, `NAME.crt` and `NAME.key`, are one of them.

use std::net::IpAddr;
use std::path::PathBuf;

use indexmap::IndexMap;
use serde::{Serialize, Serializer};

use super::{Secret, SecretName};

/// The longest name there is in DNS, and the longest label of one.
const LONGEST: (usize, usize) = (253, 63);

/// What a certificate is for: an address, or a name, of which the first label may be `*`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(untagged)]
pub enum CertificateName {
    /// In lower case.
    Dns(String),
    /// Of either family.
    Address(IpAddr),
}

impl CertificateName {
    /// `None` where it is neither.
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(address) = text.parse() {
            return Some(Self::Address(address));
        }
        let (longest, longest_label) = LONGEST;
        let label = |label: &str| {
            (1..=longest_label).contains(&label.len())
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        let name = text.strip_prefix("*.").unwrap_or(text);
        // What ends in a number is an address with an error in it.
        let last = name.rsplit('.').next().unwrap_or_default();
        let numeric = last.bytes().all(|byte| byte.is_ascii_digit());
        let valid = text.len() <= longest && name.split('.').all(label) && !numeric;
        valid.then(|| Self::Dns(text.to_ascii_lowercase()))
    }
}

impl std::fmt::Display for CertificateName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Dns(name) => f.write_str(name),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// As the file has them.
pub(super) fn joined<S: Serializer>(
    names: &[CertificateName],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    serializer.serialize_str(&names.join(","))
}

/// The two secrets that are a generated certificate.
#[derive(Debug, Clone, Copy)]
pub struct Certificate<'a> {
    /// The certificate's name in the file.
    pub name: &'a SecretName,
    /// The certificate, `NAME.crt`.
    pub certificate: &'a Secret,
    /// Its key's name in the file.
    pub key_name: &'a SecretName,
    /// Its key, `NAME.key`.
    pub key: &'a Secret,
}

impl<'a> Certificate<'a> {
    /// What the name of a certificate's file ends in.
    pub const EXTENSION: &'static str = "crt";
    /// What the name of its key's does.
    pub const KEY_EXTENSION: &'static str = "key";

    /// Those among a file's secrets.
    pub(crate) fn all(secrets: &'a IndexMap<SecretName, Secret>) -> impl Iterator<Item = Self> {
        let certificates = secrets.iter().filter(|(_, it)| {
            it.is_of_certificate() && it.file.extension().is_some_and(|it| it == Self::EXTENSION)
        });
        certificates.filter_map(|(name, certificate)| {
            let file = certificate.file.with_extension(Self::KEY_EXTENSION);
            let key = secrets
                .iter()
                .find(|(_, it)| it.is_of_certificate() && it.file == file);
            let (key_name, key) = key?;
            Some(Self {
                name,
                certificate,
                key_name,
                key,
            })
        })
    }

    /// The authority that signs it, `ca.pem` beside it, and its key.
    pub fn authority(&self) -> (PathBuf, PathBuf) {
        let file = &self.certificate.file;
        (file.with_file_name("ca.pem"), file.with_file_name("ca.key"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_are_told_apart() {
        for (text, expected) in [
            ("localhost", Some("localhost")),
            ("Example.ORG", Some("example.org")),
            ("*.example.org", Some("*.example.org")),
            ("xn--bcher-kva.example", Some("xn--bcher-kva.example")),
            ("192.0.2.1", Some("192.0.2.1")),
            ("2001:db8:0::1", Some("2001:db8::1")),
            ("", None),
            ("*", None),
            ("a.*.org", None),
            ("example.org.", None),
            ("example.org:443", None),
            ("https://example.org", None),
            ("b\u{fc}cher.example", None),
            ("under_score", None),
            ("-a.org", None),
            ("192.0.2.256", None),
            ("[::1]", None),
        ] {
            let name = CertificateName::parse(text).map(|name| name.to_string());
            assert_eq!(name.as_deref(), expected, "{text}");
        }
    }
}
