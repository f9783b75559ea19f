//! The request head: judged, and rewritten for the upstream.

use std::{io::Write, net::IpAddr};

use httparse::Header;
use service::trace::{Span, TraceContext, Tracer};

use super::{
    ConnectionOptions, VIA_NAME,
    error_format::Format,
    hop::Hop,
    push_field, push_number,
    request_id::RequestId,
    target::{Target, is_host},
    trusted_proxies::TrustedProxies,
    upstream_token::UpstreamToken,
};
use crate::{
    http1::{
        BodyLength, Field, Method, SyntaxError, Version, field,
        framing::FramingFields,
        head::{MAX_FIELDS, parse_request},
    },
    upstream::name::UpstreamName,
};

/// Longest id that is taken over from a client.
const MAX_CORRELATION_ID: usize = 128;

/// What rewriting depends on besides the request.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// The peer's address as text.
    pub peer: &'a str,
    /// The trusted proxies, if the peer is one of them: its `X-Forwarded-*` and `Forwarded` are
    /// kept and continued then.
    pub proxies: Option<&'a TrustedProxies>,
    /// Stands in for `Host` where HTTP/1.0 clients send none.
    pub upstream: &'a UpstreamName,
    /// What tells the upstream that the request is from us.
    pub token: Option<&'a UpstreamToken>,
    pub hop: Hop,
    /// Where spans go, if traces are exported: the upstream's parent is ours then.
    pub tracer: Option<&'a Tracer>,
}

/// What the rest of an exchange, and the access log, need to know of a request; texts are those of its
/// head.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct RequestFacts<'h> {
    pub method: Method,
    /// The method as it was sent.
    pub method_token: &'h str,
    /// The target as it was sent.
    pub target: &'h str,
    /// The first `User-Agent`.
    pub user_agent: &'h [u8],
    /// Who asked, where a trusted proxy says that it wasn't itself.
    pub client: Option<IpAddr>,
    pub version: Version,
    /// Whom it is for, as far as it says so, and the path there with its query.
    pub host: Option<&'h [u8]>,
    pub path: &'h str,
    /// Whether the client's own connection is TLS, here or at a trusted proxy.
    pub secure: bool,
    /// The `Strict-Transport-Security` for its answer, where there is to be one.
    pub hsts: Option<&'h str>,
    /// How often the request may be forwarded, where it says so: at 0 it ends here.
    pub max_forwards: Option<u64>,
    pub body: BodyLength,
    /// Whether the client wants to keep the connection.
    pub keep_alive: bool,
    /// Whether the client may be waiting for a 100.
    pub expects_continue: bool,
    /// Whether the upstream is asked to switch protocols.
    pub upgrade: bool,
    /// The form in which the client prefers errors.
    pub error_format: Format,
    /// Our span, or where there is none the client's, if it says which.
    pub span: Option<Span>,
}

impl Default for RequestFacts<'_> {
    /// A request of which nothing could be understood.
    fn default() -> Self {
        Self {
            method: Method::Other,
            method_token: "",
            target: "",
            user_agent: b"",
            client: None,
            version: Version::Http11,
            host: None,
            path: "",
            secure: false,
            hsts: None,
            max_forwards: None,
            body: BodyLength::Fixed(0),
            keep_alive: false,
            expects_continue: false,
            upgrade: false,
            error_format: Format::Text,
            span: None,
        }
    }
}

