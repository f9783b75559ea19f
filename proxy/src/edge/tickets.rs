//! Session tickets: a client keeps its session, sealed, so that any proxy can go on with it.
//!
//! The keys are derived from the secrets that all proxies share and from the time, so they change by
//! themselves, without a word between proxies, and survive a redeploy. A ticket is opened for the
//! period that it was sealed in and the one after; and by clocks that are behind, for the one before.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    hkdf,
};
use rustls::server::ProducesTickets;
use secrecy::{ExposeSecret as _, SecretString};

/// How long one key seals.
const PERIOD: Duration = Duration::from_secs(6 * 60 * 60);
/// Length of a key's name, by which its tickets are known.
const NAME: usize = 16;
const KEY: usize = 32;

/// Seals and opens tickets.
pub(super) struct Tickets {
    /// The first one seals.
    secrets: Vec<hkdf::Prk>,
    keys: ArcSwap<Keys>,
}

/// The keys of one period, and those of its neighbours.
struct Keys {
    period: u64,
    /// The first one seals.
    all: Vec<Key>,
}

struct Key {
    name: [u8; NAME],
    key: RandomizedNonceKey,
}

/// Bytes that are derived for one key.
struct Derived;

impl hkdf::KeyType for Derived {
    fn len(&self) -> usize {
        NAME + KEY
    }
}

impl Tickets {
    /// With these secrets, or with one that nobody else has.
    pub(super) fn new(secrets: &[SecretString]) -> Result<Self, getrandom::Error> {
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"causeway session tickets");
        let mut secrets: Vec<_> = secrets
            .iter()
            .map(|secret| salt.extract(secret.expose_secret().as_bytes()))
            .collect();
        if secrets.is_empty() {
            let mut own = [0; KEY];
            getrandom::fill(&mut own)?;
            secrets.push(salt.extract(&own));
        }
        let keys = Keys::of(&secrets, period(SystemTime::now()));
        Ok(Self {
            secrets,
            keys: ArcSwap::from_pointee(keys),
        })
    }

    /// The keys of a period.
    fn keys(&self, period: u64) -> Arc<Keys> {
        let keys = self.keys.load_full();
        if keys.period == period {
            return keys;
        }
        let keys = Arc::new(Keys::of(&self.secrets, period));
        self.keys.store(Arc::clone(&keys));
        keys
    }

    fn seal(&self, plain: &[u8], period: u64) -> Option<Vec<u8>> {
        let keys = self.keys(period);
        let Key { name, key } = keys.all.first()?;
        let mut sealed = plain.to_vec();
        let nonce = key.seal_in_place_append_tag(Aad::from(name), &mut sealed);
        Some([&name[..], nonce.ok()?.as_ref(), &sealed].concat())
    }

    fn open(&self, ticket: &[u8], period: u64) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_first_chunk::<NAME>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let keys = self.keys(period);
        let key = keys.all.iter().find(|key| key.name == *name)?;
        let mut sealed = sealed.to_vec();
        let nonce = Nonce::from(nonce);
        let plain = key.key.open_in_place(nonce, Aad::from(name), &mut sealed);
        let length = plain.ok()?.len();
        sealed.truncate(length);
        Some(sealed)
    }
}

impl Keys {
    fn of(secrets: &[hkdf::Prk], period: u64) -> Self {
        let periods = [period, period.saturating_sub(1), period + 1];
        let all = periods
            .iter()
            .flat_map(|period| secrets.iter().map(|secret| Key::of(secret, *period)));
        Self {
            period,
            all: all.flatten().collect(),
        }
    }
}

impl Key {
    /// `None` where the library says so, which it doesn't for lengths like these.
    fn of(secret: &hkdf::Prk, period: u64) -> Option<Self> {
        let mut derived = [0; NAME + KEY];
        let period = period.to_be_bytes();
        let info = [&period[..]];
        secret
            .expand(&info, Derived)
            .ok()?
            .fill(&mut derived)
            .ok()?;
        let (name, key) = derived.split_first_chunk()?;
        Some(Self {
            name: *name,
            key: RandomizedNonceKey::new(&AES_256_GCM, key).ok()?,
        })
    }
}

fn period(now: SystemTime) -> u64 {
    let since = now.duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or_default().as_secs() / PERIOD.as_secs()
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        // Less than any of them lives.
        u32::try_from(PERIOD.as_secs()).unwrap_or(u32::MAX)
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.seal(plain, period(SystemTime::now()))
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        self.open(ticket, period(SystemTime::now()))
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tickets").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tickets(secrets: &[&str]) -> Tickets {
        let secrets: Vec<_> = secrets.iter().copied().map(SecretString::from).collect();
        Tickets::new(&secrets).unwrap()
    }

    #[test]
    fn whoever_has_the_secret_opens_for_two_periods() {
        let (one, other) = (tickets(&["a secret"]), tickets(&["another", "a secret"]));
        let ticket = one.seal(b"session", 100).unwrap();
        assert_eq!(ticket.len(), NAME + NONCE_LEN + b"session".len() + 16);
        for period in 99..=101 {
            assert_eq!(other.open(&ticket, period).unwrap(), b"session");
        }
        assert!(other.open(&ticket, 98).is_none() && other.open(&ticket, 102).is_none());
        // And what the first one seals with the new secret, only those open who have that.
        let ticket = other.seal(b"session", 100).unwrap();
        assert!(one.open(&ticket, 100).is_none());
        assert!(other.open(&ticket, 100).is_some());
    }

    #[test]
    fn nothing_else_is_opened() {
        let own = tickets(&[]);
        let ticket = own.seal(b"session", 7).unwrap();
        assert_ne!(ticket, own.seal(b"session", 7).unwrap());
        assert!(tickets(&[]).open(&ticket, 7).is_none());
        for length in 0..ticket.len() {
            assert!(own.open(&ticket[..length], 7).is_none());
            let mut changed = ticket.clone();
            changed[length] ^= 1;
            assert!(own.open(&changed, 7).is_none());
        }
        assert!(!format!("{own:?}").contains("Prk"));
    }
}
