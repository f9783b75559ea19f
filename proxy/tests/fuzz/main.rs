//! Properties of the proxy's parsers that hold for any input (`testkit::fuzz`).
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod chunked;
mod request_head;
mod response_head;
mod settings;

/// What heads and bodies are made of.
const WORDS: &str = r#"
\r\n \r\n\r\n \n \r \0 \s \t \x0b \x85 \xa0 : :\s ,\s ; " _ 0 5\r\n12345\r\n 0\r\n\r\n
ffffffffffffffff HTTP/1.1 HTTP/1.0 HTTP/1.2 Host:\sa\r\n Content-Length:\s5\r\n
Content_Length:\s5\r\n Transfer-Encoding:\schunked\r\n chunked identity
Connection:\sclose\r\n Connection:\supgrade\r\nUpgrade:\swebsocket\r\n Upgrade:\sh2c\r\n
Connection:\s keep-alive Expect:\s100-continue\r\n TE:\strailers\r\n Trailer:\sX\r\n
X-Forwarded-For:\s192.0.2.1\r\n Forwarded:\sfor=_x\r\n X-Proxy-Token:\sx\r\n http://a:80/
https:// // /../ %2e * ? # @ [::1] GET\s HEAD\s OPTIONS\s CONNECT\s Date:\sx\r\n
X-Request-Id:\sx\r\n X-Correlation-Id:\sx\r\n Max-Forwards:\s1\r\n
WWW-Authenticate:\sNTLM\r\n TRACE\s
"#;

/// A head as an independent parser reads it; every line must end in CR LF and hold no control byte.
fn lines(head: &[u8]) -> Vec<&str> {
    let body = head
        .strip_suffix(b"\r\n\r\n")
        .expect("ends in an empty line");
    let text = body
        .iter()
        .all(|byte| !byte.is_ascii_control() || b"\r\n\t".contains(byte));
    assert!(text, "a control byte in {}", head.escape_ascii());
    // What isn't UTF-8 only occurs in values.
    let lines = body.split(|byte| *byte == b'\n').map(|line| {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        assert!(
            !line.contains(&b'\r'),
            "a bare CR in {}",
            head.escape_ascii()
        );
        assert!(!line.is_empty() && !line.starts_with(b" ") && !line.starts_with(b"\t"));
        line.utf8_chunks().next().map_or("", |chunk| chunk.valid())
    });
    let lines: Vec<_> = lines.collect();
    let ends = body.windows(2).filter(|pair| pair == b"\r\n").count();
    assert_eq!(
        lines.len(),
        ends + 1,
        "a bare LF in {}",
        head.escape_ascii()
    );
    lines
}

/// The values of a field in lines of a head.
fn values<'l>(lines: &[&'l str], name: &str) -> Vec<&'l str> {
    let fields = lines
        .iter()
        .skip(1)
        .map(|line| line.split_once(':').expect("a colon"));
    fields
        .filter(|(field, _)| field.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
        .collect()
}