/// Parses `head`, appends the head for the upstream to `out`, and fills in `facts` as far as the
/// request is understood, so that a refusal can be logged with its method and target.
pub fn rewrite<'h>(
    head: &'h [u8],
    origin: Origin<'_>,
    id: &RequestId,
    facts: &mut RequestFacts<'h>,
    out: &mut Vec<u8>,
) -> Result<(), SyntaxError> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let (line, fields) = parse_request(head, &mut fields)?;
    facts.method = line.method;
    facts.method_token = line.method_token;
    facts.target = line.target;
    facts.version = line.version;
    facts.client = origin.proxies.and_then(|proxies| {
        let forwarded_for = fields
            .iter()
            .filter(|header| Field::of(header.name) == Field::XForwardedFor)
            .flat_map(|header| field::list(header.value));
        proxies.client(forwarded_for)
    });

    let survey = Survey::of(fields, facts)?;
    let target = Target::of(&line)?;
    let host = match (target.authority, survey.host) {
        // RFC 9112 §3.2: no Host is an error even where the target has one.
        (_, None) if line.version == Version::Http11 => return Err(SyntaxError::Host),
        (Some(authority), _) => Some(authority.as_bytes()),
        (None, host) => host,
    };
    if !host.is_none_or(is_host) || !survey.host.is_none_or(is_host) {
        return Err(SyntaxError::Host);
    }
    facts.host = host;
    facts.path = target.path;
    facts.secure = origin.hop.secure
        || (origin.proxies.is_some()
            && fields.iter().any(|header| {
                Field::of(header.name) == Field::XForwardedProto
                    && header.value.eq_ignore_ascii_case(b"https")
            }));
    facts.body = survey.framing.request_body(line.version)?;
    let options = survey.options;
    facts.keep_alive = match line.version {
        Version::Http11 => !options.close,
        Version::Http10 => options.keep_alive && !options.close,
    };
    facts.expects_continue = survey.expects_continue && line.version == Version::Http11;
    facts.upgrade = options.upgrade
        && survey.upgrades
        && line.version == Version::Http11
        && facts.body.is_empty();
    facts.span = match origin.tracer {
        Some(tracer) => Some(tracer.begin(survey.trace)),
        None => survey.trace.map(Span::of_others),
    };

    out.extend_from_slice(line.method_token.as_bytes());
    out.push(b' ');
    if target.path.starts_with('?') {
        // RFC 9110 §4.2.3: an empty path is the same as `/`.
        out.push(b'/');
    }
    out.extend_from_slice(target.path.as_bytes());
    // Writing to a Vec can't fail, here and below.
    let _ = match host {
        Some(host) => {
            out.extend_from_slice(b" HTTP/1.1\r\nHost: ");
            out.write_all(host)
        }
        None => write!(out, " HTTP/1.1\r\nHost: {}", origin.upstream),
    };
    out.extend_from_slice(b"\r\n");
    for header in fields {
        if !passes(header, &survey, origin, line.version) || options.removes(header.name, fields) {
            continue;
        }
        match max_forwards(header, line.method) {
            Some(left) => push_number(out, header.name, left.saturating_sub(1)),
            None => push_field(out, header.name, header.value),
        }
    }
    push_framing(out, facts.body, survey.framing);
    push_connection(out, facts, &survey, fields);
    push_forwarding(out, fields, origin, host, facts.client);
    push_field(out, "X-Request-Id", id.as_bytes());
    if let (Some(_), Some(span)) = (origin.tracer, facts.span) {
        let _ = write!(out, "traceparent: {}\r\n", span.context);
    }
    if let Some(token) = origin.token {
        out.extend_from_slice(token.field_line());
    }
    if let Some(theirs) = survey.correlation_id {
        push_field(out, "X-Correlation-Id", theirs);
    }
    push_via(out, origin.hop.received(line.version));
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// What one pass over the fields finds out.
#[derive(Default)]
struct Survey<'b> {
    host: Option<&'b [u8]>,
    framing: FramingFields,
    options: ConnectionOptions,
    /// `Expect: 100-continue`
    expects_continue: bool,
    /// `Upgrade` to something that we pass on.
    upgrades: bool,
    /// `TE: trailers`
    wants_trailers: bool,
    /// What becomes the `X-Correlation-Id`, of a client that sends none.
    correlation_id: Option<&'b [u8]>,
    /// The client's trace, if it says validly which one that is.
    trace: Option<TraceContext>,
}

