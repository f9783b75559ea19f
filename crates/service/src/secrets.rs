//! Secrets come in files, so that a Docker secret serves, one a line, and are never shown: not with
//! what is wrong with them, and not by `Debug`.

use std::{fs, ops::RangeInclusive, path::Path};

use secrecy::{ExposeSecret as _, SecretString};

/// Bytes of a token: fewer could be guessed, more are no token.
const TOKEN: RangeInclusive<usize> = 16..=256;

/// The secrets in `file`; there is at least one. Blank lines don't count.
pub fn lines(file: &Path) -> Result<Vec<SecretString>, String> {
    let text = read(file)?;
    let lines = text.expose_secret().lines().filter(|line| !line.is_empty());
    let lines: Vec<_> = lines.map(SecretString::from).collect();
    if lines.is_empty() {
        return Err("the file is empty".to_owned());
    }
    Ok(lines)
}

/// The tokens in `file`. The first one is in use; those after it are accepted, too, while one
/// replaces another.
pub fn tokens(file: &Path) -> Result<Vec<SecretString>, String> {
    let text = read(file)?;
    let text = text.expose_secret();
    let is_token =
        |line: &str| TOKEN.contains(&line.len()) && line.bytes().all(|b| b.is_ascii_graphic());
    let mut further = text.lines().skip(1).filter(|line| !line.is_empty());
    if !text.lines().next().is_some_and(is_token) || !further.all(is_token) {
        return Err(format!(
            "each line has to be a token of {} to {} visible ASCII characters without spaces",
            TOKEN.start(),
            TOKEN.end()
        ));
    }
    lines(file)
}

fn read(file: &Path) -> Result<SecretString, String> {
    let text = fs::read_to_string(file);
    text.map(SecretString::from)
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens_of(content: &str) -> Result<Vec<String>, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), content).unwrap();
        let tokens = tokens(file.path())?;
        assert!(!format!("{tokens:?}").contains("0123"));
        let shown = tokens.iter().map(|token| token.expose_secret().to_owned());
        Ok(shown.collect())
    }

    #[test]
    fn every_line_is_a_token() {
        for content in [
            "0123456789abcdef",
            "0123456789abcdef\n",
            "0123456789abcdef\r\n\n",
        ] {
            assert_eq!(tokens_of(content).unwrap(), ["0123456789abcdef"]);
        }
        let two = "new-token-0123456789\r\n\nold-token-0123456789\n";
        let tokens = tokens_of(two).unwrap();
        assert_eq!(tokens, ["new-token-0123456789", "old-token-0123456789"]);
    }

    #[test]
    fn what_is_no_token_is_refused_unshown() {
        let long = "x".repeat(257);
        for content in [
            "",
            "\n\n",
            "\n0123456789abcdef",
            "hunter2",
            "hunter2 with a few spaces",
            "0123456789 abcdef",
            "0123456789abcdéf",
            "0123456789abcdef\nhunter2",
            &long,
        ] {
            let error = tokens_of(content).unwrap_err();
            assert!(
                error.contains("16 to 256") && !error.contains("hunter2"),
                "{error}"
            );
        }
        assert!(
            tokens(Path::new("/no/such/file"))
                .unwrap_err()
                .contains("No such file")
        );
    }
}
