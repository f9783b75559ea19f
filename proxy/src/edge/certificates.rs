//! Which certificate a client gets.
//!
//! They come from directories that are looked at all the time ([`Watch`]), so that a new one is used
//! by the next handshake, and connections that are open don't notice.

mod pair;
mod watch;

use std::{collections::HashMap, path::PathBuf, sync::Arc, time::SystemTime};

use arc_swap::ArcSwap;
use rustls::{
    SignatureAlgorithm, SignatureScheme,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use self::pair::Certificate;
pub(crate) use self::watch::Watch;

/// Reads the certificates of these directories.
pub(crate) fn open(directories: &[PathBuf]) -> (Arc<Certificates>, Watch) {
    let certificates = Arc::<Certificates>::default();
    let mut watch = Watch::new(Arc::clone(&certificates), directories);
    watch.look();
    (certificates, watch)
}

/// The certificates as they are now.
#[derive(Debug, Default)]
pub(crate) struct Certificates(ArcSwap<Table>);

impl Certificates {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.load().all.is_empty()
    }

    /// The pairs of files that there are, for the metrics.
    pub(crate) fn pairs(&self) -> Arc<[PairState]> {
        Arc::clone(&self.0.load().pairs)
    }
}

/// What has become of a pair of files.
#[derive(Debug)]
pub(crate) struct PairState {
    pub(crate) directory: String,
    pub(crate) name: String,
    /// Whether the files, as they are now, are the certificate that clients get.
    pub(crate) usable: bool,
    /// The end of the certificate that clients get, in seconds since the epoch.
    pub(crate) not_after: Option<i64>,
}

#[derive(Debug, Default)]
struct Table {
    /// The first one is for clients that name none of them.
    all: Vec<Arc<Certificate>>,
    /// Positions in it by name, wildcards with their asterisk; the best first.
    by_name: HashMap<Box<str>, Vec<usize>>,
    pairs: Arc<[PairState]>,
}

impl Table {
    /// Of these certificates, in this order, as of `now`.
    fn new(all: Vec<Arc<Certificate>>, pairs: Vec<PairState>, now: SystemTime) -> Self {
        let mut by_name = HashMap::<Box<str>, Vec<usize>>::new();
        for (position, certificate) in all.iter().enumerate() {
            for name in &certificate.names {
                by_name.entry(name.clone()).or_default().push(position);
            }
        }
        for positions in by_name.values_mut() {
            positions.sort_by_key(|position| {
                let certificate = &all[*position];
                let rsa = certificate.key.key.algorithm() == SignatureAlgorithm::RSA;
                // A signature with RSA costs many times as much.
                (certificate.has_expired(now), certificate.place, rsa)
            });
        }
        let pairs = pairs.into();
        Self {
            all,
            by_name,
            pairs,
        }
    }

    /// The certificate for a client that asks for `name` and can check these signatures: one of that
    /// name, else one of its domain, else the first.
    fn choose(
        &self,
        name: Option<&str>,
        schemes: &[SignatureScheme],
    ) -> Option<&Arc<CertifiedKey>> {
        let named = |name: &str| self.by_name.get(name).map_or(&[][..], Vec::as_slice);
        let wildcard = name.and_then(|name| name.split_once('.'));
        let wildcard = wildcard.map(|(_, domain)| format!("*.{domain}"));
        let first = self.all.first().and_then(|first| first.names.first());
        let exact = name.map_or(&[][..], named).iter();
        exact
            .chain(wildcard.as_deref().map_or(&[][..], named))
            .chain(first.map_or(&[][..], |first| named(first)))
            .map(|position| &self.all[*position])
            .chain(&self.all)
            .map(|certificate| &certificate.key)
            .find(|key| key.key.choose_scheme(schemes).is_some())
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let table = self.0.load();
        table
            .choose(hello.server_name(), hello.signature_schemes())
            .cloned()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256};

    use super::*;

    const ECDSA: SignatureScheme = SignatureScheme::ECDSA_NISTP256_SHA256;
    const RSA: SignatureScheme = SignatureScheme::RSA_PSS_SHA256;

    fn certificate(names: &[&str], rsa: bool, place: usize, years: i32) -> Arc<Certificate> {
        let algorithm = if rsa {
            &PKCS_RSA_SHA256
        } else {
            &PKCS_ECDSA_P256_SHA256
        };
        let names: Vec<_> = names.iter().copied().map(String::from).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = rcgen::date_time_ymd(1980, 1, 1);
        params.not_after = rcgen::date_time_ymd(2000 + years, 1, 1);
        let key = KeyPair::generate_for(algorithm).unwrap();
        let chain = params.self_signed(&key).unwrap().pem();
        let pem = key.serialize_pem();
        Arc::new(Certificate::parse(chain.as_bytes(), pem.as_bytes(), place).unwrap())
    }

    #[test]
    fn a_client_gets_the_certificate_of_the_name_that_it_asks_for() {
        let all = vec![
            certificate(&["first.test"], true, 0, 1000),
            certificate(&["a.test", "*.a.test"], true, 0, 1000),
            certificate(&["A.test"], false, 0, 1000),
            certificate(&["a.test", "old.test"], false, 1, 1000),
            certificate(&["old.test"], false, 0, -1),
        ];
        let keys: Vec<_> = all.iter().map(|it| Arc::clone(&it.key)).collect();
        let table = Table::new(all, Vec::new(), SystemTime::now());
        for (name, schemes, expected) in [
            (Some("a.test"), &[ECDSA, RSA][..], 2),
            (Some("a.test"), &[RSA], 1),
            (Some("b.a.test"), &[ECDSA, RSA], 1),
            // A wildcard stands for one label, and not for none.
            (Some("c.b.a.test"), &[ECDSA, RSA], 0),
            (Some("unknown.test"), &[RSA], 0),
            (None, &[RSA, ECDSA], 0),
            (None, &[ECDSA], 2),
            // One that has expired is better than none of the name, and worse than any other.
            (Some("old.test"), &[ECDSA], 3),
        ] {
            let chosen = table.choose(name, schemes).unwrap();
            assert!(Arc::ptr_eq(chosen, &keys[expected]), "{name:?} {schemes:?}");
        }
        assert!(table.choose(None, &[SignatureScheme::ED25519]).is_none());
    }
}
