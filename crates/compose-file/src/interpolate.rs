//! Replaces `$NAME` and `${NAME…}` in a value (Compose specification, "Interpolation").
//!
//! It works on scalars after YAML is parsed, so what a variable holds can't change the file's
//! structure. What comes of it is bounded: of one value here, of all together by a [`Budget`].

use std::cell::Cell;
use std::fmt;

/// `${A:-${B:-…}}` may nest this deep.
const MAX_NESTING: usize = 32;
/// Of one value, in bytes; variables that refer to each other could grow without bounds.
const MAX_LENGTH: usize = 256 << 10;
/// What a name with its value takes beside its text, about.
const ENTRY: usize = 16;

/// How many bytes may still be made of variables and environment files while one Compose file is
/// loaded.
#[derive(Debug)]
pub(super) struct Budget(Cell<usize>);

impl Budget {
    const TOTAL: usize = 8 << 20;

    /// Whether another `length` bytes fit. What doesn't fit uses all of it up, and nothing fits
    /// from then on.
    pub(super) fn spend(&self, length: usize) -> bool {
        let left = self.0.get().checked_sub(length + ENTRY);
        self.0.set(left.unwrap_or(0));
        left.is_some()
    }

    /// Whether something didn't fit already.
    pub(super) fn is_spent(&self) -> bool {
        self.0.get() == 0
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self(Cell::new(Self::TOTAL))
    }
}

/// Knows the values of variables.
pub(super) type Lookup<'a> = dyn Fn(&str) -> Option<&'a str> + 'a;

/// What a `$` is that begins no variable.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum LoneDollar {
    /// A mistake: in a Compose file, which somebody wrote by hand.
    Refused,
    /// Itself: in environment files, which hold passwords.
    Kept,
}

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
    /// The [`Budget`] is spent.
    TooMuch,
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
            Self::TooMuch => write!(
                f,
                "variables and environment files grow beyond {} MiB",
                Budget::TOTAL >> 20
            ),
        }
    }
}

/// Replaces the variables in `text` by what `lookup` knows of them. `unset` is told the name of
/// each that isn't known and has no default; it counts as empty.
pub(super) fn interpolate<'b>(
    text: &str,
    lone_dollar: LoneDollar,
    lookup: &'b Lookup<'_>,
    unset: &'b mut dyn FnMut(&str),
) -> Result<String, InterpolationError> {
    let mut interpolation = Interpolation {
        lone_dollar,
        lookup,
        unset,
        result: String::new(),
    };
    interpolation.expand(text, 0)?;
    Ok(interpolation.result)
}

struct Interpolation<'b, 'a> {
    lone_dollar: LoneDollar,
    lookup: &'b Lookup<'a>,
    unset: &'b mut dyn FnMut(&str),
    result: String,
}

impl Interpolation<'_, '_> {
    fn expand(&mut self, text: &str, depth: usize) -> Result<(), InterpolationError> {
        if depth > MAX_NESTING {
            return Err(InterpolationError::TooDeep);
        }
        let mut rest = text;
        while let Some((before, dollar)) = rest.split_once('$') {
            self.push(before)?;
            if let Some(after) = dollar.strip_prefix('$') {
                self.push("$")?;
                rest = after;
            } else if let Some(after) = dollar.strip_prefix('{') {
                let end = closing_brace(after).ok_or_else(|| syntax(dollar))?;
                let (body, after) = after.split_at(end);
                self.braced(body, depth)?;
                rest = after.get(1..).unwrap_or_default();
            } else {
                let (name, after) = split_name(dollar);
                if !name.is_empty() {
                    self.value_or_empty(name)?;
                } else if self.lone_dollar == LoneDollar::Kept {
                    self.push("$")?;
                } else {
                    return Err(syntax(dollar));
                }
                rest = after;
            }
        }
        self.push(rest)
    }

    fn push(&mut self, text: &str) -> Result<(), InterpolationError> {
        if self.result.len() + text.len() > MAX_LENGTH {
            return Err(InterpolationError::TooLong);
        }
        self.result += text;
        Ok(())
    }

    /// What stands between `${` and its `}`.
    fn braced(&mut self, body: &str, depth: usize) -> Result<(), InterpolationError> {
        let (name, operation) = split_name(body);
        if name.is_empty() {
            return Err(syntax(&format!("{{{body}}}")));
        }
        if operation.is_empty() {
            return self.value_or_empty(name);
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
            (Some('-' | '?'), Some(value)) => self.push(value),
            (Some('-'), None) | (Some('+'), Some(_)) => self.expand(operand, depth + 1),
            (Some('+'), None) => Ok(()),
            (Some('?'), None) => {
                self.result.clear();
                self.expand(operand, depth + 1)?;
                Err(InterpolationError::Required {
                    name: name.to_owned(),
                    message: std::mem::take(&mut self.result),
                })
            }
            _ => Err(syntax(&format!("{{{body}}}"))),
        }
    }

    fn value_or_empty(&mut self, name: &str) -> Result<(), InterpolationError> {
        if let Some(value) = (self.lookup)(name) {
            return self.push(value);
        }
        (self.unset)(name);
        Ok(())
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

    fn known(name: &str) -> Option<&'static str> {
        match name {
            "SET" => Some("value"),
            "EMPTY" => Some(""),
            "DOLLAR" => Some("$SET"),
            _ => None,
        }
    }

    fn expand(text: &str) -> (Result<String, InterpolationError>, Vec<String>) {
        let mut missing = Vec::new();
        let mut unset = |name: &str| missing.push(name.to_owned());
        let result = interpolate(text, LoneDollar::Refused, &known, &mut unset);
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
    fn a_lone_dollar_may_be_kept() {
        let kept = |text| interpolate(text, LoneDollar::Kept, &known, &mut |_| {});
        for text in ["a$", "$1", "$!x", "$(b)", "$ {SET}"] {
            assert_eq!(kept(text).as_deref(), Ok(text));
        }
        assert_eq!(kept("$$SET$SET$").as_deref(), Ok("$SETvalue$"));
        assert!(kept("${1}").is_err());
    }

    #[test]
    fn what_doesnt_fit_is_the_last() {
        let budget = Budget::default();
        assert!(budget.spend(Budget::TOTAL / 2));
        assert!(!budget.is_spent());
        assert!(!budget.spend(Budget::TOTAL));
        assert!(budget.is_spent() && !budget.spend(0));
    }

    #[test]
    fn nesting_is_bounded() {
        let deep = "${X:-".repeat(10_000) + &"}".repeat(10_000);
        assert_eq!(expand(&deep).0, Err(InterpolationError::TooDeep));
    }
}
