//! Replaces `$NAME` and `${NAME…}` in a value (Compose specification, "Interpolation").
//!
//! It works on scalars after YAML is parsed, so what a variable holds can't change the file's
//! structure.

use std::fmt;

/// `${A:-${B:-…}}` may nest this deep.
const MAX_NESTING: usize = 32;
/// Of one value, in bytes; variables that refer to each other could grow without bounds.
const MAX_LENGTH: usize = 256 << 10;

/// Why a value couldn't be interpolated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum InterpolationError {
    /// A `$` that begins nothing; the rest of the value from there.
    Syntax(String),
    /// `${NAME:?message}` and the variable isn't there.
    Required {
        name: String,
        message: String,
    },
    TooDeep,
    TooLong,
}

impl fmt::Display for InterpolationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(rest) => {
                write!(
                    f,
                    "{rest:?} is no variable; expected $NAME or ${{NAME}}, or $$ for one $"
                )
            }
            Self::Required { name, message } if message.is_empty() => {
                write!(f, "the variable {name} is required and not set")
            }
            Self::Required { name, message } => {
                write!(f, "the variable {name} is required: {message}")
            }
            Self::TooDeep => write!(f, "variables nest deeper than {MAX_NESTING} levels"),
            Self::TooLong => write!(f, "longer than {MAX_LENGTH} bytes after interpolation"),
        }
    }
}

/// Replaces the variables in `text` by what `lookup` knows of them. `unset` is told the name of
/// each that isn't known and has no default; it counts as empty.
pub(super) fn interpolate(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
    unset: &mut dyn FnMut(&str),
) -> Result<String, InterpolationError> {
    Interpolation { lookup, unset }.expand(text, 0)
}

struct Interpolation<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    unset: &'a mut dyn FnMut(&str),
}

impl Interpolation<'_> {
    fn expand(&mut self, text: &str, depth: usize) -> Result<String, InterpolationError> {
        if depth > MAX_NESTING {
            return Err(InterpolationError::TooDeep);
        }
        let mut result = String::new();
        let mut rest = text;
        while let Some((before, dollar)) = rest.split_once('$') {
            result += before;
            if let Some(after) = dollar.strip_prefix('$') {
                result.push('$');
                rest = after;
            } else if let Some(after) = dollar.strip_prefix('{') {
                let end = closing_brace(after).ok_or_else(|| syntax(dollar))?;
                let (body, after) = after.split_at(end);
                result += &self.braced(body, depth)?;
                rest = after.get(1..).unwrap_or_default();
            } else {
                let (name, after) = split_name(dollar);
                if name.is_empty() {
                    return Err(syntax(dollar));
                }
                result += &self.value_or_empty(name);
                rest = after;
            }
            if result.len() > MAX_LENGTH {
                return Err(InterpolationError::TooLong);
            }
        }
        result += rest;
        Ok(result)
    }

    /// What stands between `${` and its `}`.
    fn braced(&mut self, body: &str, depth: usize) -> Result<String, InterpolationError> {
        let (name, operation) = split_name(body);
        if name.is_empty() {
            return Err(syntax(&format!("{{{body}}}")));
        }
        if operation.is_empty() {
            return Ok(self.value_or_empty(name));
        }
        // With a colon, an empty value counts as none.
        let (operation, value) = match operation.strip_prefix(':') {
            Some(operation) => (
                operation,
                (self.lookup)(name).filter(|value| !value.is_empty()),
            ),
            None => (operation, (self.lookup)(name)),
        };
        let mut characters = operation.chars();
        let operator = characters.next();
        let operand = characters.as_str();
        match (operator, value) {
            (Some('-' | '?'), Some(value)) => Ok(value),
            (Some('-'), None) | (Some('+'), Some(_)) => self.expand(operand, depth + 1),
            (Some('+'), None) => Ok(String::new()),
            (Some('?'), None) => Err(InterpolationError::Required {
                name: name.to_owned(),
                message: self.expand(operand, depth + 1)?,
            }),
            _ => Err(syntax(&format!("{{{body}}}"))),
        }
    }

    fn value_or_empty(&mut self, name: &str) -> String {
        (self.lookup)(name).unwrap_or_else(|| {
            (self.unset)(name);
            String::new()
        })
    }
}

