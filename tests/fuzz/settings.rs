//! For the crates' `tests/fuzz`: no file and no environment brings a reader of settings down, and what
//! is wrong is said.

use std::collections::HashMap;
use std::fmt::Display;
use std::path::Path;

use crate::driver;

/// What settings are written with, whatever they are called.
const SYNTAX: &[&[u8]] = &[b" = ", b"\"", b"[", b"]", b"\n", b"\n---\n", b"1s", b"1MiB"];

/// Feeds `load` with files and environments that have these `keys`, by name and default, and these
/// `values` in them. A variable is called like its key, in upper case after `prefix`.
pub(crate) fn run<E: Display>(
    target: &str,
    prefix: &str,
    keys: impl Iterator<Item = (&'static str, &'static str)> + Clone,
    values: &[&[u8]],
    load: impl Fn(&Path, HashMap<String, String>) -> Result<(), E>,
) {
    let variables = keys
        .clone()
        .map(|(name, _)| format!("{prefix}{}=", name.to_uppercase()));
    let variables: Vec<String> = variables.collect();
    let mut words = [SYNTAX, values].concat();
    words.extend(variables.iter().map(String::as_bytes));
    words.extend(keys.flat_map(|(name, default)| [name.as_bytes(), default.as_bytes()]));

    let file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    driver::run(target, &words, 2_000, |input| {
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
