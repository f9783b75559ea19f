//! Properties of the proxy's parsers that hold for any input (see `tests/fuzz/driver.rs`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

#[path = "../../../tests/fuzz/settings.rs"]
mod any_settings;
#[path = "../../../tests/fuzz/driver.rs"]
mod driver;

mod chunked;
mod request_head;
mod response_head;
mod settings;

/// What heads and bodies are made of.
const WORDS: &[&[u8]] = &[
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"\t",
    b"\x0b",
    b"\x85",
    b"\xa0",
    b":",
    b": ",
    b", ",
    b";",
    b"\"",
    b"_",
    b"0",
    b"5\r\n12345\r\n",
    b"0\r\n\r\n",
    b"ffffffffffffffff",
    b"HTTP/1.1",
    b"HTTP/1.0",
    b"HTTP/1.2",
    b"Host: a\r\n",
    b"Content-Length: 5\r\n",
    b"Content_Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"chunked",
    b"identity",
    b"Connection: close\r\n",
    b"Connection: upgrade\r\nUpgrade: websocket\r\n",
    b"Upgrade: h2c\r\n",
    b"Connection: ",
    b"keep-alive",
    b"Expect: 100-continue\r\n",
    b"TE: trailers\r\n",
    b"Trailer: X\r\n",
    b"X-Forwarded-For: 192.0.2.1\r\n",
    b"Forwarded: for=_x\r\n",
    b"X-Proxy-Token: x\r\n",
    b"http://a:80/",
    b"https://",
    b"//",
    b"/../",
    b"%2e",
    b"*",
    b"?",
    b"#",
    b"@",
    b"[::1]",
    b"GET ",
    b"HEAD ",
    b"OPTIONS ",
    b"CONNECT ",
    b"Date: x\r\n",
    b"X-Request-Id: x\r\n",
    b"X-Correlation-Id: x\r\n",
    b"Max-Forwards: 1\r\n",
    b"WWW-Authenticate: NTLM\r\n",
    b"TRACE ",
];

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
