//! JSON as a tree whose branches fold.
//!
//! It is shown as it was sent: names in their order, repeated ones too, numbers with every digit. That is
//! why each level is read as pieces of the text ([`RawValue`]) rather than as values.

use std::borrow::Cow;
use std::fmt;

use askama::Template;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::pages::figures;
use crate::pages::visible as filters;

/// Values that are shown at most, of the whole tree and of one branch.
const NODES: usize = 5000;
const CHILDREN: usize = 1000;
/// Levels that fold. What is deeper is text.
const DEPTH: usize = 16;
/// Bytes of a value that are shown here.
const LEAF: usize = 8 << 10;
/// Branches are open to this level, and all of them in a tree as small as that.
const OPEN_DEPTH: usize = 2;
const OPEN_NODES: usize = 200;

/// None where it isn't JSON, or nothing that folds.
pub(super) fn document(body: &[u8]) -> Option<&RawValue> {
    let body = (body.len() <= super::JSON).then_some(body)?;
    let text = std::str::from_utf8(body).ok()?.trim_ascii();
    if !text.starts_with(['{', '[']) {
        return None;
    }
    serde_json::from_str(text).ok()
}

#[derive(Template)]
#[template(path = "json.html")]
pub(super) struct Node<'a> {
    /// Of a member of an object.
    name: Option<Cow<'a, str>>,
    kind: Kind<'a>,
}

enum Kind<'a> {
    /// Text as in the document, and the class that gives it its colour.
    Leaf {
        text: &'a str,
        class: &'static str,
        /// Bytes that aren't shown.
        left: usize,
    },
    Branch {
        brackets: [char; 2],
        children: Vec<Node<'a>>,
        /// How many there are, with those that aren't shown.
        count: usize,
        noun: &'static str,
        is_open: bool,
    },
}

impl<'a> Node<'a> {
    /// From what [`document`] found.
    pub(super) fn of(document: &'a RawValue) -> Self {
        let mut left = NODES;
        let mut node = Self::read(None, document.get(), 0, &mut left);
        if NODES - left <= OPEN_NODES {
            node.open();
        }
        node
    }

    fn read(name: Option<Cow<'a, str>>, text: &'a str, depth: usize, left: &mut usize) -> Self {
        *left = left.saturating_sub(1);
        let mut ends = (0..=text.len().min(LEAF)).rev();
        let shown = ends.find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        let kind = Self::branch(text, depth, left).unwrap_or_else(|| Kind::Leaf {
            text: &text[..shown],
            left: text.len() - shown,
            class: match text.as_bytes().first() {
                Some(b'"') => "string",
                Some(b't' | b'f' | b'n') => "word",
                Some(b'{' | b'[') => "deep",
                _ => "number",
            },
        });
        Self { name, kind }
    }

    fn branch(text: &'a str, depth: usize, left: &mut usize) -> Option<Kind<'a>> {
        if depth >= DEPTH || *left == 0 || !text.starts_with(['{', '[']) {
            return None;
        }
        let level = serde_json::from_str::<Level<'_>>(text).ok()?;
        let mut children = Vec::new();
        for (name, value) in level.members {
            if *left == 0 {
                break;
            }
            children.push(Self::read(name, value.get(), depth + 1, left));
        }
        let (brackets, noun) = if text.starts_with('{') {
            (['{', '}'], "member")
        } else {
            (['[', ']'], "item")
        };
        Some(Kind::Branch {
            brackets,
            children,
            count: level.count,
            noun,
            is_open: depth < OPEN_DEPTH,
        })
    }

    fn open(&mut self) {
        if let Kind::Branch {
            children, is_open, ..
        } = &mut self.kind
        {
            *is_open = true;
            children.iter_mut().for_each(Self::open);
        }
    }
}

/// What one object or array has in it, as it is written there.
struct Level<'a> {
    members: Vec<(Option<Cow<'a, str>>, &'a RawValue)>,
    /// With those that aren't kept.
    count: usize,
}

impl<'de> Deserialize<'de> for Level<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LevelVisitor)
    }
}

struct LevelVisitor;

impl<'de> Visitor<'de> for LevelVisitor {
    type Value = Level<'de>;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("an object or an array")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while members.len() < CHILDREN
            && let Some((name, value)) = map.next_entry::<Name<'_>, &RawValue>()?
        {
            members.push((Some(name.0), value));
        }
        let mut count = members.len();
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
            count += 1;
        }
        Ok(Level { members, count })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while members.len() < CHILDREN
            && let Some(value) = sequence.next_element::<&RawValue>()?
        {
            members.push((None, value));
        }
        let mut count = members.len();
        while sequence.next_element::<IgnoredAny>()?.is_some() {
            count += 1;
        }
        Ok(Level { members, count })
    }
}

/// A name, borrowed where nothing in it is escaped.
#[derive(Deserialize)]
#[serde(transparent)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    fn html(body: &str) -> String {
        Node::of(document(body.as_bytes()).unwrap()).to_string()
    }

    #[test]
    fn values_are_shown_as_they_were_sent() {
        let shown = html(r#"{"z": 1.00, "a": 123456789012345678901234567890, "z": "\u003cb>"}"#);
        let order = [
            "1.00",
            "123456789012345678901234567890",
            "&#34;\\u003cb&#62;&#34;",
        ];
        let found: Vec<_> = order
            .iter()
            .map(|value| shown.find(value).unwrap())
            .collect();
        assert!(found.is_sorted(), "{shown}");
        assert!(shown.contains("3 members"), "{shown}");
    }

    #[test]
    fn what_is_no_object_and_no_array_is_not_folded() {
        for body in [
            "",
            "1",
            "\"text\"",
            "{",
            "{]",
            "[1,]",
            "{\"a\": 1} x",
            "<p>",
        ] {
            assert!(document(body.as_bytes()).is_none(), "{body}");
        }
    }

    #[test]
    fn hostile_names_and_values_are_text() {
        let shown =
            html("{\"<img src=x onerror=alert(1)>\": [\"</script><script>\", \"\u{202e}\"]}");
        for tag in ["<img", "<script", "</script", "\u{202e}"] {
            assert!(!shown.contains(tag), "{shown}");
        }
    }

    #[test]
    fn wide_and_deep_trees_are_bounded() {
        let wide = html(&format!("[{}0]", "0,".repeat(400_000)));
        assert!(
            wide.contains("400,001 items") && wide.len() < 200_000,
            "{}",
            wide.len()
        );
        let branches = html(&format!("[{}0]", "[0,0,0,0,0,0,0,0,0,0],".repeat(40_000)));
        assert!(branches.len() < 1_000_000, "{}", branches.len());
        let deep = html(&format!("{}{}", "[".repeat(100), "]".repeat(100)));
        assert_eq!(deep.matches("<details").count(), DEPTH);
        // However deep, no stack is overrun.
        let abyss = html(&format!("{}{}", "[".repeat(500_000), "]".repeat(500_000)));
        assert!(abyss.contains("991,776 bytes more"), "{}", abyss.len());
    }
}
