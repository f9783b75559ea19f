//! Recorded text, made visible: whoever sends a request chooses it, and it is shown to somebody else.
//!
//! A character that can't be seen, or that changes how others look (controls, zero-width characters,
//! those that turn the direction of text), is shown as a mark that names it, and HTML is escaped.
//! Templates show whatever was recorded through one of the two filters here.
#![expect(
    unreachable_pub,
    clippy::inline_always,
    clippy::unnecessary_wraps,
    clippy::unused_self,
    reason = "as askama's macro has filters"
)]

use std::fmt::{self, Display, Formatter, Write};

use askama::Values;
use askama::filters::Safe;

/// Characters of a text that are marked at most; there it ends, since browsers lay out no more than
/// some thousands of elements in a paragraph quickly.
const MARKS: usize = 4096;

/// Text of one line: line breaks are marked too.
#[askama::filter_fn]
pub(crate) fn visible<T: Display>(text: T, _: &dyn Values) -> askama::Result<Safe<Visible<T>>> {
    Ok(Safe(Visible {
        text,
        keeps_lines: false,
    }))
}

/// Text of many lines, whose line breaks and tabs are what they are.
#[askama::filter_fn]
pub(crate) fn visible_lines<T: Display>(
    text: T,
    _: &dyn Values,
) -> askama::Result<Safe<Visible<T>>> {
    Ok(Safe(Visible {
        text,
        keeps_lines: true,
    }))
}

/// Displays its text as HTML, for the content of an element; never for an attribute, since there may be
/// elements in it.
pub(crate) struct Visible<T> {
    text: T,
    keeps_lines: bool,
}

impl<T: Display> Display for Visible<T> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let mut marking = Marking {
            out,
            keeps_lines: self.keeps_lines,
            left: MARKS,
        };
        write!(marking, "{}", self.text)
    }
}

struct Marking<'a, 'b> {
    out: &'a mut Formatter<'b>,
    keeps_lines: bool,
    /// How many more may be marked.
    left: usize,
}

impl Write for Marking<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.find(|character| !self.stays(character)) {
            self.out.write_str(&rest[..at])?;
            rest = self.replace(&rest[at..])?;
        }
        self.out.write_str(rest)
    }
}

impl Marking<'_, '_> {
    /// Whether a character needs no look at what follows it, and is shown as it is.
    fn stays(&self, character: char) -> bool {
        match character {
            '&' | '<' | '>' | '"' | '\'' => false,
            '\n' | '\t' => self.keeps_lines,
            other => !is_invisible(other),
        }
    }

    /// Shows what `text` begins with, and returns the rest.
    fn replace<'t>(&mut self, text: &'t str) -> Result<&'t str, fmt::Error> {
        if self.keeps_lines && text.starts_with("\r\n") {
            self.out.write_char('\n')?;
            return Ok(&text[2..]);
        }
        let is_control = |character| !self.stays(character) && picture(character).is_some();
        let is_end = |&(at, character): &(usize, char)| {
            !is_control(character) || self.keeps_lines && text[at..].starts_with("\r\n")
        };
        let end = text.char_indices().take(self.left).find(is_end);
        let most = self.left.min(text.len());
        let (run, rest) = text.split_at(end.map_or(most, |(at, _)| at));
        if !run.is_empty() {
            // All of them in one element.
            self.out.write_str("<span class=\"mark\">")?;
            for character in run.chars() {
                self.out
                    .write_char(picture(character).unwrap_or(character))?;
            }
            self.out.write_str("</span>")?;
            self.left -= run.len();
            return self.end_if_full(rest);
        }
        let mut characters = text.chars();
        match characters.next() {
            Some(character @ ('&' | '<' | '>' | '"' | '\'')) => {
                write!(self.out, "&#{};", u32::from(character))?;
            }
            Some(character) => {
                let code = u32::from(character);
                write!(self.out, "<span class=\"mark\">U+{code:04X}</span>")?;
                self.left -= 1;
            }
            None => {}
        }
        self.end_if_full(characters.as_str())
    }

    /// Nothing of the rest, where as much as may be is marked.
    fn end_if_full<'t>(&mut self, rest: &'t str) -> Result<&'t str, fmt::Error> {
        if self.left > 0 || rest.is_empty() {
            return Ok(rest);
        }
        let bytes = rest.len();
        write!(self.out, "<span class=\"mark\">… {bytes} bytes more</span>")?;
        Ok("")
    }
}

/// Unicode's picture of a control of ASCII.
fn picture(character: char) -> Option<char> {
    match u32::from(character) {
        code @ 0..=0x1f => char::from_u32(0x2400 + code),
        0x7f => Some('\u{2421}'),
        _ => None,
    }
}

