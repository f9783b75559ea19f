//! YAML text to a tree that knows where each part stands: aliases and merge keys (`<<`) resolved,
//! duplicate keys refused, size and depth bounded.
//!
//! Scalars stay text, together with what YAML would take them for, since interpolation comes
//! before types. The core schema of YAML 1.2 decides (§10.3.2): `no` and `on` are strings.

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};

use super::{Position, Problem};

/// Nesting beyond this is an error; Compose files need about ten levels.
const MAX_DEPTH: usize = 64;
/// Bytes of a key; the path to a value is made of keys, and there is one for each value.
const MAX_KEY: usize = 1 << 10;
/// Bytes of text plus number of nodes, after aliases are expanded ("billion laughs").
const MAX_EXPANDED: usize = 8 << 20;

/// A value and where it begins.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) at: Position,
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

/// Reads the one document in `text`.
pub(super) fn parse(text: &str) -> Result<Node, Problem> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut composer = Composer {
        parser: Parser::new_from_str(text),
        anchors: HashMap::new(),
        expanded: 0,
    };
    composer.document()
}

/// Builds the tree from the parser's events.
struct Composer<'a> {
    parser: Parser<'a, StrInput<'a>>,
    /// Finished anchored nodes, with what each adds to [`Composer::expanded`] when used again.
    anchors: HashMap<usize, (Node, usize)>,
    expanded: usize,
}

impl<'a> Composer<'a> {
    fn document(&mut self) -> Result<Node, Problem> {
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
                    return Err(problem(at, "a second document; a Compose file has one"));
                }
                event => document = Some(self.node(event, at, 0)?),
            }
        }
        document.ok_or_else(|| problem(Position { line: 1, column: 1 }, "the file is empty"))
    }

    fn next(&mut self) -> Result<(Event<'a>, Position), Problem> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, position(span))),
            Some(Err(error)) => Err(not_yaml(&error)),
            // The parser ends with `StreamEnd`, so this is beyond its end.
            None => Ok((Event::StreamEnd, Position { line: 1, column: 1 })),
        }
    }

    fn node(&mut self, event: Event<'a>, at: Position, depth: usize) -> Result<Node, Problem> {
        if depth > MAX_DEPTH {
            return Err(problem(
                at,
                format!("nested deeper than {MAX_DEPTH} levels"),
            ));
        }
        let before = self.expanded;
        let (value, anchor) = match event {
            Event::Alias(id) => return self.alias(id, at),
            Event::Scalar(text, style, anchor, tag) => {
                self.expand(text.len() + 1, at)?;
                let plain = style == ScalarStyle::Plain;
                (
                    scalar(text.into_owned(), plain, tag.as_deref(), at)?,
                    anchor,
                )
            }
            Event::SequenceStart(anchor, tag) => {
                self.expand(1, at)?;
                refuse_tag(tag.as_deref(), at)?;
                (Value::List(self.list(depth)?), anchor)
            }
            Event::MappingStart(anchor, tag) => {
                self.expand(1, at)?;
                refuse_tag(tag.as_deref(), at)?;
                (Value::Map(self.map(depth)?), anchor)
            }
            _ => return Err(problem(at, "expected a value")),
        };
        let node = Node { value, at };
        if anchor > 0 {
            self.anchors
                .insert(anchor, (node.clone(), self.expanded - before));
        }
        Ok(node)
    }

    /// A copy of what the alias refers to. It keeps the positions of the original: that's where a
    /// mistake in it is to be corrected.
    fn alias(&mut self, id: usize, at: Position) -> Result<Node, Problem> {
        let Some(cost) = self.anchors.get(&id).map(|(_, cost)| *cost) else {
            return Err(problem(at, "an alias inside of what it refers to"));
        };
        self.expand(cost, at)?;
        self.anchors
            .get(&id)
            .map(|(node, _)| node.clone())
            .ok_or_else(|| problem(at, "an alias to nothing"))
    }

    fn expand(&mut self, cost: usize, at: Position) -> Result<(), Problem> {
        self.expanded = self.expanded.saturating_add(cost);
        if self.expanded > MAX_EXPANDED {
            return Err(problem(
                at,
                "the file grows beyond 8 MiB when its aliases are expanded",
            ));
        }
        Ok(())
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Node>, Problem> {
        let mut items = Vec::new();
        loop {
            let (event, at) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                return Ok(items);
            }
            items.push(self.node(event, at, depth + 1)?);
        }
    }

    fn map(&mut self, depth: usize) -> Result<Vec<Entry>, Problem> {
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
                        return Err(problem(key_at, message));
                    }
                    let merge = style == ScalarStyle::Plain && text == "<<";
                    (text.into_owned(), merge)
                }
                _ => return Err(problem(key_at, "expected a plain key")),
            };
            let (event, at) = self.next()?;
            let value = self.node(event, at, depth + 1)?;
            let (key, merge) = key;
            if let Some(first) = seen.insert(key.clone(), key_at) {
                let message = format!("the key {key:?} is here already, at {first}");
                return Err(problem(key_at, message));
            }
            if merge {
                merged = Some(value);
            } else {
                entries.push(Entry { key, key_at, value });
            }
        }
        if let Some(source) = merged {
            merge(&mut entries, source)?;
        }
        Ok(entries)
    }
}

/// Adds what `<<` brings: a mapping or a list of them. A key that is there already stays.
fn merge(entries: &mut Vec<Entry>, source: Node) -> Result<(), Problem> {
    let mut present: HashSet<String> = entries.iter().map(|entry| entry.key.clone()).collect();
    let sources = match source.value {
        Value::List(items) => items,
        value => vec![Node {
            value,
            at: source.at,
        }],
    };
    for source in sources {
        let Value::Map(more) = source.value else {
            return Err(problem(
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

fn scalar(text: String, plain: bool, tag: Option<&Tag>, at: Position) -> Result<Value, Problem> {
    if tag.is_some_and(|tag| tag.is_yaml_core_schema() && tag.suffix == "str") {
        return Ok(Value::Scalar(Scalar {
            text,
            kind: Kind::String,
        }));
    }
    refuse_tag(tag, at)?;
    let kind = match text.as_str() {
        _ if !plain => Kind::String,
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Value::Null),
        "true" | "True" | "TRUE" | "false" | "False" | "FALSE" => Kind::Bool,
        text if is_number(text) => Kind::Number,
        _ => Kind::String,
    };
    Ok(Value::Scalar(Scalar { text, kind }))
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

fn refuse_tag(tag: Option<&Tag>, at: Position) -> Result<(), Problem> {
    match tag {
        Some(tag) => {
            let handle = if tag.is_yaml_core_schema() {
                "!!"
            } else {
                &tag.handle
            };
            Err(problem(
                at,
                format!("the YAML tag {handle}{} isn't supported", tag.suffix),
            ))
        }
        None => Ok(()),
    }
}

fn position(span: Span) -> Position {
    Position {
        line: span.start.line(),
        column: span.start.col() + 1,
    }
}

fn not_yaml(error: &ScanError) -> Problem {
    let marker = error.marker();
    let at = Position {
        line: marker.line(),
        column: marker.col() + 1,
    };
    problem(at, format!("not valid YAML: {}", error.info()))
}

fn problem(at: Position, message: impl Into<String>) -> Problem {
    Problem {
        position: Some(at),
        path: String::new(),
        message: message.into(),
    }
}