impl<'b> Survey<'b> {
    fn of(fields: &[Header<'b>], facts: &mut RequestFacts<'b>) -> Result<Self, SyntaxError> {
        let mut survey = Self::default();
        let (mut correlated, mut traced) = (false, false);
        for header in fields {
            let (field, value) = (Field::of(header.name), header.value);
            match field {
                Field::Host if survey.host.is_some() => return Err(SyntaxError::Host),
                Field::Host => survey.host = Some(value),
                Field::ContentLength | Field::TransferEncoding => {
                    survey.framing.note(field, value)?;
                }
                Field::Connection => survey.options.note(value)?,
                Field::Expect => {
                    survey.expects_continue |= value.eq_ignore_ascii_case(b"100-continue");
                }
                // h2c would turn the connection into something that we don't follow.
                Field::Upgrade => {
                    survey.upgrades |=
                        field::list(value).any(|name| !name.eq_ignore_ascii_case(b"h2c"));
                }
                Field::Te => {
                    survey.wants_trailers |=
                        field::list(value).any(|name| name.eq_ignore_ascii_case(b"trailers"));
                }
                Field::Accept => facts.error_format = Format::preferred(value),
                Field::UserAgent => facts.user_agent = value,
                Field::MaxForwards => {
                    let stated = max_forwards(header, facts.method);
                    facts.max_forwards = stated.into_iter().chain(facts.max_forwards).min();
                }
                // Of several none counts.
                Field::TraceParent => {
                    survey.trace = TraceContext::parse(value).filter(|_| !traced);
                    traced = true;
                }
                Field::XRequestId => survey.correlation_id = Some(value),
                Field::XCorrelationId => correlated = true,
                _ => {}
            }
        }
        survey.correlation_id = survey
            .correlation_id
            .filter(|theirs| !correlated && is_correlation_id(theirs));
        Ok(survey)
    }
}

/// Whether a field is passed on as it is.
fn passes(header: &Header<'_>, survey: &Survey<'_>, origin: Origin<'_>, version: Version) -> bool {
    match Field::of(header.name) {
        // Ours takes its place; what belongs to one that is invalid goes with it.
        Field::TraceParent => origin.tracer.is_none(),
        Field::TraceState => origin.tracer.is_none() || survey.trace.is_some(),
        field if field.is_end_to_end() => true,
        // A server has to ignore 100-continue from HTTP/1.0 (RFC 9110 §10.1.1).
        Field::Expect => version == Version::Http11,
        Field::Trailer => survey.framing.is_chunked(),
        Field::XForwardedOther | Field::XForwardedProto | Field::XForwardedHost => {
            origin.proxies.is_some()
        }
        _ => false,
    }
}

fn push_framing(out: &mut Vec<u8>, body: BodyLength, framing: FramingFields) {
    if body == BodyLength::Chunked {
        push_field(out, "Transfer-Encoding", b"chunked");
    } else if let Some(length) = framing.content_length() {
        push_number(out, "Content-Length", length);
    }
}

fn push_connection(
    out: &mut Vec<u8>,
    facts: &RequestFacts<'_>,
    survey: &Survey<'_>,
    fields: &[Header<'_>],
) {
    if facts.upgrade {
        push_field(out, "Connection", b"upgrade");
        let protocols = fields
            .iter()
            .filter(|header| Field::of(header.name) == Field::Upgrade)
            .flat_map(|header| field::list(header.value))
            .filter(|name| !name.eq_ignore_ascii_case(b"h2c"));
        for protocol in protocols {
            push_field(out, "Upgrade", protocol);
        }
    } else if survey.wants_trailers {
        push_field(out, "Connection", b"TE");
        push_field(out, "TE", b"trailers");
    }
}

/// How often the request may be forwarded: a number in `Max-Forwards` of OPTIONS. In other methods
/// the field means nothing (RFC 9110 §7.6.2), and TRACE isn't forwarded.
fn max_forwards(header: &Header<'_>, method: Method) -> Option<u64> {
    let counts = method == Method::Options && Field::of(header.name) == Field::MaxForwards;
    let digits = Some(header.value)
        .filter(|value| counts && !value.is_empty() && value.iter().all(u8::is_ascii_digit))?;
    // A larger number is brought down to the largest that we know.
    Some(str::from_utf8(digits).ok()?.parse().unwrap_or(u64::MAX))
}

/// Who the request is from and what it asked for. What a trusted peer says is kept or continued.
fn push_forwarding(
    out: &mut Vec<u8>,
    fields: &[Header<'_>],
    origin: Origin<'_>,
    host: Option<&[u8]>,
    client: Option<IpAddr>,
) {
    let theirs = |wanted: Field| {
        fields
            .iter()
            .filter(move |header| origin.proxies.is_some() && Field::of(header.name) == wanted)
    };
    let continued = |out: &mut Vec<u8>, name: &str, wanted: Field| {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": ");
        for header in theirs(wanted).filter(|header| !header.value.is_empty()) {
            out.extend_from_slice(header.value);
            out.extend_from_slice(b", ");
        }
    };
    continued(out, "X-Forwarded-For", Field::XForwardedFor);
    out.extend_from_slice(origin.peer.as_bytes());
    out.extend_from_slice(b"\r\n");
    if theirs(Field::XForwardedProto).next().is_none() {
        push_field(out, "X-Forwarded-Proto", origin.hop.scheme().as_bytes());
    }
    if let Some(host) = host
        && theirs(Field::XForwardedHost).next().is_none()
    {
        push_field(out, "X-Forwarded-Host", host);
    }
    // Ours alone: a proxy that passes its client's `X-Real-IP` on would pass a forged one on.
    match client {
        Some(client) => {
            let _ = write!(out, "X-Real-IP: {client}\r\n");
        }
        None => push_field(out, "X-Real-IP", origin.peer.as_bytes()),
    }
    if theirs(Field::Forwarded).next().is_some() {
        continued(out, "Forwarded", Field::Forwarded);
        let quoted = origin.peer.contains(':');
        let (before, after) = if quoted { ("\"[", "]\"") } else { ("", "") };
        let (peer, scheme) = (origin.peer, origin.hop.scheme());
        let _ = write!(out, "for={before}{peer}{after};proto={scheme}\r\n");
    }
}

/// Adds us to the chain of `Via` fields; those before were passed on (RFC 9110 §7.6.3).
pub(super) fn push_via(out: &mut Vec<u8>, received: &str) {
    let _ = write!(out, "Via: {received} {VIA_NAME}\r\n");
}

/// A client's id is data: it may be passed on, but only if it can't do harm in a log.
fn is_correlation_id(value: &[u8]) -> bool {
    (1..=MAX_CORRELATION_ID).contains(&value.len()) && value.iter().all(u8::is_ascii_graphic)
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use super::*;

    fn rewritten_from(request: &str, peer: &str, trusted: bool) -> Result<String, SyntaxError> {
        let upstream = UpstreamName::from_str("flask-app:9090").unwrap();
        let proxies = TrustedProxies::parse("10.0.0.0/8,2001:db8::/32").unwrap();
        let origin = Origin {
            peer,
            proxies: trusted.then_some(&proxies),
            upstream: &upstream,
            token: None,
            hop: Hop::default(),
            tracer: None,
        };
        let id = RequestId::mint(std::time::UNIX_EPOCH);
        let mut out = Vec::new();
        let mut facts = RequestFacts::default();
        rewrite(request.as_bytes(), origin, &id, &mut facts, &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    fn rewritten(request: &str) -> Result<String, SyntaxError> {
        rewritten_from(request, "192.0.2.1", false)
    }

    fn with_fields(fields: &str) -> Result<String, SyntaxError> {
        rewritten(&format!(
            "GET /a?b HTTP/1.1\r\nHost: example.com:8080\r\n{fields}\r\n"
        ))
    }

    #[test]
    fn the_usual_request() {
        let out = with_fields("Accept: */*\r\nX_Odd.name: 1\r\n").unwrap();
        assert!(out.starts_with("GET /a?b HTTP/1.1\r\nHost: example.com:8080\r\nAccept: */*\r\n"));
        for line in [
            "X_Odd.name: 1",
            "X-Forwarded-For: 192.0.2.1",
            "X-Forwarded-Proto: http",
            "X-Forwarded-Host: example.com:8080",
            "X-Real-IP: 192.0.2.1",
            "Via: 1.1 causeway",
            "X-Request-Id: 00000000",
        ] {
            assert!(out.contains(&format!("\r\n{line}")), "{line} in {out}");
        }
        assert!(out.ends_with("\r\n\r\n"));
    }

    #[test]
    fn what_untrusted_clients_claim_is_replaced() {
        let spoofed = "X-Forwarded-For: 1.1.1.1\r\nx-forwarded-proto: https\r\nForwarded: for=evil\r\n\
                       X-Forwarded-Host: evil\r\nX-Real-Ip: 1.1.1.1\r\nX-Forwarded-Port: 1\r\n";
        let out = with_fields(spoofed).unwrap();
        assert!(
            !out.contains("1.1.1.1") && !out.contains("evil") && !out.contains("Port"),
            "{out}"
        );
        assert!(out.contains("X-Forwarded-Proto: http\r\n"));

        let request = format!("GET / HTTP/1.1\r\nHost: a\r\n{spoofed}\r\n");
        let out = rewritten_from(&request, "2001:db8::1", true).unwrap();
        for line in [
            "X-Forwarded-For: 1.1.1.1, 2001:db8::1",
            "x-forwarded-proto: https",
            "X-Forwarded-Host: evil",
            "X-Real-IP: 1.1.1.1",
            "X-Forwarded-Port: 1",
            "Forwarded: for=evil, for=\"[2001:db8::1]\";proto=http",
        ] {
            assert!(out.contains(&format!("\r\n{line}\r\n")), "{line} in {out}");
        }
        assert!(!out.contains("Proto: http\r\n"));
    }

    #[test]
    fn hop_by_hop_fields_end_here() {
        let out = with_fields(
            "Connection: close, X-Mine ,te\r\nX-Mine: 1\r\nKeep-Alive: 5\r\nTE: trailers, deflate\r\n\
             Proxy-Connection: y\r\nUpgrade: h2c\r\nHTTP2-Settings: z\r\n",
        )
        .unwrap();
        assert!(out.contains("Connection: TE\r\nTE: trailers\r\n"));
        for gone in [
            "X-Mine",
            "Keep-Alive",
            "Proxy-",
            "Upgrade",
            "HTTP2",
            "deflate",
            "close",
        ] {
            assert!(!out.contains(gone), "{gone} in {out}");
        }
        for framing in ["Host", "content-length", "Transfer-Encoding"] {
            let refused = with_fields(&format!("Connection: {framing}\r\n"));
            assert_eq!(refused, Err(SyntaxError::Connection), "{framing}");
        }
    }

    #[test]
    fn upgrades_are_passed_on_but_not_to_h2c() {
        let out = with_fields("Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n").unwrap();
        assert!(
            out.contains("Connection: upgrade\r\nUpgrade: websocket\r\n") && !out.contains("h2c")
        );
        let with_body = with_fields("Connection: Upgrade\r\nUpgrade: x\r\nContent-Length: 1\r\n");
        assert!(!with_body.unwrap().contains("Upgrade"));
    }

    #[test]
    fn the_clients_id_is_only_a_correlation_id() {
        let out = with_fields("X-Request-Id: mine\r\n").unwrap();
        assert!(out.contains("X-Correlation-Id: mine\r\n") && !out.contains("X-Request-Id: mine"));
        for bad in ["a b".to_owned(), "x".repeat(129), "caf\u{e9}".to_owned()] {
            let out = with_fields(&format!("X-Request-Id: {bad}\r\n")).unwrap();
            assert!(!out.contains("Correlation"), "{bad}");
        }
        let out = with_fields("X-Correlation-Id: a b\r\nX-Request-Id: mine\r\n").unwrap();
        assert!(out.contains("X-Correlation-Id: a b\r\n") && !out.contains("mine"));
    }

    #[test]
    fn targets() {
        let line = |line: &str| rewritten(&format!("{line}\r\nHost: real\r\n\r\n"));
        let out = line("GET http://other:81/p?q HTTP/1.1").unwrap();
        assert!(
            out.starts_with("GET /p?q HTTP/1.1\r\nHost: other:81\r\n"),
            "{out}"
        );
        assert!(
            line("GET HTTP://other HTTP/1.1")
                .unwrap()
                .starts_with("GET / ")
        );
        assert!(
            line("OPTIONS * HTTP/1.1")
                .unwrap()
                .starts_with("OPTIONS * ")
        );
        assert!(
            line("GET /../%2e%2E//x HTTP/1.1")
                .unwrap()
                .starts_with("GET /../%2e%2E//x ")
        );
        assert!(
            line("GET http://a?q HTTP/1.1")
                .unwrap()
                .starts_with("GET /?q HTTP/1.1\r\nHost: a\r\n")
        );
        assert!(
            line("OPTIONS http://a?q HTTP/1.1")
                .unwrap()
                .starts_with("OPTIONS /?q ")
        );
        assert_eq!(line("CONNECT a:1 HTTP/1.1"), Err(SyntaxError::Method));
        assert_eq!(line("TRACE / HTTP/1.1"), Err(SyntaxError::Method));
        for bad in [
            "GET *",
            "GET a:80",
            "GET a",
            "GET http://",
            "GET http://u@h/",
            "GET ftp://h/",
            "GET /#f",
            "GET http://?q",
            "GET http://a?q#f",
        ] {
            assert!(line(&format!("{bad} HTTP/1.1")).is_err(), "{bad}");
        }
    }

    #[test]
    fn hosts() {
        for host in [
            "", "%", "a%4", "a%zz", "a b", "a,b", "a/b", "u@a", "a:b", "[::1", "::1", "a:123456",
            "a\u{e9}",
        ] {
            let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
            assert_eq!(rewritten(&request), Err(SyntaxError::Host), "{host:?}");
        }
        for host in [
            "a",
            "a:",
            "a.b-c_d:80",
            "!$&'()*+;=~%41:80",
            "[::1]",
            "[::1]:80",
            "127.0.0.1",
        ] {
            let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
            assert!(
                rewritten(&request)
                    .unwrap()
                    .contains(&format!("Host: {host}\r\n")),
                "{host}"
            );
        }
        assert_eq!(rewritten("GET / HTTP/1.1\r\n\r\n"), Err(SyntaxError::Host));
        assert_eq!(
            rewritten("GET http://a/ HTTP/1.1\r\n\r\n"),
            Err(SyntaxError::Host)
        );
        assert_eq!(
            with_fields("Host: example.com:8080\r\n"),
            Err(SyntaxError::Host)
        );
        let old = rewritten("GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n").unwrap();
        assert!(old.contains("Host: flask-app:9090\r\n") && old.contains("Via: 1.0 causeway"));
        assert!(!old.contains("Expect") && !old.contains("X-Forwarded-Host"));
    }

    #[test]
    fn max_forwards_is_counted_down_in_options_only() {
        for (method, value, forwarded) in [
            ("OPTIONS", "7", "6"),
            ("OPTIONS", "007", "6"),
            ("OPTIONS", "99999999999999999999", "18446744073709551614"),
            ("OPTIONS", "many", "many"),
            ("OPTIONS", "-1", "-1"),
            ("GET", "0", "0"),
        ] {
            let request =
                format!("{method} / HTTP/1.1\r\nHost: a\r\nMax-Forwards: {value}\r\n\r\n");
            let out = rewritten(&request).unwrap();
            let line = format!("\r\nMax-Forwards: {forwarded}\r\n");
            assert!(out.contains(&line), "{method} {value}: {out}");
        }
    }
}
