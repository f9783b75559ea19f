//! How long a body is: RFC 9112 §6.3, in its strictest reading.
//!
//! Request smuggling lives on two recipients that read one message differently. So every message
//! whose length could be argued about is refused, also where the RFC lets a recipient repair it
//! (equal duplicates of `Content-Length`, `Transfer-Encoding` overriding it), and what is
//! forwarded is framed anew from what was understood here.

use httparse::Header;

use super::{Field, SyntaxError, Version};

/// Where the end of a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyLength {
    /// Exactly so many bytes; 0 for a message without a body.
    Fixed(u64),
    /// In the chunked coding.
    Chunked,
    /// Where the connection ends; responses only.
    UntilClose,
}

impl BodyLength {
    /// Whether there is nothing to read.
    pub(crate) const fn is_empty(self) -> bool {
        matches!(self, Self::Fixed(0))
    }
}

/// What the framing fields of one head say, gathered field by field.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct FramingFields {
    content_length: Option<u64>,
    /// What `Transfer-Encoding` says, if it is there: chunked, or why it can't be served.
    coding: Option<Result<(), SyntaxError>>,
}

impl FramingFields {
    /// Takes in one field; those that don't frame are ignored.
    pub(crate) fn note(&mut self, field: Field, value: &[u8]) -> Result<(), SyntaxError> {
        match field {
            Field::ContentLength => {
                if self.content_length.is_some() {
                    return Err(SyntaxError::ContentLength);
                }
                self.content_length = Some(parse_content_length(value)?);
            }
            Field::TransferEncoding => {
                let repeated = Err(SyntaxError::TransferEncoding);
                let coding = self
                    .coding
                    .map_or_else(|| check_coding(value), |_| repeated);
                self.coding = Some(coding);
            }
            _ => {}
        }
        Ok(())
    }

    /// Gathers all framing fields of a head.
    pub(crate) fn of(fields: &[Header<'_>]) -> Result<Self, SyntaxError> {
        let mut framing = Self::default();
        for field in fields {
            framing.note(Field::of(field.name), field.value)?;
        }
        Ok(framing)
    }

    /// The declared `Content-Length`, also where there is no body to go with it (HEAD, 304).
    pub(crate) const fn content_length(self) -> Option<u64> {
        self.content_length
    }

    /// Whether the message says that it is chunked.
    pub(crate) const fn is_chunked(self) -> bool {
        matches!(self.coding, Some(Ok(())))
    }

    /// The length of a request's body.
    pub(crate) fn request_body(self, version: Version) -> Result<BodyLength, SyntaxError> {
        self.check(version)?;
        Ok(match self.content_length {
            _ if self.is_chunked() => BodyLength::Chunked,
            length => BodyLength::Fixed(length.unwrap_or(0)),
        })
    }

    /// The length of the body of a response with `status` to a request that was, or wasn't, HEAD.
    pub(crate) fn response_body(
        self,
        version: Version,
        status: u16,
        to_head: bool,
    ) -> Result<BodyLength, SyntaxError> {
        self.check(version)?;
        Ok(match self.content_length {
            _ if to_head || matches!(status, 100..=199 | 204 | 304) => BodyLength::Fixed(0),
            _ if self.is_chunked() => BodyLength::Chunked,
            Some(length) => BodyLength::Fixed(length),
            None => BodyLength::UntilClose,
        })
    }

    fn check(self, version: Version) -> Result<(), SyntaxError> {
        let Some(coding) = self.coding else {
            return Ok(());
        };
        if self.content_length.is_some() {
            return Err(SyntaxError::AmbiguousLength);
        }
        // HTTP/1.0 has no transfer codings; a message that claims one has passed through
        // something that mangles framing (RFC 9112 §6.1).
        if version == Version::Http10 {
            return Err(SyntaxError::TransferEncoding);
        }
        coding
    }
}

/// One plain decimal number: no sign, no list, no blank, no overflow.
fn parse_content_length(value: &[u8]) -> Result<u64, SyntaxError> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(SyntaxError::ContentLength);
    }
    value
        .iter()
        .try_fold(0u64, |sum, digit| {
            sum.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
        })
        .ok_or(SyntaxError::ContentLength)
}

