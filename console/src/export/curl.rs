//! A command line of curl that sends a request again, for `sh` and for every shell that knows its
//! quotes.
//!
//! It is pasted, so that nothing in it may do more than it says: what can't be seen, or isn't text,
//! stands as an octal escape for `printf`, which every shell has and which has no limit of length.

use std::fmt::Write as _;

use super::message::{Message, bytes};
use crate::pages::visible::is_invisible;
use crate::requests::recorded::Recorded;

/// The longest body among the arguments; the kernel takes 128 KiB in one.
const LONGEST_ARGUMENT: usize = 64 << 10;
/// From this length on curl asks first whether it may send (`Expect`), unless it is told not to.
const ASKS_FIRST: usize = 1 << 20;

/// The command, with the line's end.
pub fn command(recorded: &Recorded) -> String {
    let message = Message::of(recorded);
    let mut words = vec![format!("curl {}", quoted(message.url.as_bytes()))];
    let has_body = !message.body.is_empty();
    match (message.method, has_body) {
        ("GET", false) | ("POST", true) => {}
        ("HEAD", false) => words.push("--head".to_owned()),
        (method, _) => words.push(format!("-X {}", quoted(method.as_bytes()))),
    }
    if message.url.contains(['[', ']', '{', '}']) {
        words.push("--globoff".to_owned());
    }
    if message.url.contains("/.") {
        words.push("--path-as-is".to_owned());
    }
    for (name, value) in &message.headers {
        words.push(header(name, value));
    }
    // What curl would send of its own.
    let mut own = vec!["User-Agent", "Accept"];
    if has_body {
        own.push("Content-Type");
    }
    for name in own {
        if !message.has(name) {
            words.push(format!("-H '{name}:'"));
        }
    }
    if message.body.len() >= ASKS_FIRST {
        words.push("-H 'Expect:'".to_owned());
    }
    if message.method == "HEAD" && has_body {
        // The answer has no body, which curl waits for as long as the connection is open.
        words.push("-H 'Connection: close'".to_owned());
    }
    if message.has("Accept-Encoding") {
        words.push("--compressed".to_owned());
    }
    let mut before = String::new();
    for remark in message.remarks() {
        let _ = writeln!(before, "# {remark}");
    }
    let argument = readable(message.body).filter(|text| text.len() <= LONGEST_ARGUMENT);
    if let Some(text) = argument.filter(|_| has_body) {
        words.push(format!("--data-raw {}", in_quotes(text)));
    } else if has_body {
        let _ = write!(before, "printf '{}' | ", escaped(message.body));
        words.push("--data-binary @-".to_owned());
    }
    before + &words.join(" \\\n  ") + "\n"
}

fn header(name: &str, value: &str) -> String {
    let field = match value {
        // So that curl sends it, with nothing in it.
        "" => format!("{name};").into_bytes(),
        _ => [name.as_bytes(), b": ", &bytes(value)].concat(),
    };
    format!("-H {}", quoted(&field))
}

/// Bytes as one word of the shell.
fn quoted(bytes: &[u8]) -> String {
    if bytes.iter().all(u8::is_ascii_alphanumeric) && !bytes.is_empty() {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    if bytes.iter().all(|byte| (b' '..=b'~').contains(byte)) {
        return in_quotes(&String::from_utf8_lossy(bytes));
    }
    format!("\"$(printf '{}')\"", escaped(bytes))
}

fn in_quotes(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Text of which a paste leaves nothing out: a tab would complete a word.
fn readable(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    let visible = text.chars().all(|c| c == '\n' || !is_invisible(c));
    visible.then_some(text)
}

/// Bytes as a format of `printf`. Interactive shells look for `!` even in here, and a hyphen in front
/// is an option.
fn escaped(bytes: &[u8]) -> String {
    let mut format = String::with_capacity(bytes.len() * 2);
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'%' => format.push_str("%%"),
            b'\\' => format.push_str(r"\\"),
            b'\n' => format.push_str(r"\n"),
            b'\r' => format.push_str(r"\r"),
            b'\t' => format.push_str(r"\t"),
            b'-' if at == 0 => format.push_str(r"\055"),
            b' '..=b'~' if !b"'!".contains(byte) => format.push(char::from(*byte)),
            _ => _ = write!(format, "\\{byte:03o}"),
        }
    }
    format
}
