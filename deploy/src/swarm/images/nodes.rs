//! Images into nodes over SSH: each node's engine is asked what it has, and gets what it lacks.

use std::collections::BTreeSet;

use engine::Engine;
use engine::error::{Error, Result};
use engine::image::{self, tag, transfer};
use engine::swarm;
use engine::swarm::node::Node;
use engine::swarm::stack::Stack;
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::output::Output;

/// So many nodes at a time.
const AT_ONCE: usize = 4;

/// An image that nodes are to have under a name that says its content.
#[derive(Debug, Clone)]
pub(super) struct Parcel {
    /// In the file.
    pub(super) name: String,
    pub(super) id: String,
    pub(super) repository: String,
    pub(super) tag: String,
    pub(super) content: String,
    /// Their ids.
    pub(super) nodes: BTreeSet<String>,
}

impl Parcel {
    fn reference(&self) -> String {
        format!("{}:{}", self.repository, self.tag)
    }
}

/// What a node doesn't have.
#[derive(Debug)]
pub(super) struct Lack {
    /// Its name.
    pub(super) node: String,
    engine: Engine,
    /// It has these, without their names.
    unnamed: Vec<Parcel>,
    /// It hasn't got these.
    pub(super) missing: Vec<Parcel>,
}

/// Asks every node, this one too, what it lacks. Returns that, and a sentence for each that is away.
///
/// # Errors
/// When a node that is ready can't be reached.
pub(super) async fn look(
    here_engine: &Engine,
    way: &str,
    stack: &Stack,
    here: &str,
    copies: &[Parcel],
) -> Result<(Vec<Lack>, Vec<String>)> {
    let may = |node: &&Node| copies.iter().any(|it| it.nodes.contains(&node.id));
    let everywhere = |node: &&Node| node.id == here || may(node);
    let asked = stack.nodes.iter().filter(everywhere);
    let (ready, away): (Vec<&Node>, Vec<&Node>) = asked.partition(|it| it.ready || it.id == here);
    let notes = away.into_iter().map(|node| {
        format!(
            "node {} isn't heard of: it gets images by a `deploy up` when it is back",
            node.name
        )
    });
    let lacks = stream::iter(ready).map(async |node| {
        let is_here = node.id == here;
        let engine = if is_here {
            here_engine.clone()
        } else {
            connect(way, node).await?
        };
        let mut lack = Lack {
            node: node.name.clone(),
            engine,
            unnamed: Vec::new(),
            missing: Vec::new(),
        };
        // What is sent is known here under its name.
        let wanted = copies.iter();
        for copy in wanted.filter(|it| is_here || it.nodes.contains(&node.id)) {
            let has = async |name: &str| {
                let content = image::content_of(&lack.engine, name).await?;
                Ok::<_, Error>(content.as_ref() == Some(&copy.content))
            };
            if has(&copy.reference()).await? {
                continue;
            }
            if has(&copy.id).await? {
                lack.unnamed.push(copy.clone());
            } else {
                lack.missing.push(copy.clone());
            }
        }
        Ok::<_, Error>(lack)
    });
    let lacks: Vec<Lack> = lacks.buffered(AT_ONCE).try_collect().await?;
    Ok((lacks, notes.collect()))
}

/// The engine of another node.
///
/// # Errors
/// When it can't be reached, or is another node's.
pub(super) async fn connect(way: &str, node: &Node) -> Result<Engine> {
    let address = address(way, node);
    let found = async {
        let engine = Engine::at(address.clone()).await?;
        let id = swarm::node_id(&engine).await?;
        if id.as_deref() == Some(&*node.id) {
            return Ok(engine);
        }
        Err(Error::failed(
            format!("the engine at {address} isn't that of node {}", node.name),
            "see to the name or address that leads there",
        ))
    };
    found.await.map_err(|mut err| {
        err.message = format!("node {}: {}", node.name, err.message);
        err.next = format!(
            "{}; CAUSEWAY_NODE_SSH (x-swarm: ssh) says how nodes are reached, and is {way}",
            err.next
        );
        err
    })
}

/// Where a node's engine is, as `DOCKER_HOST` would say it.
fn address(way: &str, node: &Node) -> String {
    let way = way.replace("{address}", &node.host());
    format!("ssh://{}", way.replace("{name}", &node.name))
}

/// Brings what they lack.
///
/// # Errors
/// When a node doesn't take it.
pub(super) async fn supply(engine: &Engine, output: &Output, lacks: &[Lack]) -> Result<()> {
    for lack in lacks {
        for copy in &lack.unnamed {
            tag::add_as(&lack.engine, &copy.id, &copy.repository, &copy.tag).await?;
        }
    }
    let short = lacks.iter().filter(|it| !it.missing.is_empty());
    let supplied = stream::iter(short).map(async |lack| {
        let images: Vec<&str> = lack.missing.iter().map(|it| it.name.as_str()).collect();
        let images = images.join(", ");
        let task = output.task(&format!("node {}", lack.node), &format!("loading {images}"));
        let names: Vec<String> = lack.missing.iter().map(Parcel::reference).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        transfer::run(engine, &lack.engine, &names, &task).await?;
        task.done(&format!("has {images}"));
        Ok::<_, Error>(())
    });
    supplied.buffer_unordered(AT_ONCE).try_collect().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_to_a_node_has_its_name_or_its_address() {
        let node = |address: &str| {
            let mut node = Node::default();
            node.name = "n2".to_owned();
            node.address = address.to_owned();
            node
        };
        for (way, at, expected) in [
            ("root@{address}", "10.0.0.2", "ssh://root@10.0.0.2"),
            (
                "root@{address}:2222",
                "fd00::2",
                "ssh://root@[fd00::2]:2222",
            ),
            ("{name}.example", "10.0.0.2", "ssh://n2.example"),
        ] {
            assert_eq!(address(way, &node(at)), expected);
        }
    }
}
