//! YAML text to a tree that knows where each part stands: aliases and merge keys (`<<`) resolved,
//! duplicate keys refused, size and depth bounded.
//!
//! Scalars stay text, together with what YAML would take them for, since interpolation comes
//! before types. The core schema of YAML 1.2 decides (§10.3.2): `no` and `on` are strings.

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, StrInput, Tag};

use super::Position;

/// Nesting beyond this is an error; Compose files need about ten levels.
const MAX_DEPTH: usize = 64;
/// Bytes of a key; the path to a value is made of keys, and there is one for each value.
const MAX_KEY: usize = 1 << 10;
/// Bytes of text plus number of nodes, after aliases are expanded ("billion laughs").
const MAX_EXPANDED: usize = 8 << 20;

/// Where the file isn't what it should be, and why.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) at: Position,
    pub(super) message: String,
}

/// A value and where it begins.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) at: Position,
    /// `None` everywhere once the files are merged.
    pub(super) tag: Option<MergeTag>,
}

/// What becomes of the value that the files before this one have in the same place (Compose
/// specification, "Merge").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MergeTag {
    /// `!reset`: it goes, and nothing takes its place.
    Reset,
    /// `!override`: it goes, and this one takes its place.
    Override,
}

#[derive(Debug, Clone)]
pub(super) enum Value {
    Null,
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key of a mapping with its value. Keys are unique within a mapping.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_at: Position,
    pub(super) value: Node,
}

#[derive(Debug, Clone)]
pub(super) struct Scalar {
    pub(super) text: String,
    pub(super) kind: Kind,
}

/// What YAML takes a scalar for. Anything quoted is a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    String,
    Bool,
    Number,
}

impl Node {
    pub(super) fn new(value: Value, at: Position) -> Self {
        Self {
            value,
            at,
            tag: None,
        }
    }

    /// The value of a key, where this is a mapping that has it.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        let Value::Map(entries) = &self.value else {
            return None;
        };
        let entry = entries.iter().find(|entry| entry.key == key);
        entry.map(|entry| &entry.value)
    }

    /// A scalar, as written.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(scalar) => Some(&scalar.text),
            _ => None,
        }
    }
}

/// Reads the one document in `text`, which is that of file number `file`.
pub(super) fn parse(text: &str, file: usize) -> Result<Node, Fault> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut composer = Composer {
        file,
        parser: Parser::new_from_str(text),
        anchors: HashMap::new(),
        expanded: 0,
    };
    composer.document()
}

/// Builds the tree from the parser's events.
struct Composer<'a> {
    file: usize,
    parser: Parser<'a, StrInput<'a>>,
    /// Finished anchored nodes, with what each adds to [`Composer::expanded`] when used again.
    anchors: HashMap<usize, (Node, usize)>,
    expanded: usize,
}

impl<'a> Composer<'a> {
    fn document(&mut self) -> Result<Node, Fault> {
        let mut document = None;
        loop {
            let (event, at) = self.next()?;
            match event {
                Event::StreamEnd => break,
                Event::StreamStart
                | Event::DocumentStart(_)
                | Event::DocumentEnd
                | Event::Nothing => {}
                _ if document.is_some() => {
                    return Err(fault(at, "a second document; a Compose file has one"));
                }
                event => document = Some(self.node(event, at, 0)?),
            }
        }
        let document = document.ok_or_else(|| fault(self.start(), "the file is empty"))?;
        untagged(document)
    }

