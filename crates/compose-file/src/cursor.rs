//! Typed access to the tree: a value of the wrong type becomes a problem that names path, position
//! and what was expected.

use std::collections::BTreeMap;
use std::fmt::Display;

use super::context::{Context, join};
use super::yaml::{Entry, Kind, Node, Scalar, Value};

/// A node and how one got there. Methods that return `None` have reported why.
#[derive(Clone)]
pub(super) struct Cursor<'a> {
    pub(super) node: &'a Node,
    pub(super) path: String,
    pub(super) context: &'a Context,
}

impl<'a> Cursor<'a> {
    /// Reports a problem here.
    pub(super) fn problem(&self, message: impl Into<String>) {
        self.context
            .problem(Some(self.node.at), &self.path, message);
    }

    /// Reports that something else than what is here was expected.
    pub(super) fn expected(&self, expected: impl Display) {
        self.problem(format!("expected {expected}, found {}", self.found()));
    }

    /// What is here, for messages.
    fn found(&self) -> String {
        match &self.node.value {
            Value::Null => "nothing".to_owned(),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a mapping".to_owned(),
            Value::Scalar(Scalar { text, kind }) => {
                let shown: String = text.chars().take(60).collect();
                let dots = if shown.len() < text.len() { "…" } else { "" };
                match kind {
                    Kind::String => format!("{shown:?}{dots}"),
                    Kind::Bool | Kind::Number => format!("{shown}{dots}"),
                }
            }
        }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self.node.value, Value::Null)
    }

    pub(super) fn is_scalar(&self) -> bool {
        matches!(self.node.value, Value::Scalar(_))
    }

    pub(super) fn is_list(&self) -> bool {
        matches!(self.node.value, Value::List(_))
    }

    /// A string. Unquoted numbers and booleans aren't: Compose refuses them too.
    pub(super) fn string(&self) -> Option<&'a str> {
        match &self.node.value {
            Value::Scalar(Scalar {
                text,
                kind: Kind::String,
            }) => Some(text),
            Value::Scalar(_) => {
                self.problem(format!(
                    "expected a string, found {}; put it in quotes",
                    self.found()
                ));
                None
            }
            _ => {
                self.expected("a string");
                None
            }
        }
    }

    /// A string that isn't empty.
    pub(super) fn filled(&self) -> Option<&'a str> {
        let text = self.string()?;
        if text.is_empty() {
            self.expected("a value");
            return None;
        }
        Some(text)
    }

    /// Any scalar, as written.
    pub(super) fn text(&self) -> Option<&'a str> {
        if let Value::Scalar(scalar) = &self.node.value {
            return Some(&scalar.text);
        }
        self.expected("a single value");
        None
    }

    /// A scalar of a form of its own. `expected` describes it.
    pub(super) fn parse<T>(
        &self,
        expected: impl Display,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let value = match &self.node.value {
            Value::Scalar(scalar) => parse(&scalar.text),
            _ => None,
        };
        if value.is_none() {
            self.expected(expected);
        }
        value
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        self.parse("true or false", |text| match text {
            "true" | "True" | "TRUE" => Some(true),
            "false" | "False" | "FALSE" => Some(false),
            _ => None,
        })
    }

    /// A whole number in the range.
    pub(super) fn integer(&self, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
        let expected = match (*range.start(), *range.end()) {
            (low, high) if high >= u32::MAX.into() => format!("a whole number, {low} or more"),
            (low, high) => format!("a whole number from {low} to {high}"),
        };
        self.parse(expected, |text| {
            text.parse().ok().filter(|number| range.contains(number))
        })
    }

    /// [`integer`](Self::integer) from `low` up, as far as `u32` goes.
    pub(super) fn unsigned(&self, low: u32) -> Option<u32> {
        self.integer(low.into()..=u32::MAX.into())
            .and_then(|number| number.try_into().ok())
    }

    /// One of the words.
    pub(super) fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Option<T> {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        self.parse(alternatives(&words), |text| {
            choices
                .iter()
                .find(|(word, _)| *word == text)
                .map(|(_, value)| *value)
        })
    }

    /// The items of a list.
    pub(super) fn items(&self) -> Option<Vec<Cursor<'a>>> {
        let Value::List(items) = &self.node.value else {
            self.expected("a list");
            return None;
        };
        Some(
            items
                .iter()
                .enumerate()
                .map(|(index, node)| self.item(index, node))
                .collect(),
        )
    }

    fn item(&self, index: usize, node: &'a Node) -> Cursor<'a> {
        Cursor {
            node,
            path: format!("{}[{index}]", self.path),
            context: self.context,
        }
    }

    /// The strings of a list.
    pub(super) fn strings(&self) -> Option<Vec<String>> {
        let items = self.items()?;
        Some(
            items
                .iter()
                .filter_map(|item| item.string().map(str::to_owned))
                .collect(),
        )
    }

    /// The items of a list, or a single value as the only one.
    pub(super) fn one_or_more(&self) -> Option<Vec<Cursor<'a>>> {
        if self.is_scalar() {
            Some(vec![self.clone()])
        } else {
            self.items()
        }
    }

    /// The entries of a mapping whose keys are the user's own.
    pub(super) fn entries(&self) -> Option<Vec<(&'a str, Cursor<'a>)>> {
        let Value::Map(entries) = &self.node.value else {
            self.expected("a mapping");
            return None;
        };
        Some(
            entries
                .iter()
                .map(|entry| (entry.key.as_str(), self.entry(entry)))
                .collect(),
        )
    }

    /// Whether this is a mapping with the key.
    pub(super) fn has(&self, key: &str) -> bool {
        matches!(&self.node.value, Value::Map(entries) if entries.iter().any(|e| e.key == key))
    }

    /// The value of an entry of this mapping.
    pub(super) fn entry(&self, entry: &'a Entry) -> Cursor<'a> {
        Cursor {
            node: &entry.value,
            path: join(&self.path, &entry.key),
            context: self.context,
        }
    }

    /// A mapping of names to values, or a list of `NAME=value`. A name alone, or one whose value
    /// is null, has none. Values may be secret and aren't shown in problems.
    pub(super) fn pairs(&self) -> Option<BTreeMap<String, Option<String>>> {
        let mut pairs = BTreeMap::new();
        if self.is_list() {
            for item in self.items()? {
                let Some(text) = item.string() else { continue };
                let (name, value) = match text.split_once('=') {
                    Some((name, value)) => (name, Some(value.to_owned())),
                    None => (text, None),
                };
                if item.check_key(name) && pairs.insert(name.to_owned(), value).is_some() {
                    item.problem(format!("{name} is in the list already"));
                }
            }
        } else {
            if self.is_scalar() {
                self.problem("expected a mapping, or a list of NAME=value");
                return None;
            }
            for (name, value) in self.entries()? {
                let text = if value.is_null() {
                    None
                } else {
                    value.text().map(str::to_owned)
                };
                if value.check_key(name) {
                    pairs.insert(name.to_owned(), text);
                }
            }
        }
        Some(pairs)
    }

    /// [`pairs`](Self::pairs) where no value means an empty one.
    pub(super) fn labels(&self) -> Option<BTreeMap<String, String>> {
        let pairs = self.pairs()?;
        Some(
            pairs
                .into_iter()
                .map(|(name, value)| (name, value.unwrap_or_default()))
                .collect(),
        )
    }

    /// A mapping of options to single values.
    pub(super) fn options(&self) -> Option<BTreeMap<String, String>> {
        let entries = self.entries()?;
        let options = entries.into_iter().filter_map(|(name, value)| {
            let text = value.text()?;
            value
                .check_key(name)
                .then(|| (name.to_owned(), text.to_owned()))
        });
        Some(options.collect())
    }

    /// Keys aren't interpolated, so that a `$` in one is a mistake.
    fn check_key(&self, name: &str) -> bool {
        let message = if name.is_empty() {
            "expected a name before the ="
        } else if name.contains('$') {
            "names can't contain $; variables work in values only"
        } else {
            return true;
        };
        self.problem(message);
        false
    }
}

/// `a`, `a or b`, `a, b or c`.
pub(super) fn alternatives(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [word] => (*word).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}
