//! The variables that a project's files may refer to.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::Path;

use super::dotenv;
use super::interpolate::Budget;
use super::source;

/// Those of the `.env` at `path`, which may not be there, and over them those `outside`. With them, those
/// that it refers to and nobody sets.
///
/// # Errors
/// What is wrong with the file, without any value of it.
pub(super) fn read(
    outside: &BTreeMap<String, String>,
    path: &Path,
    budget: &Budget,
) -> Result<(BTreeMap<String, String>, BTreeSet<String>), String> {
    let text = match source::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        Err(error) => return Err(format!("can't read {}: {error}", path.display())),
    };
    let mut unset = BTreeSet::new();
    let lookup = |name: &str| outside.get(name).map(String::as_str);
    let mut note_unset = |name: &str| _ = unset.insert(name.to_owned());
    let assignments = dotenv::parse(&text, &lookup, &mut note_unset, budget)
        .map_err(|error| format!("{}:{error}", path.display()))?;
    let assigned = assignments
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    let mut variables: BTreeMap<String, String> = assigned.collect();
    variables.extend(outside.clone());
    Ok((variables, unset))
}
