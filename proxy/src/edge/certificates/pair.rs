//! A certificate with its chain, and its key, as two PEM files.

use std::{
    fs::{self, Metadata},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use rustls::{
    crypto::aws_lc_rs::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    sign::CertifiedKey,
};
use x509_parser::{extensions::GeneralName, prelude::FromDer as _};

/// Others than these that have no business with a key (`o+r`).
const READABLE_BY_ALL: u32 = 0o004;
/// How long before its end one is warned of a certificate, unless it lives for less than ten times as
/// long.
const NOTICE: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// A certificate that can be served.
#[derive(Debug)]
pub(super) struct Certificate {
    pub(super) key: Arc<CertifiedKey>,
    /// The DNS names that it is for, in lower case.
    pub(super) names: Vec<Box<str>>,
    /// Its directory: certificates of earlier ones come first.
    pub(super) place: usize,
    /// In seconds since the epoch.
    not_before: i64,
    pub(super) not_after: i64,
}

impl Certificate {
    /// Of PEM texts.
    ///
    /// # Errors
    /// Why it can't be used.
    pub(super) fn parse(chain: &[u8], key: &[u8], place: usize) -> Result<Self, String> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain).collect();
        let chain = chain.map_err(|error| format!("certificate: {error}"))?;
        let first = chain.first().ok_or("no certificate in it, expected PEM")?;
        let (_, parsed) = x509_parser::certificate::X509Certificate::from_der(first)
            .map_err(|error| format!("certificate: {error}"))?;
        let validity = parsed.validity();
        let (not_before, not_after) = (
            validity.not_before.timestamp(),
            validity.not_after.timestamp(),
        );
        let alternatives = parsed
            .subject_alternative_name()
            .map_err(|error| format!("certificate: {error}"))?;
        let alternatives = alternatives.map(|extension| &extension.value.general_names);
        let names = alternatives.into_iter().flatten();
        let names = names.filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase().into()),
            _ => None,
        });
        let names = names.collect();
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| format!("key: {error}"))?;
        let key = CertifiedKey::from_der(chain, key, &default_provider())
            .map_err(|error| format!("key: {error}"))?;
        Ok(Self {
            key: Arc::new(key),
            names,
            place,
            not_before,
            not_after,
        })
    }

    /// When it ends, for people.
    pub(super) fn end(&self) -> String {
        // The last second of the year 9999, which says that there is no end (RFC 5280 §4.1.2.5).
        let seconds = self.not_after.clamp(0, 253_402_300_799);
        let since = Duration::from_secs(seconds.unsigned_abs());
        humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + since).to_string()
    }

    pub(super) fn has_expired(&self, now: SystemTime) -> bool {
        self.not_after < seconds(now)
    }

    /// Whether whoever renews it should have done so.
    pub(super) fn ends_soon(&self, now: SystemTime) -> bool {
        let notice = i64::try_from(NOTICE.as_secs()).unwrap_or(i64::MAX);
        let lifetime = self.not_after.saturating_sub(self.not_before);
        self.not_after.saturating_sub(seconds(now)) < notice.min(lifetime / 10)
    }
}

/// Since the epoch.
pub(super) fn seconds(now: SystemTime) -> i64 {
    let since = now.duration_since(SystemTime::UNIX_EPOCH);
    i64::try_from(since.unwrap_or_default().as_secs()).unwrap_or(i64::MAX)
}

/// Where a certificate and its key are.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

/// What tells a file from the one that was there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp([(u64, u64, u64, i64, i64); 2]);

impl Files {
    /// `NAME.crt` and `NAME.key`.
    pub(super) fn of(certificate: &Path) -> Self {
        Self {
            certificate: certificate.to_owned(),
            key: certificate.with_extension("key"),
        }
    }

    /// What the files look like from outside; those that can't be looked at look like nothing.
    pub(super) fn stamp(&self) -> Stamp {
        let stamp = |path| {
            let found = fs::metadata(path).ok();
            found.map_or_else(Default::default, |found: Metadata| {
                let (file, size) = ((found.dev(), found.ino()), found.size());
                (file.0, file.1, size, found.mtime(), found.mtime_nsec())
            })
        };
        Stamp([stamp(&self.certificate), stamp(&self.key)])
    }

    /// Reads them.
    ///
    /// # Errors
    /// Which one can't be used, and why.
    pub(super) fn read(&self, place: usize) -> Result<Certificate, String> {
        let read = |path: &Path| {
            fs::read(path).map_err(|error: io::Error| format!("{}: {error}", path.display()))
        };
        let (chain, key) = (read(&self.certificate)?, read(&self.key)?);
        Certificate::parse(&chain, &key, place)
    }

    /// Whether everybody on the machine may read the key.
    pub(super) fn key_is_open(&self) -> bool {
        let found = fs::metadata(&self.key);
        found.is_ok_and(|found| found.mode() & READABLE_BY_ALL != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn living(from: u64, to: u64) -> Certificate {
        let key = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap();
        let (chain, pem) = (key.cert.pem(), key.signing_key.serialize_pem());
        let whole = Certificate::parse(chain.as_bytes(), pem.as_bytes(), 0).unwrap();
        let day = 24 * 60 * 60;
        Certificate {
            not_before: i64::try_from(from * day).unwrap(),
            not_after: i64::try_from(to * day).unwrap(),
            ..whole
        }
    }

    #[test]
    fn one_is_warned_in_time() {
        let day = |day: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(day * 24 * 60 * 60);
        for (lifetime, notice) in [(365, 14), (90, 9), (10, 1)] {
            let certificate = living(100, 100 + lifetime);
            let end = 100 + lifetime;
            assert!(!certificate.ends_soon(day(end - notice - 1)), "{lifetime}");
            assert!(certificate.ends_soon(day(end - notice) + Duration::from_secs(1)));
            assert!(!certificate.has_expired(day(end)));
            assert!(certificate.has_expired(day(end) + Duration::from_secs(1)));
        }
    }
}