    fn next(&mut self) -> Result<(Event<'a>, Position), Fault> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, self.position(&span.start))),
            Some(Err(error)) => {
                let at = self.position(error.marker());
                Err(fault(at, format!("not valid YAML: {}", error.info())))
            }
            // The parser ends with `StreamEnd`, so this is beyond its end.
            None => Ok((Event::StreamEnd, self.start())),
        }
    }

    fn start(&self) -> Position {
        Position {
            file: self.file,
            line: 1,
            column: 1,
        }
    }

    fn position(&self, marker: &Marker) -> Position {
        Position {
            file: self.file,
            line: marker.line(),
            column: marker.col() + 1,
        }
    }

    fn node(&mut self, event: Event<'a>, at: Position, depth: usize) -> Result<Node, Fault> {
        if depth > MAX_DEPTH {
            return Err(fault(at, format!("nested deeper than {MAX_DEPTH} levels")));
        }
        let before = self.expanded;
        let (value, anchor, tag) = match event {
            Event::Alias(id) => return self.alias(id, at),
            Event::Scalar(text, style, anchor, tag) => {
                self.expand(text.len() + 1, at)?;
                let plain = style == ScalarStyle::Plain;
                let is_str = |tag: &Tag| tag.is_yaml_core_schema() && tag.suffix == "str";
                let (plain, tag) = match tag.as_deref() {
                    Some(tag) if is_str(tag) => (false, None),
                    tag => (plain, merge_tag(tag, at)?),
                };
                (scalar(text.into_owned(), plain), anchor, tag)
            }
            Event::SequenceStart(anchor, tag) => {
                self.expand(1, at)?;
                let tag = merge_tag(tag.as_deref(), at)?;
                (Value::List(self.list(depth)?), anchor, tag)
            }
            Event::MappingStart(anchor, tag) => {
                self.expand(1, at)?;
                let tag = merge_tag(tag.as_deref(), at)?;
                (Value::Map(self.map(depth)?), anchor, tag)
            }
            _ => return Err(fault(at, "expected a value")),
        };
        let node = Node { value, at, tag };
        if anchor > 0 {
            self.anchors
                .insert(anchor, (node.clone(), self.expanded - before));
        }
        Ok(node)
    }

    /// A copy of what the alias refers to. It keeps the positions of the original: that's where a
    /// mistake in it is to be corrected.
    fn alias(&mut self, id: usize, at: Position) -> Result<Node, Fault> {
        let Some(cost) = self.anchors.get(&id).map(|(_, cost)| *cost) else {
            return Err(fault(at, "an alias inside of what it refers to"));
        };
        self.expand(cost, at)?;
        self.anchors
            .get(&id)
            .map(|(node, _)| node.clone())
            .ok_or_else(|| fault(at, "an alias to nothing"))
    }

    fn expand(&mut self, cost: usize, at: Position) -> Result<(), Fault> {
        self.expanded = self.expanded.saturating_add(cost);
        if self.expanded > MAX_EXPANDED {
            return Err(fault(
                at,
                "the file grows beyond 8 MiB when its aliases are expanded",
            ));
        }
        Ok(())
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Node>, Fault> {
        let mut items = Vec::new();
        loop {
            let (event, at) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                return Ok(items);
            }
            items.push(untagged(self.node(event, at, depth + 1)?)?);
        }
    }

    fn map(&mut self, depth: usize) -> Result<Vec<Entry>, Fault> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut seen = HashMap::new();
        let mut merged = None;
        loop {
            let (event, key_at) = self.next()?;
            let key = match event {
                Event::MappingEnd => break,
                Event::Scalar(text, style, 0, None) => {
                    self.expand(text.len() + 1, key_at)?;
                    if text.len() > MAX_KEY {
                        let message = format!("a key longer than {MAX_KEY} bytes");
                        return Err(fault(key_at, message));
                    }
                    let merge = style == ScalarStyle::Plain && text == "<<";
                    (text.into_owned(), merge)
                }
                _ => return Err(fault(key_at, "expected a plain key")),
            };
            let (event, at) = self.next()?;
            let value = self.node(event, at, depth + 1)?;
            let (key, merge) = key;
            if let Some(first) = seen.insert(key.clone(), key_at) {
                let message = format!("the key {key:?} is here already, at {first}");
                return Err(fault(key_at, message));
            }
            if merge {
                merged = Some(untagged(value)?);
            } else {
                entries.push(Entry { key, key_at, value });
            }
        }
        if let Some(source) = merged {
            merge_keys(&mut entries, source)?;
        }
        Ok(entries)
    }
}

/// Adds what `<<` brings: a mapping or a list of them. A key that is there already stays.
fn merge_keys(entries: &mut Vec<Entry>, source: Node) -> Result<(), Fault> {
    let mut present: HashSet<String> = entries.iter().map(|entry| entry.key.clone()).collect();
    let sources = match source.value {
        Value::List(items) => items,
        value => vec![Node { value, ..source }],
    };
    for source in sources {
        let Value::Map(more) = source.value else {
            return Err(fault(
                source.at,
                "`<<` takes a mapping, or a list of mappings",
            ));
        };
        entries.extend(
            more.into_iter()
                .filter(|entry| present.insert(entry.key.clone())),
        );
    }
    Ok(())
}

fn scalar(text: String, plain: bool) -> Value {
    let kind = match text.as_str() {
        _ if !plain => Kind::String,
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" | "false" | "False" | "FALSE" => Kind::Bool,
        text if is_number(text) => Kind::Number,
        _ => Kind::String,
    };
    Value::Scalar(Scalar { text, kind })
}

/// The integers and floats of the core schema.
fn is_number(text: &str) -> bool {
    if let Some(octal) = text.strip_prefix("0o") {
        return !octal.is_empty() && octal.bytes().all(|b| (b'0'..=b'7').contains(&b));
    }
    if let Some(hex) = text.strip_prefix("0x") {
        return !hex.is_empty() && hex.bytes().all(|b| b.is_ascii_hexdigit());
    }
    let unsigned = text.trim_start_matches(['+', '-']);
    if matches!(
        unsigned,
        ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN"
    ) {
        return true;
    }
    // Rust's own grammar is the core schema's but for `inf`, `infinity` and `nan`.
    text.bytes().any(|b| b.is_ascii_digit())
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b))
        && text.parse::<f64>().is_ok()
}

/// The tags that a value may have beside `!!str`.
fn merge_tag(tag: Option<&Tag>, at: Position) -> Result<Option<MergeTag>, Fault> {
    let Some(tag) = tag else { return Ok(None) };
    let handle = if tag.is_yaml_core_schema() {
        "!!"
    } else {
        &tag.handle
    };
    match (handle, tag.suffix.as_str()) {
        ("!", "reset") => Ok(Some(MergeTag::Reset)),
        ("!", "override") => Ok(Some(MergeTag::Override)),
        (handle, suffix) => {
            let message = format!("the YAML tag {handle}{suffix} isn't supported");
            Err(fault(at, message))
        }
    }
}

/// Refuses tags that no key is before.
fn untagged(node: Node) -> Result<Node, Fault> {
    if node.tag.is_none() {
        return Ok(node);
    }
    let message = "!reset and !override go before the value of a key";
    Err(fault(node.at, message))
}

fn fault(at: Position, message: impl Into<String>) -> Fault {
    Fault {
        at,
        message: message.into(),
    }
}
