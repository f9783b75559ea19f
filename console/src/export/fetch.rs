//! A call of `fetch` that sends a request again, for a browser's console and for Node.js.

use super::json;
use super::message::{Message, base64};
use crate::requests::recorded::Recorded;

/// What scripts may not set: <https://fetch.spec.whatwg.org/#forbidden-request-header>. Those that
/// belong to a connection aren't sent again anyway.
const FORBIDDEN: [&str; 14] = [
    "Accept-Charset",
    "Accept-Encoding",
    "Access-Control-Request-Headers",
    "Access-Control-Request-Method",
    "Access-Control-Request-Private-Network",
    "Cookie",
    "Cookie2",
    "Date",
    "Dnt",
    "Host",
    "Origin",
    "Referer",
    "Set-Cookie",
    "Permissions-Policy",
];

/// The call, with the line's end.
pub fn call(recorded: &Recorded) -> String {
    let message = Message::of(recorded);
    let has_body = !message.body.is_empty();
    let takes_body = !matches!(message.method, "GET" | "HEAD");
    let remarks = message.remarks();
    let mut lines: Vec<_> = remarks
        .iter()
        .map(|remark| format!("// {remark}"))
        .collect();
    if has_body && !takes_body {
        lines.push(format!("// fetch sends no body with {}", message.method));
    }
    lines.push(format!("await fetch({}, {{", json::line(&message.url)));
    lines.push(format!("  method: {},", json::line(&message.method)));
    let headers = message.headers.iter();
    let mut headers = headers
        .filter(|(name, value)| may_be_set(name, value))
        .peekable();
    if headers.peek().is_some() {
        lines.push("  headers: {".to_owned());
        let line = |(name, value): &(&str, &str)| {
            format!("    {}: {},", json::line(name), json::line(value))
        };
        lines.extend(headers.map(line));
        lines.push("  },".to_owned());
    }
    if has_body && takes_body {
        lines.push(format!("  body: {},", body(&message)));
    }
    lines.push("});\n".to_owned());
    lines.join("\n")
}

fn may_be_set(name: &str, value: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let forbidden = FORBIDDEN.iter().any(|it| it.eq_ignore_ascii_case(name));
    !(forbidden || lower.starts_with("proxy-") || lower.starts_with("sec-"))
        && value.chars().all(|c| u8::try_from(c).is_ok())
}

/// Text goes with a `Content-Type` of fetch's own where there is none; bytes don't.
fn body(message: &Message<'_>) -> String {
    match std::str::from_utf8(message.body) {
        Ok(text) if message.has("Content-Type") => json::line(&text),
        Ok(text) => format!("new TextEncoder().encode({})", json::line(&text)),
        Err(_) => {
            let text = json::line(&base64(message.body));
            format!("Uint8Array.from(atob({text}), (c) => c.charCodeAt(0))")
        }
    }
}
