//! Command lines in one string, split into words as Docker Compose 2 splits them (its parser is
//! go-shellwords): blanks separate, quotes and backslashes keep together, and a `#` begins no
//! comment. No shell runs, so that what only a shell understands is refused: Compose drops it,
//! with everything behind it.

use crate::cursor::Cursor;

/// A program and its arguments, as a list.
pub(super) fn command(cursor: &Cursor<'_>) -> Option<Vec<String>> {
    let words = cursor.strings()?;
    if words.first().is_none_or(String::is_empty) {
        cursor.problem("expected a program and its arguments");
    }
    Some(words)
}

/// A command line: a list of words, or one string that is split. Null leaves it to the image.
pub(super) fn words(cursor: &Cursor<'_>) -> Option<Vec<String>> {
    if cursor.is_null() {
        return None;
    }
    if cursor.is_list() {
        return cursor.strings();
    }
    match split(cursor.string()?) {
        Ok(words) => Some(words),
        // The line may contain secrets that came from variables, and isn't shown.
        Err(message) => {
            cursor.problem(message);
            None
        }
    }
}

/// # Errors
/// What is wrong, without anything of the line but an operator.
fn split(line: &str) -> Result<Vec<String>, String> {
    const OPERATORS: &str = ";&|<>()`";
    let mut words = Vec::new();
    // `Some` from a word's first character or quote on: it may be empty.
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match (character, quote) {
            ('\\', None | Some('"')) => match characters.next() {
                Some(escaped) => word.get_or_insert_default().push(escaped),
                None => return Err("the backslash at its end escapes nothing".to_owned()),
            },
            ('"' | '\'', None) => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (_, Some(open)) if character == open => quote = None,
            (' ' | '\t' | '\r' | '\n', None) => words.extend(word.take()),
            (_, None) if OPERATORS.contains(character) => {
                let doubled = characters.clone().next() == Some(character);
                let operator = String::from(character).repeat(1 + usize::from(doubled));
                return Err(format!(
                    "{operator} means something to a shell, and none runs here: put it in quotes, \
                     or write [\"sh\", \"-c\", \"…\"]"
                ));
            }
            _ => word.get_or_insert_default().push(character),
        }
    }
    if quote.is_some() {
        return Err("expected a command line with its quotes closed".to_owned());
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_compose_splits_them() {
        for (line, expected) in [
            ("--requirepass #s3cret", &["--requirepass", "#s3cret"][..]),
            ("# a#b", &["#", "a#b"]),
            (r#"a 'b c'"d e"f\ g '' "#, &["a", "b cd ef g", ""]),
            (
                r#"a "b\"c\n" 'd\e' \\ \;"#,
                &["a", "b\"cn", r"d\e", "\\", ";"],
            ),
            (
                "a ';' '&&' \"|\" x=y $HOME * ! {b,c} ~",
                &["a", ";", "&&", "|", "x=y", "$HOME", "*", "!", "{b,c}", "~"],
            ),
            ("a\n\tb\r\nc \\\n", &["a", "b", "c", "\n"]),
            (" ", &[]),
        ] {
            assert_eq!(split(line).unwrap(), expected, "{line:?}");
        }
    }

    #[test]
    fn what_only_a_shell_understands_is_refused_without_showing_the_line() {
        for (line, operator) in [
            ("s3cret && b", "&&"),
            ("s3cret; b", ";"),
            ("s3cret | b", "|"),
            ("s3cret || b", "||"),
            ("s3cret 2>&1", ">"),
            ("s3cret < f", "<"),
            ("s3cret &", "&"),
            ("s3cret $(date)", "("),
            ("s3cret `date`", "`"),
        ] {
            let message = split(line).unwrap_err();
            assert!(
                message.starts_with(&format!("{operator} means")),
                "{message}"
            );
            assert!(message.contains("sh\", \"-c\"") && !message.contains("s3cret"));
        }
        for open in ["a 'b", "a \"b", "a \\"] {
            assert!(split(open).is_err(), "{open}");
        }
    }
}
