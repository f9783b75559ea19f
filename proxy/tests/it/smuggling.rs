//! Request smuggling from end to end: whatever a client writes, either it is refused and no server
//! behind us could find a request in what it got, or every server finds the same requests there,
//! however strict or lax it reads ([`Reading`]).

use crate::support::{Backend, End, Reading, Seen, TestProxy, ok};
use std::time::Duration;

/// What has to become of a row of bytes.
enum Fate {
    /// One of these statuses, then the end of the connection; no whole request upstream.
    Refused(&'static [u16]),
    /// Exactly these requests upstream: method, target, body.
    Forwarded(Vec<(&'static str, &'static str, &'static str)>),
}

struct Case {
    name: &'static str,
    bytes: Vec<u8>,
    fate: Fate,
}

/// Comes after what has to be refused, and must never be a request of its own.
const SMUGGLED: &[u8] = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

fn refused(name: &'static str, bytes: impl AsRef<[u8]>) -> Case {
    Case {
        name,
        bytes: [bytes.as_ref(), SMUGGLED].concat(),
        fate: Fate::Refused(&[400, 501]),
    }
}

fn forwarded(
    name: &'static str,
    bytes: impl AsRef<[u8]>,
    requests: &[(&'static str, &'static str, &'static str)],
) -> Case {
    Case {
        name,
        bytes: bytes.as_ref().to_vec(),
        fate: Fate::Forwarded(requests.to_vec()),
    }
}

/// A POST with these field lines, each with its CRLF, and this body.
fn post(lines: &str, body: &str) -> Vec<u8> {
    post_bytes(lines.as_bytes(), body)
}

fn post_bytes(lines: &[u8], body: &str) -> Vec<u8> {
    let head = b"POST /p HTTP/1.1\r\nHost: a\r\n";
    [head, lines, b"\r\n", body.as_bytes()].concat()
}

/// Sends every case, each over a connection of its own, and compares what the backend got, in
/// every reading, with what it should have got.
#[track_caller]
fn assert_fates(cases: &[Case]) {
    let backend = Backend::answering(|_| ok("served"));
    let proxy = TestProxy::before(backend.address());
    let mut expected = Vec::new();
    let mut failures = Vec::new();
    for case in cases {
        let mut client = proxy.client();
        let _refused_early = client.try_send(&case.bytes);
        let answers = match &case.fate {
            Fate::Refused(_) => 1,
            Fate::Forwarded(requests) => requests.len(),
        };
        for number in 0..answers {
            let method = match &case.fate {
                Fate::Refused(_) => "GET",
                Fate::Forwarded(requests) => requests[number].0,
            };
            let status = client.response(method).map(|response| response.status);
            let right = match (&case.fate, &status) {
                (Fate::Refused(allowed), Ok(status)) => allowed.contains(status),
                (Fate::Forwarded(_), Ok(200)) => true,
                _ => false,
            };
            if !right {
                failures.push((case.name, format!("{status:?}")));
            }
        }
        match &case.fate {
            Fate::Refused(_) => {
                let (rest, end) = client.drain(Duration::from_secs(10));
                if end == End::StillOpen || !rest.is_empty() {
                    failures.push((case.name, format!("{end:?} {}", rest.escape_ascii())));
                }
            }
            Fate::Forwarded(requests) => {
                expected.extend(requests.iter().map(|(method, target, body)| Seen {
                    method: (*method).to_owned(),
                    target: (*target).to_owned(),
                    body: Some(body.as_bytes().to_vec()),
                }));
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
    let strict = backend.requests().into_iter().map(|request| Seen {
        method: request.method,
        target: request.target,
        body: Some(request.body),
    });
    assert_eq!(strict.collect::<Vec<_>>(), expected);
    expected.sort();
    let connections = backend.received();
    for reading in Reading::all() {
        let seen = connections.iter().flat_map(|bytes| reading.requests(bytes));
        // Of a request that was refused half way, the beginning may have been passed on.
        let mut whole: Vec<_> = seen.filter(|request| request.body.is_some()).collect();
        whole.sort();
        assert_eq!(whole, expected, "as seen by {reading:?}");
    }
}

/// The bodies here are such that whoever reads the length otherwise finds `/smuggled` in them.
#[test]
fn transfer_encoding_in_disguise() {
    const BODY: &str = "0\r\n\r\n";
    let mut cases = Vec::new();
    for (name, value) in [
        ("chunked, identity", &b"chunked, identity"[..]),
        ("identity, chunked", b"identity, chunked"),
        ("chunked and an empty member", b"chunked, "),
        ("only empty members", b",,"),
        ("a semicolon", b"chunked;"),
        ("single letters quoted", b"chunke\"d\""),
        ("an escape", b"chunke\\d"),
        ("a colon", b": chunked"),
        ("a form feed before", b"\x0cchunked"),
        ("a form feed after", b"chunked\x0c"),
        ("NEL before", b"\x85chunked"),
        ("NEL after", b"chunked\x85"),
        ("a no-break space, one byte, before", b"\xa0chunked"),
        ("a no-break space, one byte, after", b"chunked\xa0"),
        ("a byte order mark", b"\xef\xbb\xbfchunked"),
        ("a dotless look-alike", "chun\u{212a}ed".as_bytes()),
        ("ESC", b"\x1bchunked"),
        ("DEL", b"chunked\x7f"),
        ("percent-encoded", b"%63hunked"),
        ("a comment", b"chunked (really)"),
        ("a weight", b"chunked;q=0"),
        ("deflate", b"deflate"),
        ("a slash", b"chunked/1.1"),
    ] {
        let lines = [b"Transfer-Encoding: ", value, b"\r\n"].concat();
        cases.push(refused(name, post_bytes(&lines, BODY)));
        let both = [&lines[..], b"Content-Length: 5\r\n"].concat();
        cases.push(refused(name, post_bytes(&both, BODY)));
    }
    for (name, lines) in [
        (
            "twice, the second unknown",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n",
        ),
        (
            "twice, the first unknown",
            "Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n",
        ),
        (
            "twice, the second empty",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding:\r\n",
        ),
        (
            "twice, other case",
            "Transfer-Encoding: chunked\r\ntransfer-encoding: CHUNKED\r\n",
        ),
        (
            "folded before the coding",
            "Transfer-Encoding:\r\n\tchunked\r\n",
        ),
        (
            "folded after the coding",
            "Transfer-Encoding: chunked\r\n , identity\r\n",
        ),
        (
            "in a fold of another",
            "X: y\r\n Transfer-Encoding: chunked\r\n",
        ),
        ("behind a bare CR", "X: y\r\rTransfer-Encoding: chunked\r\n"),
        ("behind LF CR", "X: y\n\rTransfer-Encoding: chunked\r\n"),
        (
            "a vertical tab before the colon",
            "Transfer-Encoding\x0b: chunked\r\n",
        ),
        (
            "a form feed before the colon",
            "Transfer-Encoding\x0c: chunked\r\n",
        ),
        ("a NUL before the name", "\0Transfer-Encoding: chunked\r\n"),
        ("a tab before the name", "\tTransfer-Encoding: chunked\r\n"),
        ("a quoted name", "\"Transfer-Encoding\": chunked\r\n"),
        (
            "an equals sign for the colon",
            "Transfer-Encoding= chunked\r\n",
        ),
        (
            "a line of a colon before",
            ": x\r\nTransfer-Encoding: chunked\r\n",
        ),
        (
            "nominated by Connection",
            "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n",
        ),
        (
            "a length nominated by Connection",
            "Connection: close, Content-Length\r\nContent-Length: 5\r\n",
        ),
    ] {
        cases.push(refused(name, post(lines, BODY)));
    }
    for (name, name_bytes) in [
        ("NEL before the colon", &b"Transfer-Encoding\x85"[..]),
        (
            "a no-break space before the colon",
            b"Transfer-Encoding\xa0",
        ),
        ("NEL before the name", b"\x85Transfer-Encoding"),
    ] {
        let lines = [name_bytes, b": chunked\r\n"].concat();
        cases.push(refused(name, post_bytes(&lines, BODY)));
    }
    assert_fates(&cases);
}

#[test]
fn lengths_in_disguise() {
    let mut cases = Vec::new();
    for (name, value) in [
        ("a list of equals", "5, 5"),
        ("a list", "5, 6"),
        ("a list without a space", "5,5"),
        ("two words", "5 5"),
        ("a sign", "+5"),
        ("a negative", "-5"),
        ("hexadecimal", "0x5"),
        ("octal", "0o5"),
        ("binary", "0b101"),
        ("a unit", "5 bytes"),
        ("a semicolon", "5;"),
        ("2^64 + 5", "18446744073709551621"),
        ("2^128 + 5", "340282366920938463463374607431768211461"),
        ("NaN", "NaN"),
        ("a fraction", "5.0"),
        ("an exponent", "5e0"),
        ("a parenthesis", "(5)"),
        ("full-width digits", "\u{ff15}"),
        ("Arabic digits", "\u{665}"),
        ("a superscript", "\u{2075}"),
    ] {
        let lines = format!("Content-Length: {value}\r\n");
        cases.push(refused(name, post(&lines, "12345")));
    }
    for (name, lines) in [
        ("twice, equal", "Content-Length: 5\r\nContent-Length: 5\r\n"),
        (
            "twice, the second 0",
            "Content-Length: 5\r\nContent-Length: 0\r\n",
        ),
        (
            "twice, the first 0",
            "Content-Length: 0\r\nContent-Length: 5\r\n",
        ),
        ("a fold", "Content-Length: 5\r\n 0\r\n"),
        ("a space before the colon", "Content-Length : 5\r\n"),
        (
            "a vertical tab before the colon",
            "Content-Length\x0b: 5\r\n",
        ),
        ("behind a bare CR", "X: y\rContent-Length: 5\r\n"),
    ] {
        cases.push(refused(name, post(lines, "12345")));
    }
    assert_fates(&cases);
}

/// What looks dangerous and is legal goes through, and means the same to everybody.
#[test]
fn what_is_forwarded_has_one_meaning() {
    const INNER: &str = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let size = format!("{:x}", INNER.len());
    let length = format!("Content-Length: {}\r\n", INNER.len());
    let chunked = "Transfer-Encoding: chunked\r\n";
    let posted = &[("POST", "/p", "12345")];
    assert_fates(&[
        forwarded(
            "a request as a body",
            post(&length, INNER),
            &[("POST", "/p", INNER)],
        ),
        forwarded(
            "a request as a chunk",
            post(chunked, &format!("{size}\r\n{INNER}\r\n0\r\n\r\n")),
            &[("POST", "/p", INNER)],
        ),
        forwarded(
            "chunks that end in CR and begin with LF",
            post(
                chunked,
                "3\r\na\r\n\r\n3\r\n0\r\n\r\n2\r\n\r\n\r\n0\r\n\r\n",
            ),
            &[("POST", "/p", "a\r\n0\r\n\r\n")],
        ),
        forwarded(
            "an extension that looks like a size",
            post(chunked, "5;ffff\r\n12345\r\n0;5\r\n\r\n"),
            posted,
        ),
        forwarded(
            "a long extension, quoted, with every sign",
            post(
                chunked,
                &format!("5;a=\"{}\\\"\"\r\n12345\r\n0\r\n\r\n", "; 0".repeat(1000)),
            ),
            posted,
        ),
        forwarded(
            "zeros up to the last digit of a size",
            post(
                chunked,
                "0000000000000005\r\n12345\r\n0000000000000000\r\n\r\n",
            ),
            posted,
        ),
        forwarded(
            "a size behind more zeros than any number has digits",
            post(
                chunked,
                &format!("{0}5\r\n12345\r\n{0}\r\n\r\n", "0".repeat(40)),
            ),
            posted,
        ),
        forwarded(
            "blanks between a size and an extension that looks like one",
            post(chunked, "5 \t ;ff\r\n12345\r\n0 ;5\r\n\r\n"),
            posted,
        ),
        forwarded(
            "trailers that frame",
            post(
                chunked,
                "5\r\n12345\r\n0\r\nContent-Length: 99\r\nTransfer-Encoding: x\r\nHost: b\r\n\r\n",
            ),
            posted,
        ),
        forwarded(
            "a later minor version, in chunks",
            "POST /p HTTP/1.9\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n0\r\n\r\n",
            posted,
        ),
        forwarded(
            "a query right behind the authority",
            "GET http://a?/p HTTP/1.1\r\nHost: a\r\n\r\n",
            &[("GET", "/?/p", "")],
        ),
        forwarded(
            "empty lines between requests",
            [
                post("Content-Length: 5\r\n", "12345"),
                b"\r\n\r\n\r\nGET /q HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
            ]
            .concat(),
            &[("POST", "/p", "12345"), ("GET", "/q", "")],
        ),
        forwarded(
            "tabs around the coding",
            post(
                "Transfer-Encoding:\t\tchunked \t\r\n",
                "5\r\n12345\r\n0\r\n\r\n",
            ),
            posted,
        ),
        forwarded(
            "the coding in mixed case",
            post("TrAnSfEr-EnCoDiNg: ChUnKeD\r\n", "5\r\n12345\r\n0\r\n\r\n"),
            posted,
        ),
        forwarded(
            "a length with underscores beside the real one",
            post("Content_Length: 0\r\nContent-Length: 5\r\n", "12345"),
            posted,
        ),
        forwarded(
            "a coding with underscores beside a length",
            post(
                "Transfer_Encoding: chunked\r\nContent-Length: 5\r\n",
                "12345",
            ),
            posted,
        ),
        forwarded(
            "a length with underscores beside the coding",
            post(
                "Transfer-Encoding: chunked\r\nCONTENT_LENGTH: 999\r\n",
                "5\r\n12345\r\n0\r\n\r\n",
            ),
            posted,
        ),
        forwarded(
            "TE is not Transfer-Encoding",
            post("TE: chunked\r\nContent-Length: 5\r\n", "12345"),
            posted,
        ),
        forwarded(
            "a field whose value is a field",
            post(
                "X: Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
                "12345",
            ),
            posted,
        ),
        forwarded(
            "a name with the coding inside",
            post(
                "X-Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
                "12345",
            ),
            posted,
        ),
        forwarded(
            "a trailer that begins like a request",
            post(
                chunked,
                "5\r\n12345\r\n0\r\nGET: /smuggled HTTP/1.1\r\n\r\n",
            ),
            posted,
        ),
        forwarded(
            "a length of 0 and another request",
            [
                post("Content-Length: 0\r\n", ""),
                b"GET /q HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
            ]
            .concat(),
            &[("POST", "/p", ""), ("GET", "/q", "")],
        ),
        forwarded(
            "no length and another request",
            [post("", ""), b"GET /q HTTP/1.1\r\nHost: a\r\n\r\n".to_vec()].concat(),
            &[("POST", "/p", ""), ("GET", "/q", "")],
        ),
        forwarded(
            "a body where none is expected",
            "HEAD /p HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n12345\
             GET /q HTTP/1.1\r\nHost: a\r\n\r\n",
            &[("HEAD", "/p", "12345"), ("GET", "/q", "")],
        ),
        forwarded(
            "an upgrade that is declined, and what followed it",
            "GET /p HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n\
             GET /q HTTP/1.1\r\nHost: a\r\n\r\n",
            &[("GET", "/p", ""), ("GET", "/q", "")],
        ),
        forwarded(
            "a body announced and sent at once",
            post("Expect: 100-continue\r\nContent-Length: 5\r\n", "12345").as_slice(),
            posted,
        ),
        forwarded(
            "HTTP/1.0 with a length",
            "POST /p HTTP/1.0\r\nContent-Length: 5\r\n\r\n12345",
            posted,
        ),
    ]);
}

/// The instrument measures: what these tests are about is read in several ways here.
#[test]
fn readings_differ_where_servers_do() {
    for (name, bytes) in [
        (
            "CL and TE",
            post(
                "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
                "0\r\n\r\n",
            ),
        ),
        (
            "two lengths",
            post("Content-Length: 5\r\nContent-Length: 0\r\n", "12345"),
        ),
        (
            "a list of lengths",
            post("Content-Length: 5, 6\r\n", "12345"),
        ),
        (
            "a near miss",
            post(
                "Transfer-Encoding: xchunked\r\nContent-Length: 5\r\n",
                "0\r\n\r\n",
            ),
        ),
        (
            "a list of codings",
            post("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n"),
        ),
        (
            "a space before the colon",
            post("Content-Length : 5\r\n", "12345"),
        ),
        (
            "a vertical tab before the colon",
            post("Content-Length\x0b: 5\r\n", "12345"),
        ),
        ("an underscore", post("Content_Length: 5\r\n", "12345")),
        ("a bare LF", post("X: y\nContent-Length: 5\r\n", "12345")),
        ("a bare CR", post("X: y\rContent-Length: 5\r\n", "12345")),
        ("a fold", post("X: y\r\n Content-Length: 5\r\n", "12345")),
        (
            "a size with 0x",
            post(
                "Transfer-Encoding: chunked\r\n",
                "0x5\r\n12345\r\n0\r\n\r\n",
            ),
        ),
    ] {
        let mut readings: Vec<_> = Reading::all()
            .map(|reading| reading.requests(&bytes))
            .collect();
        readings.sort();
        readings.dedup();
        assert!(readings.len() > 1, "{name}: {readings:?}");
    }
}

/// What came before an error on the same connection is answered; what comes after it is nothing.
#[test]
fn nothing_is_processed_after_an_error() {
    let backend = Backend::answering(|request| ok(&request.target));
    let proxy = TestProxy::before(backend.address());
    for broken in [
        "GET /broken HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        "GET /broken HTTP/1.1\r\n\r\n",
        "GET /broken\r\n",
        "\0\r\n\r\n",
        "POST /broken HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
    ] {
        let mut client = proxy.client();
        let before = "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n";
        client.send([before.as_bytes(), broken.as_bytes(), SMUGGLED].concat());
        for target in ["/1", "/2"] {
            assert_eq!(client.response("GET").unwrap().text(), target, "{broken:?}");
        }
        assert_eq!(client.response("GET").unwrap().status, 400, "{broken:?}");
        let (rest, end) = client.drain(Duration::from_secs(10));
        assert!(end != End::StillOpen && rest.is_empty(), "{broken:?}");
    }
    assert_eq!(backend.targets(), ["/1", "/2"].repeat(5));
}
