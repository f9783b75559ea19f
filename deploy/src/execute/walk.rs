//! Whose turn it is: a walk over a plan's graph. It knows nothing of engines.

use engine::error::{Error, Result};

use crate::plan::{Graph, Need, NodeId, Operation, Target, TransactionId};

/// What an operation comes to.
#[derive(Debug, PartialEq)]
pub(super) enum Outcome {
    /// It was done; what is said of it.
    Done(&'static str),
    /// It was done, and nothing is said of it.
    Quiet,
    /// What others wait to know.
    Value(String),
    /// To a question.
    Answer(bool),
}

#[derive(Debug, PartialEq)]
enum Status {
    Waiting,
    Begun,
    Done(Outcome),
    /// It isn't called for.
    Skipped,
    Failed,
    /// What it needs wasn't done.
    Cancelled,
}

impl Status {
    fn is_over(&self) -> bool {
        !matches!(self, Self::Waiting | Self::Begun)
    }
}

/// How far a graph has been carried out.
pub(super) struct Walk<'a> {
    graph: &'a Graph,
    statuses: Vec<Status>,
    /// In the order in which they were begun.
    begun: Vec<NodeId>,
    undone: Vec<TransactionId>,
    failures: Vec<(NodeId, Error)>,
    /// Notes on services that aren't begun.
    notes: Vec<String>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(graph: &'a Graph) -> Self {
        Self {
            graph,
            statuses: graph.nodes().map(|_| Status::Waiting).collect(),
            begun: Vec::new(),
            undone: Vec::new(),
            failures: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// The operations whose turn has come, with everything that they need to know filled in.
    pub(super) fn begin(&mut self) -> Vec<(NodeId, Operation)> {
        let mut begun = Vec::new();
        for (id, node) in self.graph.nodes() {
            if self.statuses[id.index()] != Status::Waiting {
                continue;
            }
            let status = self.status(&node.needs);
            match status {
                Status::Begun => {
                    begun.push((id, node.operation.filled(&|it| self.value(it))));
                    self.begun.push(id);
                }
                Status::Cancelled => self.notes.extend(self.left_out(id)),
                _ => {}
            }
            self.statuses[id.index()] = status;
        }
        begun
    }

    fn status(&self, needs: &[Need]) -> Status {
        let mut status = Status::Begun;
        for need in needs {
            let other = &self.statuses[need.node().index()];
            match (need, other) {
                (Need::Done(_) | Need::Answer(..), Status::Failed | Status::Cancelled) => {
                    return Status::Cancelled;
                }
                (_, Status::Waiting | Status::Begun) => status = Status::Waiting,
                (Need::Answer(_, wanted), Status::Done(Outcome::Answer(given)))
                    if given == wanted => {}
                (Need::Answer(..), _) if status == Status::Begun => status = Status::Skipped,
                _ => {}
            }
        }
        status
    }

    fn value(&self, node: NodeId) -> Option<String> {
        match &self.statuses[node.index()] {
            Status::Done(Outcome::Value(value)) => Some(value.clone()),
            _ => None,
        }
    }

    /// That a service isn't begun because another one failed.
    fn left_out(&self, node: NodeId) -> Option<String> {
        let node = self.graph.node(node);
        let Operation::Begin { service, runs } = &node.operation else {
            return None;
        };
        let failed = |need: &&Need| {
            let status = &self.statuses[need.node().index()];
            matches!(status, Status::Failed | Status::Cancelled)
        };
        let cause = node.needs.iter().find(failed)?.node();
        let dependency = self.graph.node(cause).service.as_ref()?;
        let left = if *runs {
            "left as it is"
        } else {
            "not brought up"
        };
        Some(format!("{service}: {left}, because {dependency} failed"))
    }

    /// Takes note of what became of an operation.
    pub(super) fn end(&mut self, node: NodeId, result: Result<Outcome>) {
        self.statuses[node.index()] = match result {
            Ok(outcome) => Status::Done(outcome),
            Err(err) => {
                self.failures.push((node, err));
                Status::Failed
            }
        };
    }

    /// What the user should know by now.
    pub(super) fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    /// A transaction that has failed and is over: what was begun of it is taken back, the last one
    /// first.
    pub(super) fn undo(&mut self) -> Option<(TransactionId, Vec<Operation>)> {
        let failed = |transaction: &TransactionId| {
            let mut failed = self.failures.iter();
            failed.any(|(node, _)| self.graph.node(*node).transaction == Some(*transaction))
        };
        let over = |transaction: &TransactionId| {
            let mut nodes = self.graph.nodes();
            nodes.all(|(id, node)| {
                node.transaction != Some(*transaction) || self.statuses[id.index()].is_over()
            })
        };
        let mut transactions = self.graph.transactions();
        let transaction =
            transactions.find(|it| !self.undone.contains(it) && failed(it) && over(it))?;
        self.undone.push(transaction);
        let begun = self.begun.iter().rev().map(|id| self.graph.node(*id));
        let operations = begun
            .filter(|node| node.transaction == Some(transaction))
            .flat_map(|node| node.undo.iter().cloned());
        Some((transaction, operations.collect()))
    }

    /// The old containers of a transaction that has failed, and whether they failed before.
    pub(super) fn restored(&self, transaction: TransactionId) -> (Vec<&'a Target>, bool) {
        let transaction = self.graph.transaction(transaction);
        let restored = transaction.restores.iter();
        let restored = restored.filter(|(node, _)| self.begun.contains(node));
        (
            restored.map(|(_, container)| container).collect(),
            transaction.ailing,
        )
    }

    /// Takes note of what became of the taking back: the old containers that don't serve after it,
    /// and what they are instead.
    pub(super) fn undone(&mut self, id: TransactionId, result: Result<Vec<String>>) {
        let (restored, ailing) = self.restored(id);
        let graph = self.graph;
        let mut failures = self.failures.iter_mut();
        let failed = failures.find(|(node, _)| graph.node(*node).transaction == Some(id));
        let Some((node, cause)) = failed else { return };
        match result {
            Ok(down) => {
                let serving: Vec<&str> = restored.iter().map(|it| &*it.name).collect();
                let serving = serving.join(", ");
                cause.message = format!("{}; rolled back: {serving} as before", cause.message);
                let correct = "correct the cause and run `deploy up` again";
                cause.next = match &down[..] {
                    [] if ailing => format!("{correct}, which tries it once more"),
                    [] => format!("{correct}; the old version serves meanwhile"),
                    down => format!("{} doesn't serve: {correct}", down.join(", ")),
                };
            }
            Err(err) => {
                let service = graph.node(*node).service.as_deref().unwrap_or_default();
                let line = format!("rolling {service} back failed too: {}", err.message);
                cause.details.push(line);
                let details = err.details.into_iter().map(|line| format!("  {line}"));
                cause.details.extend(details);
            }
        }
    }

    /// The first failure, with those of other services below it.
    pub(super) fn finish(mut self) -> Result<()> {
        // Of one service only what failed first: the rest follows from it.
        let mut services = Vec::new();
        self.failures.retain(|(node, _)| {
            let service = &self.graph.node(*node).service;
            let first = service.is_none() || !services.contains(&service);
            services.push(service);
            first
        });
        self.failures.sort_by_key(|(node, _)| *node);
        let mut failures = self.failures.into_iter().map(|(_, err)| err);
        let Some(mut first) = failures.next() else {
            return Ok(());
        };
        for other in failures {
            first.details.push(format!("also: {}", other.message));
            let details = other.details.into_iter().map(|line| format!("  {line}"));
            first.details.extend(details);
        }
        Err(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Builder;

    fn pull(image: &str) -> Operation {
        Operation::Pull {
            image: image.to_owned(),
        }
    }

    fn discard(name: &str) -> Operation {
        Operation::Discard {
            name: name.to_owned(),
        }
    }

    fn failure(message: &str) -> Result<Outcome> {
        Err(Error::failed(message, "nothing"))
    }

    /// The text of what is begun now.
    fn begun(walk: &mut Walk<'_>) -> Vec<String> {
        let begun = walk.begin().into_iter();
        begun.map(|(_, it)| it.to_string()).collect()
    }

    #[test]
    fn what_an_answer_does_not_call_for_is_passed_over_in_its_turn() {
        let mut graph = Builder::default();
        let question = graph.add(pull("question"), []);
        let slow = graph.add(pull("slow"), []);
        let called_for = graph.add(pull("no"), [Need::Done(slow), Need::Answer(question, true)]);
        graph.then(called_for, pull("after"));
        let graph = graph.finish();
        let mut walk = Walk::new(&graph);
        assert_eq!(begun(&mut walk).len(), 2);
        walk.end(question, Ok(Outcome::Answer(false)));
        assert!(begun(&mut walk).is_empty());
        walk.end(slow, Ok(Outcome::Quiet));
        assert_eq!(begun(&mut walk), ["pull image after"]);
    }

    #[test]
    fn a_failure_ends_what_needs_it_and_nothing_else() {
        let mut graph = Builder::default();
        let failing = graph.add(pull("failing"), []);
        graph.then(failing, pull("needs"));
        let other = graph.add(pull("other"), []);
        graph.add(pull("follows"), [Need::Over(failing), Need::Done(other)]);
        let graph = graph.finish();
        let mut walk = Walk::new(&graph);
        assert_eq!(begun(&mut walk).len(), 2);
        walk.end(failing, failure("it broke"));
        walk.end(other, Ok(Outcome::Quiet));
        assert_eq!(begun(&mut walk), ["pull image follows"]);
        let failed = walk.finish().expect_err("a failure");
        assert_eq!(failed.message, "it broke");
    }

    #[test]
    fn a_transaction_is_taken_back_once_nothing_of_it_is_under_way() {
        let mut graph = Builder::default();
        graph.transaction = Some(graph.begin_transaction(true));
        let nodes = ["a", "b", "c"].map(|name| {
            let node = graph.add(pull(name), []);
            let old = Target::known(&format!("old {name}"), "id");
            graph.undo(node, [discard(name)], Some(&old));
            node
        });
        graph.then(nodes[2], pull("never"));
        let graph = graph.finish();
        let mut walk = Walk::new(&graph);
        assert_eq!(begun(&mut walk).len(), 3);
        walk.end(nodes[2], failure("it broke"));
        walk.end(nodes[0], Ok(Outcome::Quiet));
        assert!(
            begun(&mut walk).is_empty() && walk.undo().is_none(),
            "b goes on"
        );
        walk.end(nodes[1], Ok(Outcome::Quiet));
        let (transaction, operations) = walk.undo().expect("it has failed");
        assert_eq!(operations, ["c", "b", "a"].map(discard));
        assert!(walk.undo().is_none(), "once");
        walk.undone(transaction, Ok(Vec::new()));
        let failed = walk.finish().expect_err("a failure");
        assert_eq!(
            failed.message,
            "it broke; rolled back: old a, old b, old c as before"
        );
        assert!(failed.next.ends_with("which tries it once more"));
    }
}