/// Whether a character shows nothing by itself, but for spaces and what is part of a visible
/// character (combining marks, variation selectors).
pub(crate) fn is_invisible(character: char) -> bool {
    matches!(
        character,
        // Controls: C0, DEL and C1.
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}'
        // Soft hyphen, grapheme joiner, Arabic letter mark, fillers, Mongolian separators.
        | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{3164}' | '\u{ffa0}'
        // Zero width, direction, line and paragraph separators, invisible operators.
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        // Byte order mark, annotations, what isn't a character, shorthand and music controls, tags.
        | '\u{feff}' | '\u{fff0}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> String {
        Visible {
            text,
            keeps_lines: false,
        }
        .to_string()
    }

    fn lines(text: &str) -> String {
        Visible {
            text,
            keeps_lines: true,
        }
        .to_string()
    }

    #[test]
    fn html_is_text() {
        for (recorded, shown) in [
            (
                "<script>alert(1)</script>",
                "&#60;script&#62;alert(1)&#60;/script&#62;",
            ),
            ("\" onmouseover='x'", "&#34; onmouseover=&#39;x&#39;"),
            ("&lt;b&gt;", "&#38;lt;b&#38;gt;"),
            ("</span><img src=x>", "&#60;/span&#62;&#60;img src=x&#62;"),
            (
                "<\0script>",
                "&#60;<span class=\"mark\">\u{2400}</span>script&#62;",
            ),
        ] {
            assert_eq!(line(recorded), shown);
            assert_eq!(lines(recorded), shown);
        }
    }

    #[test]
    fn what_cannot_be_seen_is_named() {
        for (recorded, shown) in [
            ('\0', ">\u{2400}<"),
            ('\u{1b}', ">\u{241b}<"),
            ('\u{7f}', ">\u{2421}<"),
            ('\u{85}', ">U+0085<"),
            ('\u{9b}', ">U+009B<"),
            ('\u{ad}', ">U+00AD<"),
            ('\u{200b}', ">U+200B<"),
            ('\u{200d}', ">U+200D<"),
            ('\u{200f}', ">U+200F<"),
            ('\u{2028}', ">U+2028<"),
            ('\u{202e}', ">U+202E<"),
            ('\u{2066}', ">U+2066<"),
            ('\u{2069}', ">U+2069<"),
            ('\u{3164}', ">U+3164<"),
            ('\u{feff}', ">U+FEFF<"),
            ('\u{ffff}', ">U+FFFF<"),
            ('\u{e0041}', ">U+E0041<"),
        ] {
            let text = format!("a{recorded}b");
            for html in [line(&text), lines(&text)] {
                assert!(html.contains(shown), "{recorded:?}: {html}");
                assert!(!html.contains(recorded), "{recorded:?}: {html}");
                assert!(
                    html.starts_with("a<span") && html.ends_with("</span>b"),
                    "{html}"
                );
            }
        }
    }

    #[test]
    fn there_is_an_end_to_marks() {
        for (text, more) in [
            ("\0".repeat(MARKS + 10), "… 10 bytes more"),
            ("a\u{202e}".repeat(MARKS + 10), "… 40 bytes more"),
            ("\0\u{202e}".repeat(MARKS / 2 + 1), "… 4 bytes more"),
        ] {
            let html = line(&text);
            assert!(html.ends_with(&format!("<span class=\"mark\">{more}</span>")));
            assert!(html.matches("<span").count() <= MARKS + 1);
        }
        assert!(!line(&"\0".repeat(MARKS)).contains('…'));
        // What is only escaped costs nothing.
        assert!(!line(&"<".repeat(10 * MARKS)).contains('…'));
    }

    #[test]
    fn what_can_be_seen_stays() {
        for text in [
            "",
            "GET /a?b=c",
            "naïve café",
            "שלום",
            "日本語",
            "❤\u{fe0f}",
            "e\u{301}",
            "\u{fffd}",
        ] {
            assert_eq!(line(text), text);
            assert_eq!(lines(text), text);
        }
    }

    #[test]
    fn lines_are_kept_where_there_may_be_some() {
        assert_eq!(lines("a\tb\r\nc\nd"), "a\tb\nc\nd");
        assert!(!line("a\r\nb").contains(['\r', '\n']));
        assert!(!line("a\tb").contains('\t'));
        assert_eq!(
            lines("\0\0\r\r\n\0"),
            "<span class=\"mark\">\u{2400}\u{2400}\u{240d}</span>\n<span class=\"mark\">\u{2400}</span>"
        );
        let alone = lines("a\rb");
        assert!(
            alone.contains('\u{240d}') && !alone.contains('\r'),
            "{alone}"
        );
    }
}
