//! The header fields that a proxy has to know, and the small grammar they share.

/// What a header field means to the proxy. Most mean nothing and are passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    EndToEnd,
    /// `Accept`: passed on, and decides the form of our own error pages.
    Accept,
    /// `WWW-Authenticate` and `Proxy-Authenticate`: passed on, and may bind a connection to a user.
    Challenge,
    Connection,
    ContentLength,
    Date,
    Expect,
    Forwarded,
    Host,
    /// The name of a field that we interpret, with `_` for `-`: `Content_Length`. Gateways that
    /// make variables of names (RFC 3875 §4.1.18, WSGI) can't tell the two apart.
    Lookalike,
    /// Only ever about one connection: `Keep-Alive`, `Proxy-Connection`, `HTTP2-Settings`.
    HopByHop,
    /// `Max-Forwards`: counted down in OPTIONS (RFC 9110 §7.6.2).
    MaxForwards,
    Te,
    /// `traceparent` and `tracestate`: passed on, or ours in their place where traces are exported.
    TraceParent,
    TraceState,
    Trailer,
    TransferEncoding,
    Upgrade,
    /// `User-Agent`: passed on and logged.
    UserAgent,
    XCorrelationId,
    XForwardedFor,
    XForwardedHost,
    /// Any other `X-Forwarded-…`
    XForwardedOther,
    XForwardedProto,
    /// `X-Proxy-Token`: a secret between the proxy and its upstream, never anybody else's.
    XProxyToken,
    XRealIp,
    XRequestId,
}

impl Field {
    /// Looks a field name up, whatever its case.
    pub(crate) fn of(name: &str) -> Self {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        match name.len() {
            2 if is("te") => Self::Te,
            4 if is("host") => Self::Host,
            4 if is("date") => Self::Date,
            6 if is("accept") => Self::Accept,
            6 if is("expect") => Self::Expect,
            7 if is("upgrade") => Self::Upgrade,
            7 if is("trailer") => Self::Trailer,
            9 if is("x-real-ip") => Self::XRealIp,
            9 if is("forwarded") => Self::Forwarded,
            10 if is("tracestate") => Self::TraceState,
            10 if is("connection") => Self::Connection,
            10 if is("user-agent") => Self::UserAgent,
            10 if is("keep-alive") => Self::HopByHop,
            11 if is("traceparent") => Self::TraceParent,
            12 if is("max-forwards") => Self::MaxForwards,
            12 if is("x-request-id") => Self::XRequestId,
            13 if is("x-proxy-token") => Self::XProxyToken,
            14 if is("content-length") => Self::ContentLength,
            14 if is("http2-settings") => Self::HopByHop,
            15 if is("x-forwarded-for") => Self::XForwardedFor,
            16 if is("x-correlation-id") => Self::XCorrelationId,
            16 if is("x-forwarded-host") => Self::XForwardedHost,
            16 if is("proxy-connection") => Self::HopByHop,
            16 if is("www-authenticate") => Self::Challenge,
            17 if is("transfer-encoding") => Self::TransferEncoding,
            17 if is("x-forwarded-proto") => Self::XForwardedProto,
            18 if is("proxy-authenticate") => Self::Challenge,
            12.. if name.as_bytes()[..12].eq_ignore_ascii_case(b"x-forwarded-") => {
                Self::XForwardedOther
            }
            _ if name.contains('_') => Self::of_lookalike(name),
            _ => Self::EndToEnd,
        }
    }

    /// What a name with underscores means to a recipient that reads them as hyphens.
    fn of_lookalike(name: &str) -> Self {
        match Self::of(&name.replace('_', "-")) {
            Self::EndToEnd => Self::EndToEnd,
            _ => Self::Lookalike,
        }
    }

    /// Whether the field is for the other end, and passed on unless `Connection` names it.
    pub(crate) const fn is_end_to_end(self) -> bool {
        matches!(
            self,
            Self::EndToEnd
                | Self::Accept
                | Self::Challenge
                | Self::Date
                | Self::MaxForwards
                | Self::TraceParent
                | Self::TraceState
                | Self::UserAgent
                | Self::XCorrelationId
        )
    }

    /// Whether a trailer section may carry the field (RFC 9110 §6.5.1): nothing that frames,
    /// routes or identifies the message, for which it would come too late.
    pub(crate) const fn allowed_in_trailers(self) -> bool {
        matches!(self, Self::EndToEnd)
    }
}

/// The elements of a comma-separated field value, without empty ones (RFC 9110 §5.6.1).
pub(crate) fn list(value: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    value
        .split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|element| !element.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_whatever_their_case() {
        assert_eq!(Field::of("CONTENT-LENGTH"), Field::ContentLength);
        assert_eq!(Field::of("transfer-Encoding"), Field::TransferEncoding);
        assert_eq!(Field::of("X-Forwarded-Port"), Field::XForwardedOther);
        for lookalike in [
            "Content_Length",
            "X_Forwarded-for",
            "USER_AGENT",
            "X-Forwarded_Ssl",
        ] {
            assert_eq!(Field::of(lookalike), Field::Lookalike, "{lookalike}");
        }
        assert_eq!(Field::of("X_Custom"), Field::EndToEnd);
        assert_eq!(Field::of("Keep-Alive"), Field::HopByHop);
        assert_eq!(Field::of("Proxy-Authenticate"), Field::Challenge);
        assert_eq!(Field::of("Proxy-Authorization"), Field::EndToEnd);
        assert_eq!(Field::of("é-forwarded-f"), Field::EndToEnd);
    }

    #[test]
    fn lists_skip_empty_elements() {
        let found: Vec<_> = list(b" a ,, b,\t").collect();
        assert_eq!(found, [b"a", b"b"]);
    }
}
