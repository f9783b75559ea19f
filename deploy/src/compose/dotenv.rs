//! The format of `.env` and of `env_file` files (Compose specification, `env_file`).
//!
//! `NAME=value` lines, maybe with `export`; `#` comments; unquoted and double-quoted values are
//! interpolated, single-quoted ones are literal; quoted values may span lines. The crates for this
//! format interpolate from the process environment and nothing else, while here `.env`, the
//! options and earlier lines count too.

use super::interpolate::{InterpolationError, interpolate};

/// A line of the file: a name, and its value unless the name stands alone.
pub(super) type Assignment = (String, Option<String>);

/// Parses `text`. `lookup` knows the variables from outside, which win over those of earlier
/// lines; `unset` is told of variables that neither has.
///
/// The error is `LINE: what is wrong`; it never shows a value, which may be secret.
pub(super) fn parse(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
    unset: &mut dyn FnMut(&str),
) -> Result<Vec<Assignment>, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut assignments: Vec<Assignment> = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let line_number = 1 + text[..text.len() - rest.len()].matches('\n').count();
        let at = |message: &str| format!("{line_number}: {message}");

        let (line, after_line) = rest.split_once('\n').unwrap_or((rest, ""));
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            rest = after_line;
            continue;
        }
        let statement = trimmed
            .strip_prefix("export ")
            .unwrap_or(trimmed)
            .trim_start();
        let Some((name, _)) = statement.split_once('=') else {
            let name = statement
                .split_once(" #")
                .map_or(statement, |(name, _)| name)
                .trim_end();
            check_name(name).map_err(|message| at(&message))?;
            assignments.push((name.to_owned(), None));
            rest = after_line;
            continue;
        };
        let name = name.trim_end();
        check_name(name).map_err(|message| at(&message))?;

        let value = rest.split_once('=').map_or("", |(_, value)| value);
        let value = value.trim_start_matches([' ', '\t']);
        let (raw, literal) =
            if let Some(quote) = value.chars().next().filter(|c| "'\"".contains(*c)) {
                let (inner, after) =
                    quoted(&value[1..], quote).ok_or_else(|| at("the quote isn't closed"))?;
                let (tail, after) = after.split_once('\n').unwrap_or((after, ""));
                let tail = tail.trim();
                if !(tail.is_empty() || tail.starts_with('#')) {
                    return Err(at("text after the closing quote"));
                }
                rest = after;
                (inner, quote == '\'')
            } else {
                rest = after_line;
                let value = value.split_once('\n').map_or(value, |(value, _)| value);
                (strip_comment(value).to_owned(), false)
            };
        let value = if literal {
            raw
        } else {
            let lookup = |name: &str| {
                lookup(name).or_else(|| {
                    let earlier = assignments.iter().rev().find(|(known, _)| known == name);
                    earlier.and_then(|(_, value)| value.clone())
                })
            };
            interpolate(&raw, &lookup, unset).map_err(|error| at(&without_value(error)))?
        };
        assignments.push((name.to_owned(), Some(value)));
    }
    Ok(assignments)
}

fn check_name(name: &str) -> Result<(), String> {
    let valid = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if !name.is_empty() && name.chars().all(valid) {
        return Ok(());
    }
    Err("expected NAME=value".to_owned())
}

/// What is wrong with a value, without any of it.
fn without_value(error: InterpolationError) -> String {
    match error {
        InterpolationError::Syntax(_) => {
            "a $ that begins no variable; write $$ for one $, or put the value in single quotes"
                .to_owned()
        }
        error => error.to_string(),
    }
}

/// The text up to the closing quote, and what follows. In double quotes, backslash escapes are
/// resolved; `\$` becomes `$$`, which interpolation takes for one dollar sign.
fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut inner = String::new();
    let mut characters = text.char_indices();
    while let Some((index, character)) = characters.next() {
        if character == quote {
            return Some((inner, &text[index + 1..]));
        }
        if character != '\\' || quote == '\'' {
            inner.push(character);
            continue;
        }
        match characters.next()?.1 {
            'n' => inner.push('\n'),
            'r' => inner.push('\r'),
            't' => inner.push('\t'),
            '$' => inner.push_str("$$"),
            escaped @ ('"' | '\\') => inner.push(escaped),
            other => inner.extend(['\\', other]),
        }
    }
    None
}

/// An unquoted value ends before a `#` that follows white space.
fn strip_comment(value: &str) -> &str {
    let comment = value.char_indices().find(|&(index, character)| {
        character == '#' && (index == 0 || value[..index].ends_with([' ', '\t']))
    });
    comment.map_or(value, |(index, _)| &value[..index]).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(String, Option<String>)>, String> {
        let lookup = |name: &str| (name == "OUTER").then(|| "outer".to_owned());
        parse(text, &lookup, &mut |_| {})
    }

    fn value(text: &str) -> String {
        read(text).unwrap().pop().unwrap().1.unwrap()
    }

    #[test]
    fn values() {
        let cases = [
            ("A=b", "b"),
            ("A=", ""),
            ("  export A = b  ", "b"),
            ("A=b # comment", "b"),
            ("A=b#no comment", "b#no comment"),
            ("A=# comment", ""),
            ("A=b c\r\n", "b c"),
            ("A='b # $OUTER \\n'", "b # $OUTER \\n"),
            ("A=\"b # $OUTER\\n\" # comment", "b # outer\n"),
            ("A=\"say \\\"$$5\\\" \\$x\"", "say \"$5\" $x"),
            ("A='one\ntwo'", "one\ntwo"),
            ("A=${OUTER:-x}/$OUTER", "outer/outer"),
            ("B=1\nA=$B$B", "11"),
            ("OUTER=inner\nA=$OUTER", "outer"),
            ("A=x=y", "x=y"),
            ("A='ü'", "ü"),
            ("\u{feff}A=1", "1"),
        ];
        for (text, expected) in cases {
            assert_eq!(value(text), expected, "{text:?}");
        }
    }

    #[test]
    fn several_lines() {
        let text = "# first\n\nA=\"1\n2\"\nB # alone\nC=3";
        let expected = [("A", Some("1\n2")), ("B", None), ("C", Some("3"))];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.map(str::to_owned)));
        assert_eq!(read(text).unwrap(), expected);
    }

    #[test]
    fn errors_name_the_line_and_no_value() {
        let cases = [
            ("A=1\n=secret", "2: expected NAME=value"),
            ("A=1\nB C=secret", "2: expected NAME=value"),
            ("not a line secret", "1: expected NAME=value"),
            ("A='x\ny'\nB='secret", "3: the quote isn't closed"),
            ("A=\"secret\\", "1: the quote isn't closed"),
            ("A='x' secret", "1: text after the closing quote"),
            (
                "A=x$!secret",
                "1: a $ that begins no variable; write $$ for one $, or put the value in single quotes",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text).unwrap_err(), expected, "{text:?}");
        }
    }
}
