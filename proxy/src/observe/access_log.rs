//! The access log: one `tracing` event per request, formatted without detours.
//!
//! The events go through `tracing` like all others, under the target `access`; this layer exists
//! because the general JSON formatter costs several microseconds per event, which is a good part
//! of what a whole request costs.
//!
//! What clients choose is cut to a length that a person would read, and says how much is missing:
//! whoever could write long lines could rotate away what was logged of them.

use std::{
    fmt::{self, Write as _},
    io::Write as _,
    sync::Arc,
    time::SystemTime,
};

use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    filter::LevelFilter,
    layer::{Context, Filter, Layer},
};

use super::log_sink::LogSink;

pub(crate) const TARGET: &str = "access";

/// Most bytes that the text of a field takes in a line, escapes included.
pub(super) const fn limit_of(field: &str) -> usize {
    match field.as_bytes() {
        b"path" => 2048,
        b"user_agent" => 512,
        b"method" => 32,
        _ => 256,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// One JSON object per line.
    Json,
    /// `name=value` pairs, for people.
    Plain,
}

/// Formats access events into the sink.
#[derive(Debug)]
pub(crate) struct AccessLayer {
    pub(crate) sink: Arc<LogSink>,
    pub(crate) style: Style,
}

impl<S: Subscriber> Layer<S> for AccessLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        self.sink.append(|line| {
            let now = humantime::format_rfc3339_micros(SystemTime::now());
            // Writing to a Vec can't fail, here and below.
            let _ = match self.style {
                Style::Json => write!(
                    line,
                    "{{\"timestamp\":\"{now}\",\"level\":\"INFO\",\"target\":\"{TARGET}\""
                ),
                Style::Plain => write!(line, "{now}  INFO {TARGET}:"),
            };
            event.record(&mut Fields {
                line,
                style: self.style,
            });
            line.extend_from_slice(if self.style == Style::Json {
                b"}\n"
            } else {
                b"\n"
            });
        });
    }
}

/// Lets only access events through, or all others.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OnlyAccess(pub(crate) bool);

impl<S> Filter<S> for OnlyAccess {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        (metadata.target() == TARGET) == self.0
    }

    fn callsite_enabled(
        &self,
        metadata: &'static Metadata<'static>,
    ) -> tracing::subscriber::Interest {
        if (metadata.target() == TARGET) == self.0 {
            tracing::subscriber::Interest::always()
        } else {
            tracing::subscriber::Interest::never()
        }
    }

    /// Without it what is on no level of the log (each span of the HTTP/2 library's) would be looked at
    /// every time.
    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(if self.0 {
            LevelFilter::INFO
        } else {
            LevelFilter::TRACE
        })
    }
}

struct Fields<'a> {
    line: &'a mut Vec<u8>,
    style: Style,
}

impl Fields<'_> {
    fn name(&mut self, name: &str) {
        match self.style {
            Style::Json => {
                self.line.extend_from_slice(b",\"");
                self.line.extend_from_slice(name.as_bytes());
                self.line.extend_from_slice(b"\":");
            }
            Style::Plain => {
                self.line.push(b' ');
                self.line.extend_from_slice(name.as_bytes());
                self.line.push(b'=');
            }
        }
    }

    fn text(&mut self, value: &str, limit: usize) {
        let plain_word = self.style == Style::Plain
            && (1..=limit).contains(&value.len())
            && value
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\');
        if plain_word {
            self.line.extend_from_slice(value.as_bytes());
        } else {
            self.line.push(b'"');
            let written = push_escaped(self.line, value, limit);
            if written < value.len() {
                // Writing to a Vec can't fail.
                let _ = write!(self.line, "…[+{} bytes]", value.len() - written);
            }
            self.line.push(b'"');
        }
    }
}

/// Appends `value` as the inside of a JSON string, as much of it as `limit` bytes have room for;
/// returns how many of its bytes that were. Log lines get shown on terminals, so beyond
/// what JSON asks for everything is escaped that could rewrite or reorder what is on one: all
/// control characters, C1 and DEL included, and the bidirectional ones.
fn push_escaped(line: &mut Vec<u8>, value: &str, limit: usize) -> usize {
    let plain = |byte| (b' '..=b'~').contains(&byte) && byte != b'"' && byte != b'\\';
    if value.len() <= limit && value.bytes().all(plain) {
        line.extend_from_slice(value.as_bytes());
        return value.len();
    }
    let start = line.len();
    for (at, character) in value.char_indices() {
        let before = line.len();
        let _ = match character {
            '"' => line.write_all(b"\\\""),
            '\\' => line.write_all(b"\\\\"),
            control if control.is_control() || is_bidirectional(control) => {
                write!(line, "\\u{:04x}", u32::from(control))
            }
            other => line.write_all(other.encode_utf8(&mut [0; 4]).as_bytes()),
        };
        if line.len() - start > limit {
            line.truncate(before);
            return at;
        }
    }
    value.len()
}

/// Unicode's marks, embeddings, overrides and isolates of text direction (UAX #9).
const fn is_bidirectional(character: char) -> bool {
    matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.name(field.name());
        self.text(value, limit_of(field.name()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.name(field.name());
        self.line
            .extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.name(field.name());
        let _ = write!(self.line, "{value:.3}");
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        let _ = write!(text, "{value:?}");
        self.record_str(field, &text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_control_character_gets_through() {
        let mut line = Vec::new();
        push_escaped(&mut line, "a\"b\\c\x1b[31m\n\u{7f}\u{9b}é\u{202e}", 100);
        assert_eq!(
            String::from_utf8(line).unwrap(),
            "a\\\"b\\\\c\\u001b[31m\\u000a\\u007f\\u009bé\\u202e"
        );
    }

    #[test]
    fn texts_are_cut_by_what_they_take_in_the_line() {
        for (value, limit, expected) in [
            ("abc", 3, "abc"),
            ("abcd", 3, "abc…[+1 bytes]"),
            ("ab\n", 3, "ab…[+1 bytes]"),
            ("a\"\"", 5, "a\\\"\\\""),
            ("\u{1}\u{1}", 11, "\\u0001…[+1 bytes]"),
            ("éé", 3, "é…[+2 bytes]"),
            ("", 3, ""),
        ] {
            let mut line = Vec::new();
            let style = Style::Json;
            Fields {
                line: &mut line,
                style,
            }
            .text(value, limit);
            assert_eq!(String::from_utf8(line).unwrap(), format!("\"{expected}\""));
        }
    }
}
