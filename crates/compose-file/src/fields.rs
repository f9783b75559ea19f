//! A mapping of which every key must be known: what is asked for is read, the rest is reported.

use std::cell::RefCell;

use super::context::join;
use super::cursor::{Cursor, alternatives};
use super::yaml::{Entry, Value};

/// A mapping with known keys.
pub(super) struct Fields<'a> {
    pub(super) here: Cursor<'a>,
    entries: &'a [Entry],
    asked: RefCell<Vec<&'static str>>,
}

impl<'a> Fields<'a> {
    /// The mapping at `here`; that it is another thing is a problem.
    pub(super) fn of(here: &Cursor<'a>) -> Option<Self> {
        let Value::Map(entries) = &here.node.value else {
            here.expected("a mapping");
            return None;
        };
        Some(Self {
            here: here.clone(),
            entries,
            asked: RefCell::default(),
        })
    }

    /// The value of `key`, which may be null.
    pub(super) fn nullable(&self, key: &'static str) -> Option<Cursor<'a>> {
        self.asked.borrow_mut().push(key);
        self.entries
            .iter()
            .find(|entry| entry.key == key)
            .map(|entry| self.here.entry(entry))
    }

    /// The value of `key`. A key without one is a problem.
    pub(super) fn get(&self, key: &'static str) -> Option<Cursor<'a>> {
        let value = self.nullable(key)?;
        if value.is_null() {
            value.problem("the key has no value; give it one or remove the key");
            return None;
        }
        Some(value)
    }

    /// [`get`](Self::get); that it isn't there is a problem too.
    pub(super) fn required(&self, key: &'static str) -> Option<Cursor<'a>> {
        if !self.here.has(key) {
            self.here.problem(format!("the key {key} is missing"));
        }
        self.get(key)
    }

    /// For a key of which only one value is supported, the default.
    pub(super) fn only<T: Copy + PartialEq>(&self, key: &'static str, choices: &[(&str, T)]) {
        if let Some(value) = self.get(key) {
            let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
            let known = value.text().is_some_and(|text| words.contains(&text));
            if value.is_scalar() && !known {
                value.expected(format!(
                    "{}; nothing else is supported",
                    alternatives(&words)
                ));
            }
        }
    }

    /// Reports every key that nobody asked for, except extensions (`x-…`). `hints` says more about
    /// keys that Compose has.
    pub(super) fn finish(&self, hints: &[(&str, &str)]) {
        let asked = self.asked.borrow();
        let unknown = self
            .entries
            .iter()
            .filter(|entry| !entry.key.starts_with("x-") && !asked.contains(&entry.key.as_str()));
        for entry in unknown {
            let hint = hints.iter().find(|(key, _)| *key == entry.key);
            let message = match hint {
                Some((_, hint)) => format!("the key {} isn't supported: {hint}", entry.key),
                None => match nearest(&entry.key, &asked) {
                    Some(near) => {
                        format!(
                            "the key {} isn't supported; did you mean {near}?",
                            entry.key
                        )
                    }
                    None => format!("the key {} isn't supported", entry.key),
                },
            };
            let path = join(&self.here.path, &entry.key);
            self.here
                .context
                .problem(Some(entry.key_at), &path, message);
        }
    }
}

/// The known word that `word` is probably meant to be.
pub(super) fn nearest<'w>(word: &str, known: &[&'w str]) -> Option<&'w str> {
    let word = word.to_lowercase().replace('-', "_");
    let allowed = if word.len() > 4 { 2 } else { 1 };
    known
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(&word, candidate), *candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, candidate)| candidate)
}
