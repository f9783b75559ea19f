//! The response head: judged, and rewritten for the client.

use std::{io::Write, mem::MaybeUninit};

use httparse::Header;

use super::{
    ConnectionOptions,
    hop::Hop,
    push_field, push_number,
    request::{RequestFacts, push_via},
    request_id::RequestId,
};
use crate::http1::{
    BodyLength, Field, Method, Reframe, SyntaxError, Version, field,
    framing::FramingFields,
    head::{MAX_RESPONSE_FIELDS, ResponseFields, StatusLine, parse_response},
};

/// Tells clients to come back with TLS only.
pub(crate) const HSTS: &str = "Strict-Transport-Security";

/// What the rest of an exchange needs to know of a response.
#[derive(Debug, Clone, Copy)]
pub struct ResponseFacts {
    pub status: u16,
    /// Where the body ends, as it comes in.
    pub body: BodyLength,
    pub reframe: Reframe,
    /// Whether the client can tell where the body ends without the connection's end.
    pub delimited: bool,
    /// Whether the upstream keeps the connection.
    pub upstream_keeps: bool,
    /// Whether the upstream may authenticate a user by the connection (RFC 4559 §6): it belongs to
    /// this client's connection from now on.
    pub binds_connection: bool,
}

/// Tells the client what becomes of the connection, once that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Persistence {
    Keep,
    Close,
}

/// Parses `head` and appends the head for the client to `out`.
///
/// `persistence` is what we would like; a body that only the connection's end can delimit turns
/// it into [`Persistence::Close`], as [`ResponseFacts::delimited`] says.
pub fn rewrite(
    head: &[u8],
    request: &RequestFacts<'_>,
    id: &RequestId,
    persistence: Persistence,
    date: &[u8],
    out: &mut Vec<u8>,
) -> Result<ResponseFacts, SyntaxError> {
    let mut fields: ResponseFields<'_> = [const { MaybeUninit::uninit() }; MAX_RESPONSE_FIELDS];
    let (line, fields) = parse_response(head, &mut fields)?;
    let framing = FramingFields::of(fields)?;
    let to_head = request.method == Method::Head;
    let body = framing.response_body(line.version, line.status, to_head)?;
    let mut options = ConnectionOptions::default();
    let mut binds_connection = false;
    for header in fields {
        match Field::of(header.name) {
            Field::Connection => options.note(header.value)?,
            Field::Challenge => binds_connection |= is_connection_bound(header.value),
            _ => {}
        }
    }
    let to_http11 = request.version == Version::Http11;
    let bodiless = matches!(body, BodyLength::Fixed(_));
    let facts = ResponseFacts {
        status: line.status,
        body,
        reframe: if bodiless || !to_http11 {
            Reframe::Plain
        } else {
            Reframe::Chunked
        },
        delimited: bodiless || to_http11,
        upstream_keeps: body != BodyLength::UntilClose
            && match line.version {
                Version::Http11 => !options.close,
                Version::Http10 => options.keep_alive && !options.close,
            },
        binds_connection,
    };

    push_status_line(out, &line);
    let mut dated = false;
    for header in fields {
        let field = Field::of(header.name);
        dated |= field == Field::Date;
        if passes(field, &facts) && !options.removes(header.name, fields) {
            push_field(out, header.name, header.value);
        }
    }
    if line.status >= 200 {
        if !dated {
            push_field(out, "Date", date);
        }
        push_framing(out, &facts, framing, to_http11);
        // What the upstream says of itself wins: of two, clients only read the first (RFC 6797 §8.1).
        if let Some(value) = request.hsts
            && !fields
                .iter()
                .any(|header| header.name.eq_ignore_ascii_case(HSTS))
        {
            push_field(out, HSTS, value.as_bytes());
        }
    }
    if line.status >= 200 || line.status == 101 {
        push_field(out, "X-Request-Id", id.as_bytes());
    }
    push_via(out, Hop::default().received(line.version));
    push_connection(out, &facts, request, persistence, fields);
    out.extend_from_slice(b"\r\n");
    Ok(facts)
}

