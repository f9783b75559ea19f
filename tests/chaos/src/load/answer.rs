//! Reading one HTTP/1.1 response, and no more into it than was sent.

use crate::ledger::{Acknowledgement, Outcome};
use crate::load::request::Request;

/// Longest response head that an answer of ours has.
const MAX_HEAD: usize = 16 * 1024;
/// Most fields.
const MAX_FIELDS: usize = 64;
/// Before the id in the API's answer to a write.
const STORED: &str = "Request information stored successfully: ";

/// A response head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    /// The status code.
    pub(crate) status: u16,
    /// Bytes of the head.
    pub(crate) length: usize,
    /// Bytes of the body.
    pub(crate) body: usize,
    /// Whether the connection is closed afterwards.
    pub(crate) close: bool,
    /// `X-Request-Id`.
    pub(crate) request_id: String,
}

/// Parses a head once it is complete.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn head(bytes: &[u8]) -> Result<Option<Head>, String> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut response = httparse::Response::new(&mut fields);
    let length = match response.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if bytes.len() < MAX_HEAD => return Ok(None),
        Ok(httparse::Status::Partial) => return Err("a head without end".to_owned()),
        Err(error) => return Err(error.to_string()),
    };
    let value = |name: &str| {
        let field = response
            .headers
            .iter()
            .find(|field| field.name.eq_ignore_ascii_case(name));
        field.map(|field| String::from_utf8_lossy(field.value).into_owned())
    };
    // Proxy and API know the length of everything they say here; another framing isn't theirs.
    let body = value("content-length")
        .ok_or("no Content-Length")?
        .parse()
        .map_err(|_| "a Content-Length that is no number")?;
    Ok(Some(Head {
        status: response.code.unwrap_or_default(),
        length,
        body,
        close: value("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")),
        request_id: value("x-request-id").unwrap_or_default(),
    }))
}

/// What a complete response means for `request`.
pub(crate) fn outcome(request: &Request, head: &Head, body: &[u8]) -> Outcome {
    if head.status != 200 {
        return Outcome::Refused(head.status);
    }
    let body = String::from_utf8_lossy(body);
    if !request.is_write() {
        return Outcome::Acknowledged(None);
    }
    match body.trim_end().strip_prefix(STORED) {
        Some(id) if id.len() == 24 => Outcome::Acknowledged(Some(Acknowledgement {
            id: id.to_owned(),
            request_id: head.request_id.clone(),
        })),
        _ => Outcome::Malformed(format!("200 with the body {body:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::request::Kind;

    fn request(kind: Kind) -> Request {
        Request::over_tcp("t", kind, 0)
    }

    #[test]
    fn a_write_is_acknowledged_by_its_id() {
        let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 66\r\nX-Request-Id: 0123\r\n\r\n";
        let head = head(bytes).unwrap().unwrap();
        assert_eq!(
            (head.length, head.body, head.close),
            (bytes.len(), 66, false)
        );
        let body = b"Request information stored successfully: 0123456789abcdef01234567\n";
        let outcome = outcome(&request(Kind::Post), &head, body);
        let Outcome::Acknowledged(Some(it)) = outcome else {
            panic!("{outcome:?}");
        };
        assert_eq!(it.id, "0123456789abcdef01234567");
        assert_eq!(it.request_id, "0123");
    }

    #[test]
    fn a_200_that_names_no_id_acknowledges_nothing() {
        let head = head(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
            .unwrap()
            .unwrap();
        let post = outcome(&request(Kind::Post), &head, b"ok");
        assert!(matches!(post, Outcome::Malformed(_)), "{post:?}");
        let hello = outcome(&request(Kind::Hello), &head, b"ok");
        assert_eq!(hello, Outcome::Acknowledged(None));
    }

    #[test]
    fn heads_are_waited_for_and_bad_ones_refused() {
        assert_eq!(head(b"HTTP/1.1 200 OK\r\nContent-"), Ok(None));
        assert!(head(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        assert!(head(b"SSH-2.0-OpenSSH\r\n").is_err());
        assert!(head(&[b'a'; 1]).is_err());
        let close = head(b"HTTP/1.1 503 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        assert!(close.unwrap().unwrap().close);
    }
}
