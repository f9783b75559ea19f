//! What a secret's file holds: one value, or in the middle of a rotation two, a value a line.

use super::PASSWORD_LENGTH;

/// The state of a generated secret, as its file tells it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Values<'a> {
    /// One value.
    Settled(&'a str),
    /// The new value, and after it the one that it replaces: a rotation is under way.
    Rotating(&'a str, &'a str),
    /// None, or several that `deploy` didn't write.
    Other,
}

impl<'a> Values<'a> {
    /// Reads the content of a file.
    pub(super) fn of(content: &'a [u8]) -> Self {
        match lines(content)[..] {
            [value] => Self::Settled(value),
            [new, old] if is_generated(new) => Self::Rotating(new, old),
            _ => Self::Other,
        }
    }
}

/// The values, the newest first; none where the content isn't text.
pub(super) fn lines(content: &[u8]) -> Vec<&str> {
    let text = std::str::from_utf8(content).unwrap_or_default();
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect()
}

/// The content of a file in the middle of a rotation.
pub(super) fn rotating(new: &str, old: &str) -> String {
    format!("{new}\n{old}\n")
}

/// Whether `value` has the form of those that `deploy` makes.
fn is_generated(value: &str) -> bool {
    value.len() == PASSWORD_LENGTH && value.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_values_of_which_the_first_is_generated_are_a_rotation() {
        let new = "x".repeat(PASSWORD_LENGTH);
        let under_way = rotating(&new, "the old one");
        assert!(Values::of(under_way.as_bytes()) == Values::Rotating(&new, "the old one"));
        assert!(Values::of(b"my own\n\n") == Values::Settled("my own"));
        let own: [&[u8]; 4] = [b"", b"\n", b"my own\nand another", b"\xff\n\xfe"];
        for content in own {
            assert!(Values::of(content) == Values::Other, "{content:?}");
        }
        let three = format!("{under_way}a third");
        assert!(Values::of(three.as_bytes()) == Values::Other);
    }
}