/// Exactly `chunked`. A well-formed list of other codings is told apart from noise, for the 501.
fn check_coding(value: &[u8]) -> Result<(), SyntaxError> {
    const KNOWN: [&str; 6] = [
        "gzip",
        "x-gzip",
        "deflate",
        "compress",
        "x-compress",
        "identity",
    ];
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(());
    }
    let known = |coding: &[u8]| {
        coding.eq_ignore_ascii_case(b"chunked")
            || KNOWN
                .iter()
                .any(|known| coding.eq_ignore_ascii_case(known.as_bytes()))
    };
    let codings = || value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    let only_chunked = codings().all(|coding| coding.eq_ignore_ascii_case(b"chunked"));
    if codings().all(known) && !only_chunked {
        Err(SyntaxError::UnknownCoding)
    } else {
        Err(SyntaxError::TransferEncoding)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framing(fields: &[(&str, &str)]) -> Result<FramingFields, SyntaxError> {
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| Header {
                name,
                value: value.as_bytes(),
            })
            .collect();
        FramingFields::of(&fields)
    }

    fn request(fields: &[(&str, &str)]) -> Result<BodyLength, SyntaxError> {
        framing(fields)?.request_body(Version::Http11)
    }

    #[test]
    fn request_lengths() {
        assert_eq!(request(&[]), Ok(BodyLength::Fixed(0)));
        assert_eq!(
            request(&[("content-length", "007")]),
            Ok(BodyLength::Fixed(7))
        );
        assert_eq!(
            request(&[("Transfer-Encoding", "Chunked")]),
            Ok(BodyLength::Chunked)
        );
    }

    #[test]
    fn lengths_that_could_be_read_otherwise_are_refused() {
        for value in [
            "",
            "+1",
            "-1",
            "1 ",
            "1, 1",
            "0x1",
            "1_0",
            "18446744073709551616",
            "1.0",
            "\u{661}",
        ] {
            let found = request(&[("Content-Length", value)]);
            assert_eq!(found, Err(SyntaxError::ContentLength), "{value:?}");
        }
        let twice = [("Content-Length", "1"), ("content-length", "1")];
        assert_eq!(request(&twice), Err(SyntaxError::ContentLength));
        for other in ["chunked", "gzip, chunked", "identity"] {
            let both = [("Content-Length", "1"), ("Transfer-Encoding", other)];
            assert!(request(&both).is_err(), "{other}");
        }
    }

    #[test]
    fn codings_other_than_one_chunked_are_refused() {
        for (value, error) in [
            ("chunked, chunked", SyntaxError::TransferEncoding),
            ("xchunked", SyntaxError::TransferEncoding),
            ("\"chunked\"", SyntaxError::TransferEncoding),
            ("chunked;q=1", SyntaxError::TransferEncoding),
            ("", SyntaxError::TransferEncoding),
            (",chunked", SyntaxError::TransferEncoding),
            ("gzip, chunked", SyntaxError::UnknownCoding),
            ("chunked, identity", SyntaxError::UnknownCoding),
        ] {
            assert_eq!(
                request(&[("Transfer-Encoding", value)]),
                Err(error),
                "{value:?}"
            );
        }
        let twice = [
            ("Transfer-Encoding", "chunked"),
            ("Transfer-Encoding", "chunked"),
        ];
        assert_eq!(request(&twice), Err(SyntaxError::TransferEncoding));
        let old = framing(&[("Transfer-Encoding", "chunked")]).unwrap();
        assert!(old.request_body(Version::Http10).is_err());
    }

    #[test]
    fn response_lengths() {
        let length = |fields, status, to_head| {
            framing(fields)
                .unwrap()
                .response_body(Version::Http11, status, to_head)
                .unwrap()
        };
        assert_eq!(length(&[], 200, false), BodyLength::UntilClose);
        assert_eq!(
            length(&[("Content-Length", "5")], 200, false),
            BodyLength::Fixed(5)
        );
        assert_eq!(
            length(&[("Content-Length", "5")], 200, true),
            BodyLength::Fixed(0)
        );
        assert_eq!(
            length(&[("Content-Length", "5")], 304, false),
            BodyLength::Fixed(0)
        );
        assert_eq!(
            length(&[("Transfer-Encoding", "chunked")], 204, false),
            BodyLength::Fixed(0)
        );
        assert_eq!(
            length(&[("Transfer-Encoding", "chunked")], 200, false),
            BodyLength::Chunked
        );
    }
}
