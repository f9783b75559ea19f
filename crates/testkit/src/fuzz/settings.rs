//! No file and no environment brings a reader of settings down, and what
//! is wrong is said.

use std::collections::HashMap;
use std::fmt::Display;
use std::path::Path;

use crate::table::words;

/// What settings are written with, whatever they are called.
const SYNTAX: &str = r#"\s=\s " [ ] \n \n---\n 1s 1MiB"#;

/// Feeds `load` with files and environments that have these `keys`, by name and default, and these
/// `values` in them. A variable is called like its key, in upper case after `prefix`.
pub fn run<E: Display>(
    target: &str,
    prefix: &str,
    keys: impl Iterator<Item = (&'static str, &'static str)> + Clone,
    values: &str,
    load: impl Fn(&Path, HashMap<String, String>) -> Result<(), E>,
) {
    let variables = keys
        .clone()
        .map(|(name, _)| format!("{prefix}{}=", name.to_uppercase()));
    let variables: Vec<String> = variables.collect();
    let keys = keys.flat_map(|(name, default)| [name.to_owned(), default.to_owned()]);
    let all = variables.into_iter().chain(keys).map(String::into_bytes);
    let dictionary = [words(SYNTAX), words(values), all.collect()].concat();

    let file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    super::run(target, &dictionary, 2_000, |input| {
        // The file comes first; after a line of `---`, the environment, a variable a line.
        let text = String::from_utf8_lossy(input);
        let (toml, environment) = text.split_once("\n---\n").unwrap_or((&text, ""));
        std::fs::write(file.path(), toml).unwrap();
        let environment = environment.lines().filter_map(|line| line.split_once('='));
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        match load(file.path(), environment.collect()) {
            Ok(()) => "ok".to_owned(),
            Err(error) => {
                let text = error.to_string();
                assert!(!text.is_empty());
                // Without what the input brought in.
                let letters = text.chars().filter(char::is_ascii_lowercase);
                letters.take(40).collect()
            }
        }
    });
}
