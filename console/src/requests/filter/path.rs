//! What the path and query of a URL have to look like.

/// A pattern in which `*` stands for anything, and the end too may be anything.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    /// What it begins with; nothing where that may be anything.
    beginning: String,
    /// What has to come after it, in this order.
    pieces: Vec<String>,
}

impl Pattern {
    pub(super) fn new(text: &str) -> Self {
        let mut pieces = text.split('*').map(str::to_owned);
        let mut beginning = String::new();
        if text.starts_with('/') {
            beginning = pieces.next().unwrap_or_default();
        }
        Self {
            beginning,
            pieces: pieces.filter(|piece| !piece.is_empty()).collect(),
        }
    }

    /// As a regular expression on a whole URL. It never goes back on what it has matched, so that no
    /// pattern takes longer than the URL is long.
    pub(super) fn regex(&self) -> String {
        let mut regex = format!("^(?>[^/]*//[^/]*)(?=/){}", escape(&self.beginning));
        for piece in &self.pieces {
            regex.push_str("(?>.*?");
            regex.push_str(&escape(piece));
            regex.push(')');
        }
        regex
    }

    /// The same for a URL that is here.
    pub(super) fn matches(&self, url: &str) -> bool {
        let Some(rest) = path_and_query(url) else {
            return false;
        };
        let Some(mut rest) = rest.strip_prefix(&self.beginning) else {
            return false;
        };
        for piece in &self.pieces {
            match rest.split_once(piece.as_str()) {
                Some((_, after)) => rest = after,
                None => return false,
            }
        }
        true
    }
}

fn path_and_query(url: &str) -> Option<&str> {
    let slash = url.find('/')?;
    let authority = url[slash..].strip_prefix("//")?;
    authority.find('/').map(|slash| &authority[slash..])
}

/// `text` as a regular expression (PCRE) that matches it and nothing else.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() * 2);
    for character in text.chars() {
        match character {
            // BSON's regular expressions end at a NUL.
            '\0' => escaped.push_str(r"\x00"),
            _ if character.is_ascii() && !character.is_ascii_alphanumeric() => {
                escaped.extend(['\\', character]);
            }
            _ => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_is_the_beginning_and_anything_else_is_anywhere() {
        let url = "http://h:1/a/b?c=d/e";
        for (pattern, expected) in [
            ("/", true),
            ("/a/b", true),
            ("/b", false),
            ("//h", false),
            ("*/b", true),
            ("b?c", true),
            ("h:1", false),
            ("/a*c*e", true),
            ("/a*e*c", false),
            ("/*/*/", true),
            ("*", true),
            ("/a/b?c=d/e*", true),
            ("/a/b?c=d/ef", false),
        ] {
            assert_eq!(Pattern::new(pattern).matches(url), expected, "{pattern}");
        }
        for url in ["", "http://h", "/a/b", "http:/h/a"] {
            assert!(!Pattern::new("*").matches(url), "{url}");
        }
    }
}
