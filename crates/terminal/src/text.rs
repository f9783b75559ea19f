//! Text from elsewhere (logs, build output, engine messages), made safe to print.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Control characters become visible escapes, so that a log line can't move the
/// cursor, clear the screen, set the terminal's title or reorder what is on it. Tabs stay.
pub fn escape(text: &str) -> Cow<'_, str> {
    let harmless = |c: char| c == '\t' || !(c.is_control() || is_bidirectional(c));
    if text.chars().all(harmless) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if harmless(c) {
            safe.push(c);
        } else {
            safe.extend(c.escape_default());
        }
    }
    Cow::Owned(safe)
}

/// The same for each line of a text.
pub fn escape_lines(text: &str) -> String {
    let lines: Vec<_> = text.split('\n').map(escape).collect();
    lines.join("\n")
}

/// JSON that means what `json` means, without the control characters that JSON may hold as they
/// are: terminals obey them here as anywhere.
pub fn escape_json(json: &str) -> Cow<'_, str> {
    // Between values JSON has line breaks at most, so the others are all within strings.
    let harmless = |c: char| c == '\n' || !(c.is_control() || is_bidirectional(c));
    if json.chars().all(harmless) {
        return Cow::Borrowed(json);
    }
    let mut safe = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if harmless(c) {
            safe.push(c);
        } else {
            // Writing to a string can't fail. All of them are in the basic plane.
            let _ = write!(safe, "\\u{:04x}", u32::from(c));
        }
    }
    Cow::Owned(safe)
}

/// Unicode's marks, embeddings, overrides and isolates of text direction (UAX #9).
const fn is_bidirectional(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Bytes as text, without the line end, control characters escaped.
pub fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    escape(text.trim_end_matches(['\r', '\n'])).into_owned()
}

/// At most `width` characters of a line, with `…` where it was cut.
pub fn shorten(line: &str, width: usize) -> Cow<'_, str> {
    match line.char_indices().nth(width) {
        None => Cow::Borrowed(line),
        Some((end, _)) => Cow::Owned(format!("{}…", line[..end].trim_end())),
    }
}

/// `2.3s`, `1m05s`.
pub fn duration(duration: std::time::Duration) -> String {
    let seconds = duration.as_secs();
    if seconds < 60 {
        format!("{:.1}s", duration.as_secs_f64())
    } else {
        format!("{}m{:02}s", seconds / 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_sequences_become_visible() {
        assert_eq!(escape("a\x1b[2Jb\u{9b}c\td"), "a\\u{1b}[2Jb\\u{9b}c\td");
        assert_eq!(
            escape("\u{202e}txt.exe\u{2066}"),
            "\\u{202e}txt.exe\\u{2066}"
        );
        assert_eq!(escape_lines("a\rb\nc\x1b"), "a\\rb\nc\\u{1b}");
        assert_eq!(printable(b"line\r\n"), "line");
        assert_eq!(printable(b"\xff"), "\u{fffd}");
    }

    #[test]
    fn json_stays_what_it_is() {
        let text = "\x1b[2J\u{7f}\u{9b}31m\u{202e}é\n";
        let json = serde_json::to_string_pretty(&[text]).unwrap();
        let safe = escape_json(&json);
        assert!(!safe.contains(|c: char| c != '\n' && (c.is_control() || is_bidirectional(c))));
        assert_eq!(serde_json::from_str::<[String; 1]>(&safe).unwrap(), [text]);
    }

    #[test]
    fn long_lines_are_cut_between_characters() {
        assert_eq!(shorten("häuser", 6), "häuser");
        assert_eq!(shorten("häuser", 2), "hä…");
    }

    #[test]
    fn durations_read_well() {
        let ms = std::time::Duration::from_millis;
        assert_eq!(duration(ms(2345)), "2.3s");
        assert_eq!(duration(ms(65_000)), "1m05s");
    }
}
