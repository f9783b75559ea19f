//! Request smuggling from end to end: whatever a client writes, either it is refused and no server
//! behind us could find a request in what it got, or every server finds the same requests there,
//! however strict or lax it reads ([`Reading`]).

use testkit::table::rows;

use crate::support::{Backend, End, Reading, Seen, ok, proxied, serving};
use std::time::Duration;

/// What has to become of a row of bytes.
#[derive(Clone)]
enum Fate {
    /// One of these statuses, then the end of the connection; no whole request upstream.
    Refused(&'static [u16]),
    /// Exactly these requests upstream: method, target, body.
    Forwarded(Vec<(&'static str, &'static str, &'static str)>),
}

#[derive(Clone)]
struct Case {
    name: &'static str,
    bytes: Vec<u8>,
    fate: Fate,
}

/// Comes after what has to be refused, and must never be a request of its own.
const SMUGGLED: &[u8] = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

/// The start of a request with a body.
const POST: &str = "POST /p HTTP/1.1\r\nHost: a\r\n";

/// The cases of a table, between these bytes.
fn refused(before: &str, text: &'static str, after: &str) -> Vec<Case> {
    let case = |(name, bytes): (_, Vec<u8>)| Case {
        name,
        bytes: [&bytes, SMUGGLED].concat(),
        fate: Fate::Refused(&[400, 501]),
    };
    rows(before, text, after).into_iter().map(case).collect()
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

/// Sends every case, each over a connection of its own, and compares what the backend got, in
/// every reading, with what it should have got.
#[track_caller]
fn assert_fates(cases: &[Case]) {
    let (backend, proxy) = serving(&[]);
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
    const BODY: &str = "\r\n\r\n0\r\n\r\n";
    let value = format!("{POST}Transfer-Encoding: ");
    let values = r#"
chunked, identity | chunked, identity
identity, chunked | identity, chunked
chunked and an empty member | chunked,\s
only empty members | ,,
a semicolon | chunked;
single letters quoted | chunke"d"
an escape | chunke\\d
a colon | : chunked
a form feed before | \x0cchunked
a form feed after | chunked\x0c
NEL before | \x85chunked
NEL after | chunked\x85
a no-break space, one byte, before | \xa0chunked
a no-break space, one byte, after | chunked\xa0
a byte order mark | \xef\xbb\xbfchunked
a dotless look-alike | chun\xe2\x84\xaaed
ESC | \x1bchunked
DEL | chunked\x7f
percent-encoded | %63hunked
a comment | chunked (really)
a weight | chunked;q=0
deflate | deflate
a slash | chunked/1.1
"#;
    let alone = refused(&value, values, BODY);
    let with_a_length = refused(&value, values, "\r\nContent-Length: 5\r\n\r\n0\r\n\r\n");
    let lines = r#"
twice, the second unknown | Transfer-Encoding: chunked\r\nTransfer-Encoding: x
twice, the first unknown | Transfer-Encoding: x\r\nTransfer-Encoding: chunked
twice, the second empty | Transfer-Encoding: chunked\r\nTransfer-Encoding:
twice, other case | Transfer-Encoding: chunked\r\ntransfer-encoding: CHUNKED
folded before the coding | Transfer-Encoding:\r\n\tchunked
folded after the coding | Transfer-Encoding: chunked\r\n , identity
in a fold of another | X: y\r\n Transfer-Encoding: chunked
behind a bare CR | X: y\r\rTransfer-Encoding: chunked
behind LF CR | X: y\n\rTransfer-Encoding: chunked
a vertical tab before the colon | Transfer-Encoding\x0b: chunked
a form feed before the colon | Transfer-Encoding\x0c: chunked
a NUL before the name | \0Transfer-Encoding: chunked
a tab before the name | \tTransfer-Encoding: chunked
a quoted name | "Transfer-Encoding": chunked
an equals sign for the colon | Transfer-Encoding= chunked
a line of a colon before | : x\r\nTransfer-Encoding: chunked
nominated by Connection | Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked
a length nominated by Connection | Connection: close, Content-Length\r\nContent-Length: 5
NEL before the colon | Transfer-Encoding\x85: chunked
a no-break space before the colon | Transfer-Encoding\xa0: chunked
NEL before the name | \x85Transfer-Encoding: chunked
"#;
    let lines = refused(POST, lines, BODY);
    assert_fates(&[alone, with_a_length, lines].concat());
}

#[test]
fn lengths_in_disguise() {
    let values = r"
a list of equals | 5, 5
a list | 5, 6
a list without a space | 5,5
two words | 5 5
a sign | +5
a negative | -5
hexadecimal | 0x5
octal | 0o5
binary | 0b101
a unit | 5 bytes
a semicolon | 5;
2^64 + 5 | 18446744073709551621
2^128 + 5 | 340282366920938463463374607431768211461
NaN | NaN
a fraction | 5.0
an exponent | 5e0
a parenthesis | (5)
full-width digits | \xef\xbc\x95
Arabic digits | \xd9\xa5
a superscript | \xe2\x81\xb5
";
    let values = refused(&format!("{POST}Content-Length: "), values, "\r\n\r\n12345");
    let lines = r"
twice, equal | Content-Length: 5\r\nContent-Length: 5
twice, the second 0 | Content-Length: 5\r\nContent-Length: 0
twice, the first 0 | Content-Length: 0\r\nContent-Length: 5
a fold | Content-Length: 5\r\n 0
a space before the colon | Content-Length : 5
a vertical tab before the colon | Content-Length\x0b: 5
behind a bare CR | X: y\rContent-Length: 5
";
    let lines = refused(POST, lines, "\r\n\r\n12345");
    assert_fates(&[values, lines].concat());
}

/// What looks dangerous and is legal goes through, and means the same to everybody.
#[test]
fn what_is_forwarded_has_one_meaning() {
    const INNER: &str = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let posted = &[("POST", "/p", "12345")];
    let mut cases = Vec::new();
    let text = r"
an extension that looks like a size | POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;ffff\r\n12345\r\n0;5\r\n\r\n
zeros up to the last digit of a size | POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0000000000000005\r\n12345\r\n0000000000000000\r\n\r\n
blanks between a size and an extension that looks like one | POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5 \t ;ff\r\n12345\r\n0 ;5\r\n\r\n
trailers that frame | POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n0\r\nContent-Length: 99\r\nTransfer-Encoding: x\r\nHost: b\r\n\r\n
a later minor version, in chunks | POST /p HTTP/1.9\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n0\r\n\r\n
tabs around the coding | POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\t\tchunked \t\r\n\r\n5\r\n12345\r\n0\r\n\r\n
the coding in mixed case | POST /p HTTP/1.1\r\nHost: a\r\nTrAnSfEr-EnCoDiNg: ChUnKeD\r\n\r\n5\r\n12345\r\n0\r\n\r\n
a length with underscores beside the real one | POST /p HTTP/1.1\r\nHost: a\r\nContent_Length: 0\r\nContent-Length: 5\r\n\r\n12345
a coding with underscores beside a length | POST /p HTTP/1.1\r\nHost: a\r\nTransfer_Encoding: chunked\r\nContent-Length: 5\r\n\r\n12345
a length with underscores beside the coding | POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nCONTENT_LENGTH: 999\r\n\r\n5\r\n12345\r\n0\r\n\r\n
TE is not Transfer-Encoding | POST /p HTTP/1.1\r\nHost: a\r\nTE: chunked\r\nContent-Length: 5\r\n\r\n12345
a field whose value is a field | POST /p HTTP/1.1\r\nHost: a\r\nX: Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n12345
a name with the coding inside | POST /p HTTP/1.1\r\nHost: a\r\nX-Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n12345
a trailer that begins like a request | POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n0\r\nGET: /smuggled HTTP/1.1\r\n\r\n
a body announced and sent at once | POST /p HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n12345
HTTP/1.0 with a length | POST /p HTTP/1.0\r\nContent-Length: 5\r\n\r\n12345
";
    for (name, bytes) in rows("", text, "") {
        cases.push(forwarded(name, bytes, posted));
    }
    let chunked = format!("{POST}Transfer-Encoding: chunked\r\n\r\n");
    let quoted = "; 0".repeat(1000);
    let length = INNER.len();
    let long_extension = format!("{chunked}5;a=\"{quoted}\\\"\"\r\n12345\r\n0\r\n\r\n");
    let zeros = "0".repeat(40);
    let many_zeros = format!("{chunked}{zeros}5\r\n12345\r\n{zeros}\r\n\r\n");
    let next = "GET /q HTTP/1.1\r\nHost: a\r\n\r\n";
    let (first, second) = (("POST", "/p", ""), ("GET", "/q", ""));
    for (name, bytes, requests) in [
        (
            "a long extension, quoted, with every sign",
            long_extension,
            &posted[..],
        ),
        (
            "a size behind more zeros than any number has digits",
            many_zeros,
            posted,
        ),
        (
            "a request as a body",
            format!("{POST}Content-Length: {length}\r\n\r\n{INNER}"),
            &[("POST", "/p", INNER)],
        ),
        (
            "a request as a chunk",
            format!("{chunked}{length:x}\r\n{INNER}\r\n0\r\n\r\n"),
            &[("POST", "/p", INNER)],
        ),
        (
            "chunks that end in CR and begin with LF",
            format!("{chunked}3\r\na\r\n\r\n3\r\n0\r\n\r\n2\r\n\r\n\r\n0\r\n\r\n"),
            &[("POST", "/p", "a\r\n0\r\n\r\n")],
        ),
        (
            "a query right behind the authority",
            "GET http://a?/p HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
            &[("GET", "/?/p", "")],
        ),
        (
            "empty lines between requests",
            format!("{POST}Content-Length: 5\r\n\r\n12345\r\n\r\n\r\n{next}"),
            &[posted[0], second],
        ),
        (
            "a length of 0 and another request",
            format!("{POST}Content-Length: 0\r\n\r\n{next}"),
            &[first, second],
        ),
        (
            "no length and another request",
            format!("{POST}\r\n{next}"),
            &[first, second],
        ),
        (
            "a body where none is expected",
            format!("HEAD /p HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n12345{next}"),
            &[("HEAD", "/p", "12345"), second],
        ),
        (
            "an upgrade that is declined, and what followed it",
            format!(
                "GET /p HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n{next}"
            ),
            &[("GET", "/p", ""), second],
        ),
    ] {
        cases.push(forwarded(name, bytes, requests));
    }
    assert_fates(&cases);
}

/// The instrument measures: what these tests are about is read in several ways here.
#[test]
fn readings_differ_where_servers_do() {
    let text = r"
CL and TE | Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n
two lengths | Content-Length: 5\r\nContent-Length: 0\r\n\r\n12345
a list of lengths | Content-Length: 5, 6\r\n\r\n12345
a near miss | Transfer-Encoding: xchunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n
a list of codings | Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n
a space before the colon | Content-Length : 5\r\n\r\n12345
a vertical tab before the colon | Content-Length\x0b: 5\r\n\r\n12345
an underscore | Content_Length: 5\r\n\r\n12345
a bare LF | X: y\nContent-Length: 5\r\n\r\n12345
a bare CR | X: y\rContent-Length: 5\r\n\r\n12345
a fold | X: y\r\n Content-Length: 5\r\n\r\n12345
a size with 0x | Transfer-Encoding: chunked\r\n\r\n0x5\r\n12345\r\n0\r\n\r\n
";
    for (name, bytes) in rows(POST, text, "") {
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
    let (backend, proxy) = proxied(Backend::answering(|request| ok(&request.target)));
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
