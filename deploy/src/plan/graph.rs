//! Operations in the order of what they need, and what takes them back.

use std::fmt;

use compose_file::model::ServiceName;

use super::operation::{Act, NodeId, Operation, Target};

/// Some of a graph's nodes that are taken back together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TransactionId(pub(super) usize);

/// Everything to be done.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Graph {
    nodes: Vec<Node>,
    transactions: Vec<Transaction>,
}

/// One operation, and when it is its turn.
#[derive(Debug, PartialEq)]
pub(crate) struct Node {
    /// What is done.
    pub(crate) operation: Operation,
    /// All of this comes before.
    pub(crate) needs: Vec<Need>,
    /// What it is done for; `None`: for all of them.
    pub(crate) service: Option<ServiceName>,
    /// With what it is taken back.
    pub(crate) transaction: Option<TransactionId>,
    /// What takes it back, once it was begun.
    pub(crate) undo: Vec<Operation>,
}

/// What has to have happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// It was done, or turned out not to be called for.
    Done(NodeId),
    /// It is over, whatever became of it.
    Over(NodeId),
    /// It was answered like this; else the node isn't called for.
    Answer(NodeId, bool),
}

/// Nodes that are undone when one of them fails, all that were begun, the last one first.
#[derive(Debug, PartialEq)]
pub(crate) struct Transaction {
    /// The old containers don't work either.
    pub(crate) ailing: bool,
    /// Which containers serve again when which nodes are undone.
    pub(crate) restores: Vec<(NodeId, Target)>,
}

impl Need {
    /// What has to come to an end for it.
    pub(crate) fn node(self) -> NodeId {
        match self {
            Self::Done(node) | Self::Over(node) | Self::Answer(node, _) => node,
        }
    }
}

impl Graph {
    /// The nodes in an order in which they can be done.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        let nodes = self.nodes.iter().enumerate();
        nodes.map(|(index, node)| (NodeId(index), node))
    }

    /// One of its nodes.
    pub(crate) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    /// What is undone together.
    pub(crate) fn transactions(&self) -> impl Iterator<Item = TransactionId> + use<> {
        (0..self.transactions.len()).map(TransactionId)
    }

    /// One of its transactions.
    pub(crate) fn transaction(&self, id: TransactionId) -> &Transaction {
        &self.transactions[id.0]
    }
}

/// A graph that grows. What is set here holds for every node that is added.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    graph: Graph,
    pub(crate) service: Option<ServiceName>,
    pub(crate) transaction: Option<TransactionId>,
    /// Answers without which none of it is called for.
    pub(crate) given: Vec<Need>,
}

impl Builder {
    pub(crate) fn add(
        &mut self,
        operation: Operation,
        needs: impl IntoIterator<Item = Need>,
    ) -> NodeId {
        let needs = needs.into_iter().chain(self.given.iter().copied());
        self.graph.nodes.push(Node {
            operation,
            needs: needs.collect(),
            service: self.service.clone(),
            transaction: self.transaction,
            undo: Vec::new(),
        });
        NodeId(self.graph.nodes.len() - 1)
    }

    pub(crate) fn then(&mut self, before: NodeId, operation: Operation) -> NodeId {
        self.add(operation, [Need::Done(before)])
    }

    /// Adds acts on a container, one after the other; the last of them.
    pub(crate) fn act(
        &mut self,
        container: &Target,
        needs: impl IntoIterator<Item = Need>,
        acts: impl IntoIterator<Item = Act>,
    ) -> NodeId {
        let mut needs: Vec<Need> = needs.into_iter().collect();
        for act in acts {
            let node = self.add(Operation::To(container.clone(), act), needs);
            needs = vec![Need::Done(node)];
        }
        NodeId(self.graph.nodes.len() - 1)
    }

    pub(crate) fn begin_transaction(&mut self, ailing: bool) -> TransactionId {
        self.graph.transactions.push(Transaction {
            ailing,
            restores: Vec::new(),
        });
        TransactionId(self.graph.transactions.len() - 1)
    }

    /// Says what takes a node back if the transaction that it is part of fails, and what serves then.
    pub(crate) fn undo(
        &mut self,
        node: NodeId,
        undo: impl IntoIterator<Item = Operation>,
        restores: Option<&Target>,
    ) {
        let Some(transaction) = self.graph.nodes[node.0].transaction else {
            return;
        };
        self.graph.nodes[node.0].undo = undo.into_iter().collect();
        let restores = restores.map(|container| (node, container.clone()));
        self.graph.transactions[transaction.0]
            .restores
            .extend(restores);
    }

    pub(crate) fn finish(self) -> Graph {
        self.graph
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done(node) => write!(f, "after {node}"),
            Self::Over(node) => write!(f, "once {node} is over"),
            Self::Answer(node, true) => write!(f, "if {node}"),
            Self::Answer(node, false) => write!(f, "unless {node}"),
        }
    }
}

/// A line for each node. Where it isn't said what one needs, it is the one before. What bears one number
/// is undone together.
impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (id, node) in self.nodes() {
            write!(f, "{id} {}", node.operation)?;
            let previous = id.0.checked_sub(1).map(|it| Need::Done(NodeId(it)));
            if previous.is_some() && node.needs.is_empty() {
                f.write_str(", at once")?;
            } else if !node.needs.iter().all(|it| Some(*it) == previous) {
                node.needs
                    .iter()
                    .try_for_each(|need| write!(f, ", {need}"))?;
            }
            if let Some(transaction) = node.transaction.filter(|_| !node.undo.is_empty()) {
                let undo: Vec<String> = node.undo.iter().map(ToString::to_string).collect();
                write!(f, "; undo {}: {}", transaction.0 + 1, undo.join(", "))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
