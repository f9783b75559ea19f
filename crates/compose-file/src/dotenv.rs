//! The format of `.env` and of `env_file` files, as Docker Compose 2 reads it (Compose
//! specification, `env_file`; its parser is compose-go's `dotenv`).
//!
//! `NAME=value` or `NAME: value` lines, maybe with `export`; `#` comments; unquoted and
//! double-quoted values are interpolated, single-quoted ones are literal; quoted values may span
//! lines. The crates for this format interpolate from the process environment and nothing else,
//! while here `.env`, the options and earlier lines count too.

use indexmap::IndexMap;

use super::interpolate::{Budget, InterpolationError, LoneDollar, Lookup, interpolate};

/// What a file says: names, and their values. A name that stands alone has the value that it has
/// outside, and without one there: none.
pub(super) type Assignments = IndexMap<String, Option<String>>;

/// Parses `text`. `lookup` knows the variables from outside, which win over those of earlier
/// lines; `unset` is told of variables that neither has. `budget` pays for what comes of it.
///
/// The error is `LINE: what is wrong`; it never shows a value, which may be secret.
pub(super) fn parse(
    text: &str,
    lookup: &Lookup<'_>,
    unset: &mut dyn FnMut(&str),
    budget: &Budget,
) -> Result<Assignments, String> {
    let mut assignments = Assignments::new();
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut next_line = 1;
    while !rest.is_empty() {
        let line = next_line;
        let statement = statement(rest).map_err(|message| format!("{line}: {message}"))?;
        next_line += rest[..rest.len() - statement.after.len()]
            .matches('\n')
            .count();
        rest = statement.after;
        let Some((name, value)) = statement.assignment else {
            continue;
        };
        let value = match value {
            None => lookup(name).map(str::to_owned),
            Some(Raw::Literal(value)) => Some(value),
            Some(Raw::Template(template)) => {
                let lookup = |name: &str| {
                    lookup(name)
                        .or_else(|| assignments.get(name).and_then(|value| value.as_deref()))
                };
                let value = interpolate(&template, LoneDollar::Kept, &lookup, unset)
                    .map_err(|error| format!("{line}: {}", without_value(error)))?;
                Some(value)
            }
        };
        if !budget.spend(name.len() + value.as_deref().map_or(0, str::len)) {
            return Err(format!("{line}: {}", InterpolationError::TooMuch));
        }
        if value.is_some() {
            assignments.insert(name.to_owned(), value);
        } else {
            assignments.entry(name.to_owned()).or_default();
        }
    }
    Ok(assignments)
}

/// What the text begins with: an assignment, unless it is an empty line or a comment.
struct Statement<'a> {
    assignment: Option<(&'a str, Option<Raw>)>,
    after: &'a str,
}

/// A value as the file has it, its quotes and escapes resolved.
enum Raw {
    Literal(String),
    /// To be interpolated.
    Template(String),
}

fn statement(text: &str) -> Result<Statement<'_>, String> {
    let (line, after) = text.split_once('\n').unwrap_or((text, ""));
    let trimmed = line.trim();
    if trimmed.is_empty() || trimmed.starts_with('#') {
        let assignment = None;
        return Ok(Statement { assignment, after });
    }
    let statement = trimmed
        .strip_prefix("export")
        .filter(|rest| rest.starts_with(char::is_whitespace))
        .map_or(trimmed, str::trim_start);
    let Some((name, value)) = statement.split_once(['=', ':']) else {
        let name = statement
            .split_once(" #")
            .map_or(statement, |(name, _)| name)
            .trim_end();
        let assignment = Some((checked(name)?, None));
        return Ok(Statement { assignment, after });
    };
    let name = checked(name.trim_end())?;
    let value = value.trim_start();
    if let Some(quote) = value.chars().next().filter(|c| "'\"".contains(*c)) {
        // It may go on behind the line.
        let value = text.split_once(['=', ':']).map_or("", |(_, value)| value);
        let inner = value.trim_start().strip_prefix(quote).unwrap_or_default();
        let (value, tail) = quoted(inner, quote).ok_or("the quote isn't closed")?;
        let (tail, after) = tail.split_once('\n').unwrap_or((tail, ""));
        let tail = tail.trim();
        if !(tail.is_empty() || tail.starts_with('#')) {
            return Err("text after the closing quote".to_owned());
        }
        let assignment = Some((name, Some(value)));
        return Ok(Statement { assignment, after });
    }
    // Only a blank before it makes a `#` begin a comment, and not the blanks before the value.
    let value = value.split_once(" #").map_or(value, |(value, _)| value);
    let value = Raw::Template(value.trim_end().to_owned());
    let assignment = Some((name, Some(value)));
    Ok(Statement { assignment, after })
}

