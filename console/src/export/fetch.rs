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
    let mut call = String::new();
    for remark in message.remarks() {
        call += &format!("// {remark}\n");
    }
    let has_body = !message.body.is_empty();
    let takes_body = !matches!(message.method, "GET" | "HEAD");
    if has_body && !takes_body {
        call += &format!("// fetch sends no body with {}\n", message.method);
    }
    call += &format!("await fetch({}, {{\n", json::line(&message.url));
    call += &format!("  method: {},\n", json::line(&message.method));
    let headers = message.headers.iter();
    let headers: Vec<_> = headers
        .filter(|(name, value)| may_be_set(name, value))
        .collect();
    if !headers.is_empty() {
        call += "  headers: {\n";
        for (name, value) in headers {
            call += &format!("    {}: {},\n", json::line(name), json::line(value));
        }
        call += "  },\n";
    }
    if has_body && takes_body {
        call += &format!("  body: {},\n", body(&message));
    }
    call + "});\n"
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
