//! Text from elsewhere (logs, build output, engine messages), made safe to print.

use std::borrow::Cow;

/// Control characters become visible escapes, so that a log line can't move the
/// cursor, clear the screen or set the terminal's title. Tabs stay.
pub fn escape(text: &str) -> Cow<'_, str> {
    let harmless = |c: char| c == '\t' || !c.is_control();
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
        assert_eq!(printable(b"line\r\n"), "line");
        assert_eq!(printable(b"\xff"), "\u{fffd}");
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
