//! Several Compose files as one tree (Compose specification, "Merge"): each over those before it, once
//! its own variables are replaced and before anything in it is interpreted. Every value keeps its
//! place, so that whatever is wrong with it is told with the file and line that it comes from.
//!
//! [`Rule::Deep`] is what happens, except at the keys of a table (`rules`). Before the value of a key,
//! `!reset` removes what the files before have there, and `!override` replaces it as a whole. A value
//! of nothing changes nothing, except where it replaces.

mod rules;

use std::collections::HashMap;

use indexmap::IndexMap;

use rules::{Identity, Rule};

use super::Position;
use super::context::{Context, join};
use super::cursor::Cursor;
use super::read::identity;
use super::yaml::{Entry, Kind, MergeTag, Node, Scalar, Value};

/// The files' trees, in their order, as one, without tags. What doesn't go together is a problem.
pub(super) fn merge(files: Vec<Node>, context: &Context) -> Node {
    let mut merge = Merge {
        context,
        keys: Vec::new(),
    };
    let start = Position {
        file: 0,
        line: 1,
        column: 1,
    };
    let nothing = Node::new(Value::Null, start);
    files
        .into_iter()
        .fold(nothing, |base, over| merge.both(base, over))
}

struct Merge<'a> {
    context: &'a Context,
    /// Those that lead to where it is.
    keys: Vec<String>,
}

