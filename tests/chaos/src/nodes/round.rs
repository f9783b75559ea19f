//! One round over nodes: load, fault, its end, until all is whole again, and the look at what it did.

use std::time::Duration;

use engine::error::{Error, Result};
use tokio::time::{Instant, sleep};

use super::faults::{Fault, Kind};
use super::machines::{Machines, Node};
use super::report::Line;
use crate::audit::Findings;
use crate::cli::{Options, Pace};
use crate::load::Load;
use crate::load::request::Mix;
use crate::recovery;

/// Before the fault.
const LEAD: Duration = Duration::from_secs(4);
/// Between the beginning of an update and the loss of a node.
const INTO_UPDATE: Duration = Duration::from_secs(3);
/// Longest wait of a client: longer than the API waits for a primary.
const CLIENT: Duration = Duration::from_secs(20);
/// Until a node that was away is whole again: its engine, its tasks, its member.
const PATIENCE: Duration = Duration::from_secs(240);
/// Between two looks at that.
const PAUSE: Duration = Duration::from_secs(1);

/// What all rounds of a run share.
pub(super) struct Rounds<'a> {
    pub(super) machines: &'a Machines,
    pub(super) options: &'a Options,
    pub(super) pace: Pace,
    /// Begins every token of this run.
    pub(super) id: &'a str,
}

/// The load on one node.
struct Stream<'a> {
    node: &'a Node,
    prefix: String,
    load: Load,
    /// When the fault began, on its clock.
    began: Duration,
}

impl Rounds<'_> {
    /// Plays one round.
    ///
    /// # Errors
    /// When the stack isn't whole to begin with, or a fault can't be injected or ended.
    pub(super) async fn play(&self, fault: &'static Fault) -> Result<Vec<Line>> {
        let (machines, password) = (self.machines, &self.options.mongo_password_file);
        self.whole().await?;
        let (primary, database) = machines.primary(password).await?;
        let leader = machines.leader().await?;
        let victim = match fault.kind {
            kind if kind.of_primary() => primary,
            Kind::KillLeader => leader,
            _ => {
                let mut nodes = machines.nodes.iter();
                let spare = nodes.rfind(|it| **it != *primary && **it != *leader);
                // Where primary and leader are one node, there are two.
                spare.unwrap_or(primary)
            }
        };
        let left = machines
            .nodes
            .iter()
            .filter(|it| !fault.kind.loses_node() || *it != victim);
        let left: Vec<&Node> = left.collect();
        let others: Vec<&Node> = machines.nodes.iter().filter(|it| *it != victim).collect();
        let rate = self.pace.rate / u32::try_from(left.len()).unwrap_or(1).max(1);
        let mut streams: Vec<Stream<'_>> = left
            .into_iter()
            .map(|node| {
                let prefix = format!("{}-{}-{}-", self.id, fault.name, node.name);
                let purpose = format!("{} {}", fault.name, node.name);
                let mix = Mix::new(self.options.seed, &purpose, prefix.clone());
                let load = Load::patiently(node.published(), rate.max(1), mix, CLIENT);
                let began = Duration::ZERO;
                Stream {
                    node,
                    prefix,
                    load,
                    began,
                }
            })
            .collect();
        sleep(LEAD).await;
        for stream in &mut streams {
            stream.began = stream.load.ledger().now();
        }
        let away = Duration::from_secs(self.pace.seconds);
        match fault.kind {
            Kind::None => sleep(away).await,
            Kind::StepDown => database.step_down().await?,
            Kind::KillPrimary => {
                let member = machines.member(victim).await?;
                machines.docker(victim, &["kill", &member]).await?;
            }
            Kind::Kill | Kind::KillLeader => {
                machines.kill(victim).await?;
                sleep(away).await;
                machines.start(victim).await?;
            }
            Kind::CutOff | Kind::CutOffPrimary => {
                machines.filter(victim, &others, "-A").await?;
                sleep(away).await;
                machines.filter(victim, &others, "-D").await?;
            }
            Kind::Drain => {
                let drain = ["nodes", "drain", "--force", &victim.name];
                machines.deploy(&drain, &[]).await?;
                sleep(away).await;
                let activate = ["nodes", "activate", &victim.name];
                machines.deploy(&activate, &[]).await?;
            }
            Kind::Update => {
                let update = machines.deploy(&["up", "--no-verify"], &[("RUST_LOG", "warn")]);
                let death = async {
                    sleep(INTO_UPDATE).await;
                    machines.kill(victim).await?;
                    sleep(away).await;
                    machines.start(victim).await
                };
                let (updated, died) = tokio::join!(update, death);
                died?;
                // It may say that a node was lost; what clients saw is what counts.
                _ = updated;
            }
            Kind::Registry => {
                machines.registry()?.go_away().await;
                let update = machines.deploy(&["up", "--no-verify"], &[("RUST_LOG", "error")]);
                update.await?;
                machines.kill(victim).await?;
                sleep(away).await;
                machines.start(victim).await?;
                // What was there comes back from what the nodes have.
                self.whole().await?;
                machines.registry()?.come_back().await?;
            }
        }
        // The load goes on: what comes back may cost something, too.
        let whole = self.whole().await;
        let calm = self.calm(&streams).await;
        for stream in &streams {
            stream.load.stop().await;
        }
        whole?;
        self.look(fault, victim, streams, calm).await
    }

    /// Waits until every node, task and member is there.
    async fn whole(&self) -> Result<()> {
        let password = &self.options.mongo_password_file;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let missing = match self.machines.missing(password).await {
                Ok(None) => return Ok(()),
                Ok(Some(missing)) => missing,
                Err(error) => error.message,
            };
            if Instant::now() > deadline {
                return Err(Error::failed(
                    format!("the stack isn't whole: {missing}"),
                    "see `deploy ps` and `deploy nodes`",
                ));
            }
            sleep(PAUSE).await;
        }
    }

    /// Waits until everything is answered again, on every node.
    async fn calm(&self, streams: &[Stream<'_>]) -> bool {
        let deadline = Instant::now() + recovery::PATIENCE;
        loop {
            let calm = streams.iter().all(|it| {
                let ledger = it.load.ledger();
                let now = ledger.now();
                ledger.read(|entries| recovery::is_calm(entries, it.began, now))
            });
            if calm || Instant::now() > deadline {
                return calm;
            }
            sleep(PAUSE / 4).await;
        }
    }

    async fn look(
        &self,
        fault: &'static Fault,
        victim: &Node,
        streams: Vec<Stream<'_>>,
        calm: bool,
    ) -> Result<Vec<Line>> {
        let password = &self.options.mongo_password_file;
        let (_, database) = self.machines.primary(password).await?;
        let mut lines: Vec<Line> = Vec::new();
        for stream in streams {
            let documents = database.documents(&stream.prefix).await?;
            let mut seen = stream.load.ledger().read(|entries| {
                let findings = Findings::of(entries, &documents);
                Line::of(&stream.node.name, entries, stream.began, findings, calm)
            });
            // Whose node is cut off is told apart: there is nobody who could acknowledge.
            let apart = fault.kind == Kind::CutOffPrimary && stream.node == victim;
            let name = if apart {
                format!("{}, clients of that node", fault.name)
            } else {
                fault.name.to_owned()
            };
            if let Some(line) = lines.iter_mut().find(|it| it.name == name) {
                line.add(seen);
                continue;
            }
            seen.name = name;
            seen.about = fault.about;
            seen.victim.clone_from(&victim.name);
            lines.push(seen);
        }
        Ok(lines)
    }
}
