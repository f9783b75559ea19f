//! What can be wrong with an HTTP/1.1 message.

use thiserror::Error;

/// A violation of the message syntax, or of one of our limits on it.
///
/// Towards a client each maps to a status ([`SyntaxError::status`]); found in an upstream's
/// response each is a 502. The connection it came from is never used again: once framing is in
/// doubt, where the next message starts is in doubt too (RFC 9112 §11.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SyntaxError {
    /// The head is larger than [`super::head::MAX_HEAD`].
    #[error("message head too large")]
    HeadTooLarge,
    /// More header fields than [`super::head::MAX_FIELDS`] or
    /// [`super::head::MAX_RESPONSE_FIELDS`].
    #[error("too many header fields")]
    TooManyFields,
    /// The request line is longer than [`super::head::MAX_REQUEST_LINE`].
    #[error("request target too long")]
    TargetTooLong,
    /// A major version other than 1.
    #[error("HTTP version not supported")]
    Version,
    #[error("malformed start line")]
    StartLine,
    /// A line that ends in LF without CR.
    #[error("bare line feed")]
    BareLineFeed,
    /// A header field that can't be parsed: folding, bad name, bad value, no colon.
    #[error("malformed header field")]
    Field,
    /// The request target has a form we don't serve.
    #[error("malformed request target")]
    Target,
    /// `Host` missing, repeated or not a host (RFC 9112 §3.2).
    #[error("missing or malformed Host")]
    Host,
    /// CONNECT, which only makes sense for a forward proxy, and TRACE, which would show the client
    /// what we add for the upstream alone.
    #[error("method not allowed")]
    Method,
    /// `Content-Length` that isn't one plain decimal number.
    #[error("malformed Content-Length")]
    ContentLength,
    #[error("both Content-Length and Transfer-Encoding")]
    AmbiguousLength,
    /// `Transfer-Encoding` that is malformed or not allowed here.
    #[error("malformed Transfer-Encoding")]
    TransferEncoding,
    #[error("transfer coding not implemented")]
    UnknownCoding,
    /// `Connection` names a field that frames or routes the message.
    #[error("Connection names a field that can't be hop-by-hop")]
    Connection,
    #[error("malformed chunked body")]
    Chunk,
    #[error("malformed trailer section")]
    Trailer,
    #[error("body too large")]
    BodyTooLarge,
}

impl SyntaxError {
    /// The status that tells a client about it.
    pub const fn status(self) -> u16 {
        match self {
            Self::HeadTooLarge | Self::TooManyFields => 431,
            Self::TargetTooLong => 414,
            Self::Version => 505,
            Self::Method => 405,
            Self::UnknownCoding => 501,
            Self::BodyTooLarge => 413,
            _ => 400,
        }
    }
}
