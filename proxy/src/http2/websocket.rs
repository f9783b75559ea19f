//! The handshake of HTTP/1.1 (RFC 6455 §4) for clients that have none: in HTTP/2 a stream is what it
//! proves (RFC 8441 §5).

use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};
use base64::{Engine, prelude::BASE64_STANDARD};

/// What a server appends to a key to show that it has understood.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A `Sec-WebSocket-Key`.
#[derive(Debug)]
pub(super) struct Key(String);

impl Key {
    /// A new one; `None` where the system has no randomness.
    pub(super) fn mint() -> Option<Self> {
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).ok()?;
        Some(Self(BASE64_STANDARD.encode(nonce)))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Whether this is the `Sec-WebSocket-Accept` of a server that has understood it.
    pub(super) fn is_accepted_by(&self, accept: &[u8]) -> bool {
        let mut digest = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
        digest.update(self.as_bytes());
        digest.update(GUID);
        BASE64_STANDARD.encode(digest.finish()).as_bytes() == accept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 6455 §1.3.
    #[test]
    fn the_answer_to_a_key_is_known() {
        let key = Key("dGhlIHNhbXBsZSBub25jZQ==".to_owned());
        assert!(key.is_accepted_by(b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        assert!(!key.is_accepted_by(b"s3pPLMBiTxaQ9kYGzzhZRbK+xOO="));
        assert_ne!(Key::mint().unwrap().0, Key::mint().unwrap().0);
    }
}