/// Whether a challenge is of a scheme that authenticates connections instead of requests: NTLM, or
/// Negotiate, which may be NTLM underneath.
fn is_connection_bound(challenges: &[u8]) -> bool {
    field::list(challenges).any(|challenge| {
        let scheme = challenge.split(|byte| *byte == b' ').next();
        scheme.is_some_and(|scheme| {
            scheme.eq_ignore_ascii_case(b"NTLM") || scheme.eq_ignore_ascii_case(b"Negotiate")
        })
    })
}

fn push_status_line(out: &mut Vec<u8>, line: &StatusLine<'_>) {
    // Writing to a Vec can't fail.
    let _ = write!(out, "HTTP/1.1 {} {}\r\n", line.status, line.reason);
}

/// Whether a field is passed on as it is.
const fn passes(field: Field, facts: &ResponseFacts) -> bool {
    match field {
        Field::Connection
        | Field::ContentLength
        | Field::HopByHop
        | Field::Te
        | Field::TransferEncoding
        | Field::Upgrade
        | Field::XProxyToken
        | Field::XRequestId => false,
        Field::Trailer => matches!(facts.reframe, Reframe::Chunked),
        _ => true,
    }
}

fn push_framing(out: &mut Vec<u8>, facts: &ResponseFacts, framing: FramingFields, to_http11: bool) {
    // RFC 9110 §8.6, RFC 9112 §6.1: a 204 has neither field. Responses to HEAD and 304 have what
    // the response to GET would have.
    if facts.status == 204 {
    } else if let Some(length) = framing.content_length() {
        push_number(out, "Content-Length", length);
    } else if to_http11 && (framing.is_chunked() || facts.body == BodyLength::UntilClose) {
        push_field(out, "Transfer-Encoding", b"chunked");
    }
}

