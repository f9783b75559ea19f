//! No file and no environment brings the reader of settings down; what is wrong is said.

use std::collections::HashMap;
use std::path::Path;

use api::configuration::{KEYS, Settings};

use crate::driver;

#[test]
fn api_settings() {
    let keys: Vec<String> = KEYS
        .iter()
        .flat_map(|key| {
            [
                key.name.to_owned(),
                format!("API_{}=", key.name.to_uppercase()),
            ]
        })
        .collect();
    let mut words: Vec<&[u8]> = keys.iter().map(String::as_bytes).collect();
    words.extend(KEYS.iter().map(|key| key.default.as_bytes()));
    words.extend([
        &b" = "[..],
        b"\"",
        b"[",
        b"]",
        b"\n",
        b"\n---\n",
        b"1s",
        b"1MiB",
        b"mongodb+srv://",
        b"?w=0",
        b"%",
    ]);
    let file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    driver::run("api_settings", &words, 2_000, |input| {
        check(input, file.path())
    });
}

/// The file comes first; after a line of `---`, the environment, a variable a line.
fn check(input: &[u8], file: &Path) -> String {
    let text = String::from_utf8_lossy(input);
    let (toml, environment) = text.split_once("\n---\n").unwrap_or((&text, ""));
    std::fs::write(file, toml).unwrap();
    let environment: HashMap<_, _> = environment
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    match Settings::from_sources(Some(file), Some(environment)) {
        Ok(_) => "ok".to_owned(),
        Err(error) => {
            let text = error.to_string();
            assert!(!text.is_empty());
            // Without what the input brought in.
            let letters = text.chars().filter(char::is_ascii_lowercase);
            letters.take(40).collect()
        }
    }
}