fn checked(name: &str) -> Result<&str, String> {
    let valid = |c: char| c.is_alphanumeric() || "_.-[]".contains(c);
    if !name.is_empty() && name.chars().all(valid) {
        return Ok(name);
    }
    Err("expected NAME=value".to_owned())
}

/// What is wrong with a value, without any of it.
fn without_value(error: InterpolationError) -> String {
    match error {
        InterpolationError::Syntax(_) => {
            "a ${ that begins no variable; write $${ for one, or put the value in single quotes"
                .to_owned()
        }
        error => error.to_string(),
    }
}

/// The text up to the closing quote, and what follows. In single quotes a backslash escapes the
/// quote alone. In double quotes it escapes what it does in C, too; `\$` becomes `$$`, which
/// interpolation takes for one dollar sign.
fn quoted(text: &str, quote: char) -> Option<(Raw, &str)> {
    let mut inner = String::new();
    let mut characters = text.char_indices();
    while let Some((index, character)) = characters.next() {
        if character == quote {
            let raw = match quote {
                '\'' => Raw::Literal(inner),
                _ => Raw::Template(inner),
            };
            return Some((raw, &text[index + 1..]));
        }
        if character != '\\' {
            inner.push(character);
            continue;
        }
        let escaped = characters.next()?.1;
        let character = match escaped {
            _ if escaped == quote => escaped,
            _ if quote == '\'' => {
                inner.extend(['\\', escaped]);
                continue;
            }
            'a' => '\x07',
            'b' => '\x08',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\x0b',
            '\\' => '\\',
            '$' => {
                inner.push_str("$$");
                continue;
            }
            other => {
                inner.extend(['\\', other]);
                continue;
            }
        };
        inner.push(character);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Assignments, String> {
        let lookup = |name: &str| (name == "OUTER").then_some("outer");
        parse(text, &lookup, &mut |_| {}, &Budget::default())
    }

    fn value(text: &str) -> String {
        read(text).unwrap()["A"].clone().unwrap()
    }

    #[test]
    fn values() {
        let cases = [
            ("A=b", "b"),
            ("A=", ""),
            ("  export A = b  ", "b"),
            ("A=b # comment", "b"),
            ("A=b#no comment", "b#no comment"),
            ("A=# no comment", "# no comment"),
            ("A= #no # comment", "#no"),
            ("A=b\t#no comment", "b\t#no comment"),
            ("A=b c\r\n", "b c"),
            ("A='b # $OUTER \\n'", "b # $OUTER \\n"),
            (r"A='it\'s' # comment", "it's"),
            (r"A='a\\'", r"a\\"),
            (r#"A="a\'\a""#, "a\\'\u{7}"),
            ("A=\"b # $OUTER\\n\" # comment", "b # outer\n"),
            ("A=\"say \\\"$$5\\\" \\$x\"", "say \"$5\" $x"),
            ("A='one\ntwo'", "one\ntwo"),
            ("A=${OUTER:-x}/$OUTER", "outer/outer"),
            ("B=1\nA=$B$B", "11"),
            ("OUTER=inner\nA=$OUTER", "outer"),
            ("A=x=y", "x=y"),
            ("A: b:c", "b:c"),
            ("export\tA=b", "b"),
            ("A=p$1$", "p$1$"),
            ("A=\nB=1", ""),
            ("OUTER=inner\nA\nA=b", "b"),
            ("A='ü'", "ü"),
            ("\u{feff}A=1", "1"),
        ];
        for (text, expected) in cases {
            assert_eq!(value(text), expected, "{text:?}");
        }
    }

    #[test]
    fn several_lines() {
        let text = "# first\n\nA=\"1\n2\"\nB # alone\nC=3\nOUTER\nC";
        let expected = [
            ("A", Some("1\n2")),
            ("B", None),
            ("C", Some("3")),
            ("OUTER", Some("outer")),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.map(str::to_owned)));
        assert_eq!(read(text).unwrap(), Assignments::from(expected));
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
                "A='x\ny'\nB=x${!secret",
                "3: a ${ that begins no variable; write $${ for one, or put the value in single quotes",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text).unwrap_err(), expected, "{text:?}");
        }
    }
}