fn push_connection(
    out: &mut Vec<u8>,
    facts: &ResponseFacts,
    request: &RequestFacts<'_>,
    persistence: Persistence,
    fields: &[Header<'_>],
) {
    match facts.status {
        // 426 names the protocols that a client should ask for (RFC 9110 §15.5.22).
        101 | 426 => {
            let close = persistence == Persistence::Close || !facts.delimited;
            let close = close && facts.status == 426;
            push_field(
                out,
                "Connection",
                if close { b"close, upgrade" } else { b"upgrade" },
            );
            let protocols = fields
                .iter()
                .filter(|header| Field::of(header.name) == Field::Upgrade)
                .flat_map(|header| field::list(header.value));
            for protocol in protocols {
                push_field(out, "Upgrade", protocol);
            }
        }
        100..=199 => {}
        _ if persistence == Persistence::Close || !facts.delimited => {
            push_field(out, "Connection", b"close");
        }
        _ if request.version == Version::Http10 => push_field(out, "Connection", b"keep-alive"),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(
        response: &str,
        request: &RequestFacts<'_>,
    ) -> Result<(ResponseFacts, String), SyntaxError> {
        let id = RequestId::mint(std::time::UNIX_EPOCH);
        let mut out = Vec::new();
        let facts = rewrite(
            response.as_bytes(),
            request,
            &id,
            Persistence::Keep,
            b"today",
            &mut out,
        )?;
        Ok((facts, String::from_utf8(out).unwrap()))
    }

    fn to_get(response: &str) -> Result<(ResponseFacts, String), SyntaxError> {
        rewritten(
            response,
            &RequestFacts {
                method: Method::Get,
                ..RequestFacts::default()
            },
        )
    }

    #[test]
    fn the_usual_response() {
        let (facts, out) = to_get(
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nDate: then\r\nX-Request-Id: theirs\r\n\
             Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nSet-Cookie: a\r\n\
             Set-Cookie: b\r\nVia: 1.1 other\r\n\r\n",
        )
        .unwrap();
        assert_eq!(facts.body, BodyLength::Fixed(5));
        assert!(facts.upstream_keeps && facts.delimited);
        assert!(out.starts_with(
            "HTTP/1.1 200 OK\r\nDate: then\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nVia: 1.1 other\r\n\
             Content-Length: 5\r\nX-Request-Id: 00000000"
        ), "{out}");
        assert!(out.ends_with("\r\nVia: 1.1 causeway\r\n\r\n"), "{out}");
    }

    #[test]
    fn bodies_are_framed_for_the_client() {
        let (facts, out) = to_get("HTTP/1.0 200 OK\r\n\r\n").unwrap();
        assert_eq!(
            (facts.body, facts.reframe),
            (BodyLength::UntilClose, Reframe::Chunked)
        );
        assert!(out.contains("Transfer-Encoding: chunked") && out.contains("Date: today"));
        assert!(!facts.upstream_keeps);

        let old = RequestFacts {
            version: Version::Http10,
            ..RequestFacts::default()
        };
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: a\r\n\r\n";
        let (facts, out) = rewritten(chunked, &old).unwrap();
        assert_eq!(
            (facts.body, facts.reframe),
            (BodyLength::Chunked, Reframe::Plain)
        );
        assert!(out.contains("Connection: close") && !out.contains("chunked"));
        assert!(!facts.delimited && !out.contains("Trailer"));

        let head = RequestFacts {
            method: Method::Head,
            ..RequestFacts::default()
        };
        let (facts, out) =
            rewritten("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", &head).unwrap();
        assert!(facts.body.is_empty() && out.contains("Content-Length: 9"));
        let (_, out) = to_get("HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n").unwrap();
        assert!(!out.contains("Content-Length"));
    }

    #[test]
    fn ambiguous_responses_are_refused() {
        for response in [
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\0\r\n\r\n",
            "HTTP/1.1 099 OK\r\n\r\n",
            "HTTP/1.1 1000 OK\r\n\r\n",
            "HTTP/2.0 200 OK\r\n\r\n",
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        ] {
            assert!(to_get(response).is_err(), "{response:?}");
        }
    }

    #[test]
    fn statuses_above_599_pass() {
        for status in [600, 999] {
            let response = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n");
            let (facts, out) = to_get(&response).unwrap();
            assert_eq!(facts.status, status);
            assert!(out.starts_with(&format!("HTTP/1.1 {status} X\r\n")));
        }
    }

    #[test]
    fn challenges_for_a_connection_are_told_from_those_for_requests() {
        for (field, bound) in [
            ("WWW-Authenticate: NTLM", true),
            ("WWW-Authenticate: Basic realm=\"a\", negotiate", true),
            ("www-authenticate: Negotiate YIIB==", true),
            ("Proxy-Authenticate: ntlm TlRM==", true),
            ("WWW-Authenticate: Basic realm=\"NTLM\"", false),
            ("WWW-Authenticate: NTLMv9", false),
            ("WWW-Authenticate:", false),
            ("X-Authenticate: NTLM", false),
        ] {
            let response = format!("HTTP/1.1 401 U\r\n{field}\r\nContent-Length: 0\r\n\r\n");
            let (facts, out) = to_get(&response).unwrap();
            assert_eq!(facts.binds_connection, bound, "{field}");
            assert!(out.contains(field.split(' ').next().unwrap()), "{out}");
        }
    }

    #[test]
    fn interim_responses_carry_no_framing() {
        let (_, out) = to_get("HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n").unwrap();
        assert_eq!(
            out,
            "HTTP/1.1 103 Early Hints\r\nLink: a\r\nVia: 1.1 causeway\r\n\r\n"
        );
        let (_, out) =
            to_get("HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n").unwrap();
        assert!(out.contains("Connection: upgrade\r\nUpgrade: websocket\r\n"));
    }
}
