//! Request ids: 24 lower-case hex digits in the shape of a MongoDB `ObjectId`.
//!
//! 4 bytes of seconds, 5 random bytes per process and a 3-byte counter (BSON specification,
//! `ObjectId`), so that the id can serve as a document's `_id` and sorts by time.

use std::{
    fmt,
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId([u8; 24]);

static COUNTER: AtomicU32 = AtomicU32::new(0);
static PROCESS: OnceLock<[u8; 5]> = OnceLock::new();

impl RequestId {
    /// Draws the random part that all ids of this process share, and where the counter starts.
    ///
    /// Fails where the operating system has no randomness to give.
    pub(crate) fn init() -> Result<(), getrandom::Error> {
        let (mut process, mut counter) = ([0; 5], [0; 4]);
        getrandom::fill(&mut process)?;
        getrandom::fill(&mut counter)?;
        if PROCESS.set(process).is_ok() {
            COUNTER.store(u32::from_be_bytes(counter), Ordering::Relaxed);
        }
        Ok(())
    }

    pub fn mint(now: SystemTime) -> Self {
        let seconds = now
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        let mut bytes = [0; 12];
        // The shape has four bytes for the seconds, which wrap in 2106, and three for the count.
        bytes[..4].copy_from_slice(&seconds.to_be_bytes()[4..]);
        bytes[4..9].copy_from_slice(&PROCESS.get().copied().unwrap_or_default());
        bytes[9..].copy_from_slice(&count.to_be_bytes()[1..]);
        let mut hex = [0; 24];
        for (pair, byte) in hex.chunks_exact_mut(2).zip(bytes) {
            pair.copy_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
        Self(hex)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, time::Duration};

    use super::*;

    #[test]
    fn ids_look_like_object_ids_and_differ() {
        RequestId::init().unwrap();
        let now = UNIX_EPOCH + Duration::from_secs(0x0102_0304);
        let ids: HashSet<_> = (0..1000).map(|_| RequestId::mint(now)).collect();
        assert_eq!(ids.len(), 1000);
        for id in ids {
            let text = id.as_str();
            assert!(text.starts_with("01020304") && text.len() == 24, "{text}");
            assert!(
                text.bytes()
                    .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
            );
        }
    }
}
