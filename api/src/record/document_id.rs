//! Which `_id` a request is recorded under: the proxy's `X-Request-Id`, else one of our own.
//!
//! The proxy keeps a request's id when it has to repeat the request. With the id as `_id` MongoDB
//! itself stores such a request once, however often it comes: see [`crate::write::coalescer`].

use actix_web::http::header::HeaderMap;
use mongodb::bson::oid::ObjectId;

/// An `_id`, and where it is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DocumentId {
    /// From the proxy. A document that bears it already is this request's own, from an earlier
    /// attempt.
    Given(ObjectId),
    /// Ours, and new. A document that bears it is another one.
    Minted(ObjectId),
}

impl DocumentId {
    /// The id for a request with these header fields, which the proxy has sent or hasn't.
    ///
    /// An id that isn't exactly 24 lower-case hex digits, once, is as good as none.
    pub fn of(headers: &HeaderMap, from_proxy: bool) -> Self {
        let given = if from_proxy {
            request_id(headers)
        } else {
            None
        };
        given.map_or_else(|| Self::Minted(ObjectId::new()), Self::Given)
    }

    /// The id itself.
    pub const fn object_id(self) -> ObjectId {
        match self {
            Self::Given(id) | Self::Minted(id) => id,
        }
    }
}

fn request_id(headers: &HeaderMap) -> Option<ObjectId> {
    let mut values = headers.get_all("x-request-id");
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let text = value.to_str().ok()?;
    // `parse_str` takes capitals too: another spelling than the one that everyone else logs.
    let lower_case = text
        .bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    ObjectId::parse_str(text).ok().filter(|_| lower_case)
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    const ID: &str = "65a1b2c3d4e5f60718293a4b";

    fn id_of(values: &[&[u8]], from_proxy: bool) -> DocumentId {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(
                HeaderName::from_static("x-request-id"),
                HeaderValue::from_bytes(value).unwrap(),
            );
        }
        DocumentId::of(&headers, from_proxy)
    }

    #[test]
    fn the_proxy_chooses_and_nobody_else() {
        let given = id_of(&[ID.as_bytes()], true);
        assert_eq!(given, DocumentId::Given(ID.parse().unwrap()));
        let DocumentId::Minted(minted) = id_of(&[ID.as_bytes()], false) else {
            panic!("anybody else's id isn't taken");
        };
        assert_ne!(minted.to_hex(), ID);
    }

    #[test]
    fn what_is_no_id_is_replaced() {
        for values in [
            &[][..],
            &[&b""[..]],
            &[b"65A1B2C3D4E5F60718293A4B"],
            &[b"65a1b2c3d4e5f60718293a4"],
            &[b"65a1b2c3d4e5f60718293a4bc"],
            &[b"65a1b2c3d4e5f60718293a4g"],
            &[b"65a1b2c3d4e5f60718293a4\xe9"],
            &[ID.as_bytes(), ID.as_bytes()],
        ] {
            let id = id_of(values, true);
            assert!(matches!(id, DocumentId::Minted(_)), "{values:?}");
        }
    }
}
