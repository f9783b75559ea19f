//! How requests come in, as the upstream is told.

use crate::http1::Version;

/// What carries the requests of a client's connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hop {
    /// Whether that is TLS.
    pub secure: bool,
    /// Whether they are streams of HTTP/2.
    pub http2: bool,
}

impl Hop {
    /// For `X-Forwarded-Proto` and `Forwarded`.
    pub const fn scheme(self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }

    /// For the log, of a request that came in as HTTP/1 with this version.
    pub const fn protocol(self, version: Version) -> &'static str {
        match version {
            _ if self.http2 => "HTTP/2.0",
            Version::Http11 => "HTTP/1.1",
            Version::Http10 => "HTTP/1.0",
        }
    }

    /// The version for `Via` of a request that came in as HTTP/1 with this one (RFC 9110 §7.6.3).
    pub const fn received(self, version: Version) -> &'static str {
        match version {
            _ if self.http2 => "2.0",
            Version::Http11 => "1.1",
            Version::Http10 => "1.0",
        }
    }
}
