//! The form in which a client prefers our own answers.

use crate::http1::field;

/// The media type of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Text,
    Html,
    Json,
}

impl Format {
    /// The one that an `Accept` field prefers (RFC 9110 §12.5.1); text where it's all the same.
    pub fn preferred(accept: &[u8]) -> Self {
        let mut best = (0.0, Self::Text);
        for range in field::list(accept) {
            let mut parts = range.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
            let format = match parts
                .next()
                .unwrap_or_default()
                .to_ascii_lowercase()
                .as_slice()
            {
                b"application/json" => Self::Json,
                b"text/html" => Self::Html,
                b"text/plain" => Self::Text,
                _ => continue,
            };
            let quality = parts
                .find_map(|part| {
                    part.strip_prefix(b"q=")
                        .or_else(|| part.strip_prefix(b"Q="))
                })
                .and_then(|text| str::from_utf8(text).ok()?.parse::<f32>().ok())
                .unwrap_or(1.0);
            if quality > best.0 {
                best = (quality, format);
            }
        }
        best.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_follows_accept() {
        for (accept, format) in [
            ("*/*", Format::Text),
            ("text/html,application/xhtml+xml,*/*;q=0.8", Format::Html),
            ("application/json", Format::Json),
            ("text/html;q=0.5, Application/JSON", Format::Json),
            ("application/json;q=0.5, text/html", Format::Html),
            ("application/json;q=0", Format::Text),
            ("application/json;q=x,,;", Format::Json),
        ] {
            assert_eq!(Format::preferred(accept.as_bytes()), format, "{accept}");
        }
    }
}
