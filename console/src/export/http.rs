//! The message of HTTP/1.1, as it was recorded.

use super::message::{bytes, is_field, target, url};
use crate::requests::recorded::Recorded;

/// The message. Its length is the recorded body's, whatever framed it on its way.
pub fn text(recorded: &Recorded) -> Vec<u8> {
    let url = url(recorded);
    let target = match &recorded.original.target {
        Some(target) => target.as_str().into(),
        None => target(&url),
    };
    let mut message = format!("{} {target} HTTP/1.1\r\n", recorded.method());
    message.retain(|c| !c.is_control() || c == '\r' || c == '\n');
    let mut message = message.into_bytes();
    for (name, value) in recorded.lines() {
        let framing = ["Content-Length", "Transfer-Encoding"];
        if framing.iter().any(|it| it.eq_ignore_ascii_case(name)) || !is_field(name, value) {
            continue;
        }
        message.extend(name.as_bytes());
        message.extend(b": ");
        message.extend(bytes(value));
        message.extend(b"\r\n");
    }
    if !recorded.body.is_empty() || recorded.field("Content-Length").is_some() {
        message.extend(format!("Content-Length: {}\r\n", recorded.body.len()).bytes());
    }
    message.extend(b"\r\n");
    message.extend(&recorded.body);
    message
}
