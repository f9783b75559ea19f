//! `.dockerignore`: which files of a build context are left out.
//!
//! Patterns are Go's `filepath.Match` plus `**`, relative to the context; the last
//! one that matches decides, `!` takes back, and a pattern that matches a directory
//! matches everything below it (Docker documentation, "`.dockerignore` files").

use globset::{GlobBuilder, GlobMatcher};

/// The rules of one `.dockerignore`.
#[derive(Debug, Default)]
pub struct Ignore(Vec<Rule>);

#[derive(Debug)]
struct Rule {
    matcher: GlobMatcher,
    /// `!pattern`: keeps what earlier rules left out.
    keeps: bool,
}

impl Ignore {
    /// Parses the file's text; the error names the line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut rules = Vec::new();
        for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (keeps, pattern) = match line.strip_prefix('!') {
                Some(rest) => (true, rest.trim()),
                None => (false, line),
            };
            let pattern = clean(pattern);
            if pattern.is_empty() {
                continue;
            }
            let glob = GlobBuilder::new(&pattern)
                .literal_separator(true)
                .backslash_escape(true)
                .build()
                .map_err(|err| format!("line {}: {line:?}: {}", index + 1, err.kind()))?;
            rules.push(Rule {
                matcher: glob.compile_matcher(),
                keeps,
            });
        }
        Ok(Self(rules))
    }

    /// Whether `path` (relative, with `/`) is left out.
    pub fn excludes(&self, path: &str) -> bool {
        let mut excluded = false;
        for rule in &self.0 {
            if rule.keeps == excluded && rule.covers(path) {
                excluded = !rule.keeps;
            }
        }
        excluded
    }

    /// Whether an excluded directory has to be looked into, because something below
    /// it may be kept.
    pub fn may_keep_below(&self) -> bool {
        self.0.iter().any(|rule| rule.keeps)
    }
}

impl Rule {
    fn covers(&self, path: &str) -> bool {
        let mut end = path.len();
        loop {
            if self.matcher.is_match(&path[..end]) {
                return true;
            }
            match path[..end].rfind('/') {
                Some(slash) => end = slash,
                None => return false,
            }
        }
    }
}

/// `./a//b/` → `a/b`: patterns are relative to the context whether or not they begin with `/`.
fn clean(pattern: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in pattern.split('/') {
        match part {
            "" | "." => {}
            ".." => _ = parts.pop(),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excluded(rules: &str, path: &str) -> bool {
        Ignore::parse(rules).expect("valid patterns").excludes(path)
    }

    #[test]
    fn as_docker_reads_them() {
        for (rules, path, expected) in [
            ("target", "target", true),
            ("target", "target/debug/x", true),
            ("target", "proxy/target", false),
            ("/target/", "target/debug", true),
            ("**/target", "proxy/target/x", true),
            ("**/target", "target", true),
            ("*.md", "README.md", true),
            ("*.md", "docs/a.md", false),
            ("**/*.md", "docs/a.md", true),
            ("*/temp*", "a/temporary.txt", true),
            ("*/temp*", "a/b/temporary.txt", false),
            ("*\n!Cargo.toml", "Cargo.toml", false),
            ("*\n!proxy", "proxy/src/main.rs", false),
            ("*\n!proxy\nproxy/tests", "proxy/tests/it.rs", true),
            ("# comment\n\n", "comment", false),
            ("a?c", "abc", true),
            (".git", ".gitignore", false),
        ] {
            assert_eq!(excluded(rules, path), expected, "{rules:?} on {path}");
        }
    }

    #[test]
    fn a_bad_pattern_is_named() {
        let err = Ignore::parse("ok\n[a").expect_err("unclosed class");
        assert!(err.starts_with("line 2: \"[a\""), "{err}");
    }
}