/// Splits after the longest variable name: `[A-Za-z_][A-Za-z0-9_]*`, maybe empty.
fn split_name(text: &str) -> (&str, &str) {
    let end = text
        .bytes()
        .enumerate()
        .position(|(i, b)| !(b == b'_' || b.is_ascii_alphabetic() || (i > 0 && b.is_ascii_digit())))
        .unwrap_or(text.len());
    text.split_at(end)
}

/// The index of the `}` that closes a brace opened before `text`; `${` opens further ones.
fn closing_brace(text: &str) -> Option<usize> {
    let mut open = 1_usize;
    let mut previous = 0;
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            b'{' if previous == b'$' => open += 1,
            b'}' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return Some(index);
        }
        // The second of `$$` begins nothing.
        previous = if (previous, byte) == (b'$', b'$') {
            0
        } else {
            byte
        };
    }
    None
}

fn syntax(after_dollar: &str) -> InterpolationError {
    let shown: String = after_dollar.chars().take(40).collect();
    InterpolationError::Syntax(format!("${shown}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(text: &str) -> (Result<String, InterpolationError>, Vec<String>) {
        let mut missing = Vec::new();
        let lookup = |name: &str| match name {
            "SET" => Some("value".to_owned()),
            "EMPTY" => Some(String::new()),
            "DOLLAR" => Some("$SET".to_owned()),
            _ => None,
        };
        let result = interpolate(text, &lookup, &mut |name| missing.push(name.to_owned()));
        (result, missing)
    }

    #[test]
    fn forms_of_the_specification() {
        let cases = [
            ("plain", "plain"),
            ("$SET-${SET}", "value-value"),
            ("a${SET}b", "avalueb"),
            ("$$SET $${SET}", "$SET ${SET}"),
            ("$$$SET", "$value"),
            ("${SET:-d}", "value"),
            ("${EMPTY:-d}", "d"),
            ("${EMPTY-d}", ""),
            ("${UNSET:-d}", "d"),
            ("${UNSET-d}", "d"),
            ("${UNSET:-}", ""),
            ("${UNSET-a:b}", "a:b"),
            ("${SET:+r}", "r"),
            ("${EMPTY:+r}", ""),
            ("${EMPTY+r}", "r"),
            ("${UNSET+r}", ""),
            ("${SET:?e}${SET?e}${EMPTY?e}", "valuevalue"),
            ("${UNSET:-${ALSO_UNSET:-${SET}}}", "value"),
            ("${UNSET:-a}b}", "ab}"),
            ("${UNSET:-$$}", "$"),
            ("${UNSET:-$${x}}", "${x}"),
            ("${UNSET:-{json}}", "{json}"),
            ("$DOLLAR", "$SET"),
            ("${SET:-${", "!"),
            ("über$SET", "übervalue"),
        ];
        for (text, expected) in cases {
            let (result, missing) = expand(text);
            if expected == "!" {
                assert!(result.is_err(), "{text}: {result:?}");
            } else {
                assert_eq!(result.as_deref(), Ok(expected), "{text}");
            }
            assert!(missing.is_empty(), "{text}: {missing:?}");
        }
    }

    #[test]
    fn an_unset_variable_is_empty_and_told() {
        assert_eq!(
            expand("<$NOPE${NOR_THIS}>"),
            (
                Ok("<>".to_owned()),
                vec!["NOPE".to_owned(), "NOR_THIS".to_owned()]
            )
        );
    }

    #[test]
    fn a_required_variable_gives_its_message() {
        let required = |text| expand(text).0.unwrap_err().to_string();
        assert_eq!(
            required("${NOPE:?set it to $SET}"),
            "the variable NOPE is required: set it to value"
        );
        assert_eq!(
            required("${NOPE?}"),
            "the variable NOPE is required and not set"
        );
        assert_eq!(
            required("${EMPTY:?}"),
            "the variable EMPTY is required and not set"
        );
    }

    #[test]
    fn what_is_no_variable_is_an_error() {
        for text in [
            "$", "a$", "$1", "${}", "${1}", "${SET", "${SET!x}", "${SET:x}", "${SET:}", "$ ",
        ] {
            let (result, _) = expand(text);
            assert!(
                matches!(result, Err(InterpolationError::Syntax(_))),
                "{text}: {result:?}"
            );
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let deep = "${X:-".repeat(10_000) + &"}".repeat(10_000);
        assert_eq!(expand(&deep).0, Err(InterpolationError::TooDeep));
    }
}