impl Merge<'_> {
    /// `over` merged over `base`, which has no tags.
    fn both(&mut self, base: Node, over: Node) -> Node {
        let rule = Rule::at(&self.keys);
        match (rule, &base.value, &over.value) {
            (Rule::Replace, ..) | (_, Value::Null, _) => settled(over),
            (_, _, Value::Null) => base,
            (Rule::Deep, ..) => self.deep(base, over),
            (Rule::Values, ..) => {
                let replace = |_: &mut Self, _, over| settled(over);
                self.maps(base, over, |this, node| this.values(node), replace)
            }
            (Rule::Names(setting), ..) => self.maps(
                base,
                over,
                |this, node| this.names(node, setting),
                Self::both,
            ),
            (Rule::Hosts, ..) => {
                self.lists(base, over, |this, node| this.hosts(node), identity::host)
            }
            (Rule::Unique(identity), ..) => self.lists(base, over, |_, node| list(node), identity),
            (Rule::OneOrMore(identity), ..) => {
                self.lists(base, over, |_, node| one_or_more(node), identity)
            }
            (Rule::Build, ..) => self.maps(base, over, |_, node| build(node), Self::both),
            (Rule::Logging, ..) => {
                let driver = |node: &Node| node.get("driver")?.text().map(str::to_owned);
                match (driver(&base), driver(&over)) {
                    (Some(one), Some(other)) if one != other => settled(over),
                    _ => self.deep(base, over),
                }
            }
            (Rule::Pools, ..) => self.pools(base, over),
        }
    }

    fn deep(&mut self, base: Node, over: Node) -> Node {
        let at = base.at;
        let value = match (base.value, over.value) {
            (Value::Map(base), Value::Map(over)) => Value::Map(self.by_key(base, over, Self::both)),
            (Value::List(mut base), Value::List(over)) => {
                base.extend(over.into_iter().map(settled));
                Value::List(base)
            }
            (value @ (Value::List(_) | Value::Map(_)), other) => {
                self.mismatch((kind(&value), at), (kind(&other), over.at));
                value
            }
            (Value::Null | Value::Scalar(_), value) => return settled(Node { value, ..over }),
        };
        Node::new(value, at)
    }

    /// What both are as mappings, merged by `child` key by key.
    fn maps(
        &mut self,
        base: Node,
        over: Node,
        mut entries: impl FnMut(&mut Self, Node) -> Result<Vec<Entry>, Node>,
        child: impl FnMut(&mut Self, Node, Node) -> Node,
    ) -> Node {
        let at = base.at;
        let places = ((kind(&base.value), at), (kind(&over.value), over.at));
        let value = match (entries(self, base), entries(self, over)) {
            (Ok(base), Ok(over)) => Value::Map(self.by_key(base, over, child)),
            (Ok(base), Err(_)) => {
                self.mismatch(places.0, places.1);
                Value::Map(base)
            }
            // The reader says what is wrong with it.
            (Err(base), _) => base.value,
        };
        Node::new(value, at)
    }

    /// What both are as lists, an item of the later one in the place of the one that is the same.
    fn lists(
        &mut self,
        base: Node,
        over: Node,
        mut items: impl FnMut(&mut Self, Node) -> Result<Vec<Node>, Node>,
        identity: Identity,
    ) -> Node {
        let at = base.at;
        let places = ((kind(&base.value), at), (kind(&over.value), over.at));
        let value = match (items(self, base), items(self, over)) {
            (Ok(base), Ok(over)) => Value::List(unique(base, over, identity)),
            (Ok(base), Err(_)) => {
                self.mismatch(places.0, places.1);
                Value::List(base)
            }
            // The reader says what is wrong with it.
            (Err(base), _) => base.value,
        };
        Node::new(value, at)
    }

    /// Later entries in the places of the earlier ones, or after them.
    fn by_key(
        &mut self,
        base: Vec<Entry>,
        over: Vec<Entry>,
        mut child: impl FnMut(&mut Self, Node, Node) -> Node,
    ) -> Vec<Entry> {
        let base = base.into_iter().map(|it| (it.key.clone(), Some(it)));
        // `None` where one was removed.
        let mut merged: IndexMap<String, Option<Entry>> = base.collect();
        for Entry { key, key_at, value } in over {
            let there = merged.entry(key.clone()).or_default();
            *there = match (value.tag, there.take()) {
                (Some(MergeTag::Reset), _) => None,
                (None, Some(base)) => {
                    let over_at = value.at;
                    self.keys.push(key.clone());
                    let value = child(self, base.value, value);
                    self.keys.pop();
                    let replaced = value.at == over_at;
                    let key_at = if replaced { key_at } else { base.key_at };
                    Some(Entry { key, key_at, value })
                }
                (None | Some(MergeTag::Override), _) => {
                    let value = settled(value);
                    Some(Entry { key, key_at, value })
                }
            };
        }
        merged.into_values().flatten().collect()
    }

    fn pools(&mut self, base: Node, over: Node) -> Node {
        let at = over.at;
        match (base.value, over.value) {
            (Value::List(base), Value::List(over)) => {
                let subnet = |pool: &Node| pool.get("subnet")?.text().map(str::to_owned);
                let known = base.into_iter().filter_map(|it| Some((subnet(&it)?, it)));
                let mut known: HashMap<String, Node> = known.collect();
                let pools = over.into_iter().map(|pool| {
                    let base = subnet(&pool).and_then(|subnet| known.remove(&subnet));
                    match base {
                        Some(base) => self.deep(base, pool),
                        None => settled(pool),
                    }
                });
                let value = Value::List(pools.collect());
                Node::new(value, at)
            }
            (value, other) => {
                let base = Node::new(value, base.at);
                self.deep(base, Node::new(other, at))
            }
        }
    }

    /// A mapping, or a list of `NAME=value`.
    fn values(&self, node: Node) -> Result<Vec<Entry>, Node> {
        self.named(node, |item| {
            let text = item.string()?;
            let (name, value) = match text.split_once('=') {
                Some((name, value)) => (name, string(value)),
                None => (text, Value::Null),
            };
            Some((name, value))
        })
    }

    /// A mapping, or a list of names.
    fn names(&self, node: Node, setting: Option<(&str, &str)>) -> Result<Vec<Entry>, Node> {
        self.named(node, |item| {
            let name = item.filled()?;
            let settings = setting.map_or(Value::Null, |(key, value)| {
                Value::Map(vec![entry(key, string(value), item.node.at)])
            });
            Some((name, settings))
        })
    }

    /// A mapping, or a list of what `read` takes apart.
    fn named(
        &self,
        node: Node,
        read: impl for<'n> Fn(&Cursor<'n>) -> Option<(&'n str, Value)>,
    ) -> Result<Vec<Entry>, Node> {
        match node.value {
            Value::Map(entries) => Ok(entries),
            Value::List(_) => {
                let mut entries = IndexMap::new();
                for item in self.cursor(&node).items().unwrap_or_default() {
                    let Some((name, value)) = read(&item) else {
                        continue;
                    };
                    let entry = entry(name, value, item.node.at);
                    if entries.insert(name.to_owned(), entry).is_some() {
                        item.problem(format!("{name} is in the list already"));
                    }
                }
                Ok(entries.into_values().collect())
            }
            Value::Null | Value::Scalar(_) => Err(node),
        }
    }

    /// A list of `HOST=address`, or a mapping to one address or several.
    fn hosts(&self, node: Node) -> Result<Vec<Node>, Node> {
        if !matches!(node.value, Value::Map(_)) {
            return list(node);
        }
        let mut items = Vec::new();
        for (host, addresses) in self.cursor(&node).entries().unwrap_or_default() {
            for address in addresses.one_or_more().unwrap_or_default() {
                let value = address.text().map(|text| string(&format!("{host}={text}")));
                items.extend(value.map(|value| Node {
                    value,
                    ..address.node.clone()
                }));
            }
        }
        Ok(items)
    }

    fn cursor<'n>(&'n self, node: &'n Node) -> Cursor<'n> {
        Cursor {
            node,
            path: self.path(),
            context: self.context,
        }
    }

    fn path(&self) -> String {
        let path = self.keys.iter();
        path.fold(String::new(), |path, key| join(&path, key))
    }

    fn mismatch(&self, base: (&str, Position), over: (&str, Position)) {
        let message = format!(
            "a {} can't be merged with the {} at {}; `!override` before it replaces that",
            over.0,
            base.0,
            self.context.place(base.1)
        );
        self.context.problem(Some(over.1), &self.path(), message);
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Scalar(_) => "single value",
        Value::List(_) => "list",
        Value::Map(_) => "mapping",
    }
}

