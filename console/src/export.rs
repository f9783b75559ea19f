//! Recorded requests in formats that other programs read.
//!
//! Whoever sends a request chooses what is in it, and it is pasted into shells and shown on terminals:
//! no format but [`http`], which has the bytes as they are, lets a character through that can't be
//! seen.

pub mod curl;
pub mod fetch;
pub mod har;
pub mod http;
pub mod json;
mod message;
pub mod ndjson;

/// What one request, or a whole list, can be had as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Json,
    Ndjson,
    Har,
    Curl,
    Http,
    Fetch,
}

impl Format {
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "json" => Self::Json,
            "ndjson" => Self::Ndjson,
            "har" => Self::Har,
            "curl" => Self::Curl,
            "http" => Self::Http,
            "fetch" => Self::Fetch,
            _ => return None,
        })
    }

    /// Text that a browser might take for a script or a page is plain text to it.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json | Self::Har => "application/json",
            Self::Ndjson => "application/x-ndjson",
            Self::Curl | Self::Fetch => "text/plain; charset=utf-8",
            Self::Http => "message/http",
        }
    }

    /// How a file's name ends.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Ndjson => "ndjson",
            Self::Har => "har",
            Self::Curl => "sh",
            Self::Http => "http",
            Self::Fetch => "js",
        }
    }
}

/// Whether a character shows nothing by itself, or changes how others are shown: a control, a mark of
/// text direction, a separator.
fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}')
}
