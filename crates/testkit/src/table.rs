//! Cases that are written as text, one a line, where Rust's literals would take four.

/// The words of a text, which blanks and line ends separate.
pub fn words(text: &str) -> Vec<Vec<u8>> {
    text.split_whitespace().map(unescape).collect()
}

/// The lines `NAME | BYTES` of a text, the bytes between `before` and `after`.
pub fn rows(before: &str, text: &'static str, after: &str) -> Vec<(&'static str, Vec<u8>)> {
    let lines = text.lines().filter(|line| !line.is_empty());
    let case = |line: &'static str| {
        let (name, bytes) = line.split_once(" |").expect("NAME | BYTES");
        let bytes = unescape(bytes.strip_prefix(' ').unwrap_or(bytes));
        (name, [before.as_bytes(), &bytes, after.as_bytes()].concat())
    };
    lines.map(case).collect()
}

/// The bytes that are written with the escapes of Rust's byte strings, and `\s` for a blank where it
/// would separate words or stand at a line's end.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'\\' => match rest.next() {
                Some(b'r') => b'\r',
                Some(b'n') => b'\n',
                Some(b't') => b'\t',
                Some(b's') => b' ',
                Some(b'0') => 0,
                Some(b'\\') => b'\\',
                Some(b'x') => {
                    let digits: Vec<u8> = rest.by_ref().take(2).collect();
                    u8::from_str_radix(str::from_utf8(&digits).unwrap(), 16).unwrap()
                }
                other => panic!("{other:?} after a backslash in {text}"),
            },
            byte => byte,
        });
    }
    bytes
}