fn unique(mut base: Vec<Node>, over: Vec<Node>, identity: Identity) -> Vec<Node> {
    let places = base.iter().enumerate();
    let places = places.filter_map(|(place, item)| Some((identity(item)?, place)));
    let mut places: HashMap<String, usize> = places.collect();
    for item in over {
        let place = identity(&item).and_then(|it| places.remove(&it));
        match place.and_then(|place| base.get_mut(place)) {
            Some(same) => *same = settled(item),
            None => base.push(settled(item)),
        }
    }
    base
}

fn list(node: Node) -> Result<Vec<Node>, Node> {
    match node.value {
        Value::List(items) => Ok(items),
        _ => Err(node),
    }
}

fn one_or_more(node: Node) -> Result<Vec<Node>, Node> {
    match node.value {
        Value::Scalar(_) => Ok(vec![node]),
        _ => list(node),
    }
}

/// A string is a directory.
fn build(node: Node) -> Result<Vec<Entry>, Node> {
    match node.value {
        Value::Map(entries) => Ok(entries),
        Value::Scalar(_) => Ok(vec![entry("context", node.value, node.at)]),
        Value::Null | Value::List(_) => Err(node),
    }
}

fn string(text: &str) -> Value {
    Value::Scalar(Scalar {
        text: text.to_owned(),
        kind: Kind::String,
    })
}

fn entry(key: &str, value: Value, at: Position) -> Entry {
    Entry {
        key: key.to_owned(),
        key_at: at,
        value: Node::new(value, at),
    }
}

/// The value where nothing was before it.
fn settled(mut node: Node) -> Node {
    settle(&mut node);
    node
}

fn settle(node: &mut Node) {
    node.tag = None;
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(settle),
        Value::Map(entries) => {
            entries.retain(|entry| entry.value.tag != Some(MergeTag::Reset));
            for entry in entries {
                settle(&mut entry.value);
            }
        }
        Value::Null | Value::Scalar(_) => {}
    }
}
