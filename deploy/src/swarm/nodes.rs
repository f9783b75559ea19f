//! `deploy nodes`: the Swarm's machines, with what each runs and keeps; takes one out of use, and in again.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use compose_file::Project;
use engine::Engine;
use engine::api::NodeSpecAvailabilityEnum as Availability;
use engine::error::{Error, Result};
use engine::swarm::node::{self, Node, Role};
use engine::swarm::stack::{Service, Stack};
use engine::swarm::task::{self, Task};
use engine::{labels, swarm};
use serde::Serialize;
use serde_json::json;

use super::{data, ps};
use crate::cli::{Drain, NodeRole, Nodes};
use crate::context::Context;
use crate::lock::Lock;
use crate::output::style::Tone;
use crate::output::table;

/// How often tasks that go are looked at.
const INTERVAL: Duration = Duration::from_millis(300);
/// Until everything runs elsewhere.
const PATIENCE: Duration = Duration::from_secs(300);

/// A row of `nodes --json`.
#[derive(Serialize)]
struct Row {
    name: String,
    id: String,
    role: &'static str,
    ready: bool,
    availability: Option<Availability>,
    engine: String,
    address: String,
    /// Of this project.
    tasks: Vec<String>,
    /// Volumes whose data is there.
    data: Vec<String>,
}

/// What becomes of a task when its node is drained.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Fate {
    /// To one of these nodes.
    Moves(Vec<String>),
    /// Each node has its own: nothing takes its place.
    Ends,
    /// No other node may have it: it is away until the node is back.
    Stays,
}

pub(super) async fn run(context: &Context, command: Option<Nodes>) -> Result<()> {
    match command {
        None => list(context).await,
        Some(Nodes::Drain(args)) => drain(context, args).await,
        Some(Nodes::Activate { node }) => activate(context, &node).await,
        Some(Nodes::Join { role }) => join(context, role).await,
    }
}

async fn list(context: &Context) -> Result<()> {
    let output = &context.output;
    let project = context.project()?;
    let engine = Engine::connect().await?;
    let here = manager(&engine).await?;
    let stack = Stack::observe(&engine, &project.name).await?;
    let tasks = tasks(&engine, &stack).await?;
    let rows: Vec<Row> = stack
        .nodes
        .iter()
        .map(|node| row(&stack, &tasks, node))
        .collect();
    if output.is_json() {
        output.document(&rows);
        return Ok(());
    }
    let cells: Vec<Vec<table::Cell>> = rows.iter().map(|row| cells(row, &here)).collect();
    output.table(
        &[
            "NODE", "ROLE", "STATE", "ADDRESS", "ENGINE", "TASKS", "DATA",
        ],
        &cells,
    );
    if let Some(warning) = quorum(&stack.nodes) {
        output.note(&warning);
    }
    Ok(())
}

async fn drain(context: &Context, args: Drain) -> Result<()> {
    let output = &context.output;
    let project = context.project()?;
    let engine = Engine::connect().await?;
    manager(&engine).await?;
    let patience = args.wait.patience();
    let _lock = Lock::of_swarm(&engine, output, &project.name, "nodes drain", patience).await?;
    let stack = Stack::observe(&engine, &project.name).await?;
    let node = named(&stack.nodes, &args.node)?;
    let fates = fates(&engine, &stack, node).await?;
    for (name, fate) in &fates {
        output.event(&json!({"event": "task", "task": name, "fate": fate}));
        output.line(&sentence(name, fate, &node.name));
    }
    if fates.is_empty() {
        output.line(&format!(
            "node {} runs nothing of {}",
            node.name, project.name
        ));
    }
    let stays: Vec<&str> = fates
        .iter()
        .filter(|(_, fate)| *fate == Fate::Stays)
        .map(|(name, _)| name.as_str())
        .collect();
    if args.dry_run {
        return Ok(());
    }
    if !stays.is_empty() && !args.force {
        return Err(Error::failed(
            format!(
                "{} can run on no other node, and would be away until {} is back; nothing was changed",
                stays.join(", "),
                node.name
            ),
            "move its data first (docs/swarm.md), or accept that with --force",
        ));
    }
    if node.availability == Some(Availability::DRAIN) {
        output.line(&format!("node {} is drained already", node.name));
    } else {
        node.make(&engine, Availability::DRAIN).await?;
    }
    until_moved(context, &engine, &project, node, args.timeout).await?;
    output.event(&json!({"event": "drained", "node": node.name}));
    output.line(&format!(
        "node {} is drained; `deploy nodes activate {}` lets it take tasks again",
        node.name, node.name
    ));
    Ok(())
}

/// Waits until the node runs nothing of the project, and the other nodes what they are to.
async fn until_moved(
    context: &Context,
    engine: &Engine,
    project: &Project,
    node: &Node,
    timeout: Option<Duration>,
) -> Result<()> {
    let progress = context
        .output
        .task(&format!("node {}", node.name), "draining");
    let deadline = Instant::now() + timeout.unwrap_or(PATIENCE);
    loop {
        let stack = Stack::observe(engine, &project.name).await?;
        let tasks = tasks(engine, &stack).await?;
        let there = |task: &Task| task.node.as_deref() == Some(&node.id);
        // Of a machine that isn't heard of, nobody knows what still runs there.
        let left: Vec<String> = tasks
            .iter()
            .filter(|(_, task)| node.ready && there(task) && task.is_live())
            .map(|(service, task)| ps::name(&stack, service, task))
            .collect();
        // From the same look at the tasks: the service's own count is of a moment ago.
        let runs = |wanted: &Service| {
            let of_it =
                |(service, task): &&(&Service, Task)| service.name == wanted.name && task.runs();
            tasks.iter().filter(of_it).count() as u64
        };
        let moving: Vec<&str> = stack
            .services
            .values()
            .filter(|it| runs(it) < it.desired && others(&stack, it, node).next().is_some())
            .map(|it| it.name.as_str())
            .collect();
        if left.is_empty() && moving.is_empty() {
            progress.done("drained");
            return Ok(());
        }
        if Instant::now() > deadline {
            let mut details: Vec<String> = left
                .iter()
                .map(|name| format!("{name} hasn't ended on {}", node.name))
                .collect();
            details.extend(
                moving
                    .iter()
                    .map(|name| format!("{name} doesn't run elsewhere with all its tasks yet")),
            );
            return Err(Error::failed(
                format!("node {} isn't drained yet; the Swarm goes on with it", node.name),
                "`deploy ps` says why a task doesn't start; `deploy nodes activate` takes the drain back",
            )
            .with_details(details));
        }
        progress.detail(&format!(
            "{} to end, {} to start elsewhere",
            left.len(),
            moving.len()
        ));
        tokio::time::sleep(INTERVAL).await;
    }
}

async fn activate(context: &Context, name: &str) -> Result<()> {
    let output = &context.output;
    let engine = Engine::connect().await?;
    manager(&engine).await?;
    let nodes = node::all(&engine).await?;
    let node = named(&nodes, name)?;
    node.make(&engine, Availability::ACTIVE).await?;
    output.event(&json!({"event": "activated", "node": node.name}));
    output.line(&format!(
        "node {} takes tasks: those that each node has, at once; others as they are started",
        node.name
    ));
    Ok(())
}

async fn join(context: &Context, role: NodeRole) -> Result<()> {
    let output = &context.output;
    let engine = Engine::connect().await?;
    let here = manager(&engine).await?;
    let (token, address) = node::join_token(&engine, &here, role == NodeRole::Manager).await?;
    let command = format!("docker swarm join --token {token} {address}");
    output.event(&json!({"event": "join", "command": command}));
    output.line(&command);
    output.note(
        "run it as root on the machine that joins, with Docker 25 or newer; who has the token may join: \
         `docker swarm join-token --rotate` makes another",
    );
    Ok(())
}

/// The id of the node that the engine is, whichever stack the file describes.
async fn manager(engine: &Engine) -> Result<String> {
    if swarm::is_manager(engine).await? {
        return swarm::manager(engine).await;
    }
    Err(Error::failed(
        format!("the engine at {} manages no Swarm", engine.address()),
        "run this where a manager is (DOCKER_HOST); `docker swarm init --advertise-addr ADDRESS` makes this \
         machine one (docs/swarm.md)",
    ))
}

/// Every task of the project, with its service.
async fn tasks<'a>(engine: &Engine, stack: &'a Stack) -> Result<Vec<(&'a Service, Task)>> {
    let mut all = Vec::new();
    for service in stack.services.values() {
        let of_it = task::of_service(engine, &service.name).await?;
        all.extend(of_it.into_iter().map(|task| (service, task)));
    }
    Ok(all)
}

async fn fates(engine: &Engine, stack: &Stack, node: &Node) -> Result<Vec<(String, Fate)>> {
    let tasks = tasks(engine, stack).await?;
    let there = tasks
        .iter()
        .filter(|(_, task)| task.wanted && task.node.as_deref() == Some(&node.id));
    let mut fates: Vec<(String, Fate)> = there
        .map(|(service, task)| (ps::name(stack, service, task), fate(stack, service, node)))
        .collect();
    fates.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(fates)
}

fn fate(stack: &Stack, service: &Service, node: &Node) -> Fate {
    let mode = service.spec.mode.as_ref();
    if mode.is_some_and(|it| it.global.is_some()) {
        return Fate::Ends;
    }
    let others: Vec<String> = others(stack, service, node)
        .map(|it| it.name.clone())
        .collect();
    if others.is_empty() {
        Fate::Stays
    } else {
        Fate::Moves(others)
    }
}

/// The other nodes that may run it, by its constraints as the engine has them.
fn others<'a>(
    stack: &'a Stack,
    service: &'a Service,
    node: &'a Node,
) -> impl Iterator<Item = &'a Node> {
    let others = stack.nodes.iter().filter(|it| it.id != node.id);
    others.filter(|it| it.may_run(service.constraints()))
}

fn named<'a>(nodes: &'a [Node], wanted: &str) -> Result<&'a Node> {
    let fitting: Vec<&Node> = nodes
        .iter()
        .filter(|it| it.name == wanted || it.id == wanted)
        .collect();
    let list = |nodes: &mut dyn Iterator<Item = &str>| nodes.collect::<Vec<_>>().join(", ");
    match &fitting[..] {
        [node] => Ok(node),
        [] => Err(Error::usage(
            format!("no such node: {wanted}"),
            format!(
                "choose among {}",
                list(&mut nodes.iter().map(|it| it.name.as_str()))
            ),
        )),
        several => Err(Error::usage(
            format!("{} nodes are called {wanted}", several.len()),
            format!(
                "name one by its id: {}",
                list(&mut several.iter().map(|it| it.id.as_str()))
            ),
        )),
    }
}

/// What to know of the managers: without a majority of them nothing can be changed.
fn quorum(nodes: &[Node]) -> Option<String> {
    let managers = || nodes.iter().filter(|it| it.role != Role::Worker);
    let reachable = managers()
        .filter(|it| {
            matches!(
                it.role,
                Role::Manager {
                    reachable: true,
                    ..
                }
            )
        })
        .count();
    let (all, needed) = (managers().count(), managers().count() / 2 + 1);
    (reachable == needed && all > 1).then(|| {
        format!(
            "{reachable} of {all} managers are reachable, as many as it takes: with one fewer, nothing can be \
             changed (what runs goes on)"
        )
    })
}

fn row(stack: &Stack, tasks: &[(&Service, Task)], node: &Node) -> Row {
    let mut names: Vec<String> = tasks
        .iter()
        .filter(|(_, task)| task.runs() && task.node.as_deref() == Some(&node.id))
        .map(|(service, task)| ps::name(stack, service, task))
        .collect();
    names.sort_unstable();
    let here = |labels: &HashMap<String, String>| {
        labels.get(labels::NODE).is_some_and(|id| *id == node.id)
    };
    Row {
        name: node.name.clone(),
        id: node.id.clone(),
        role: match node.role {
            Role::Worker => "worker",
            Role::Manager { leader: true, .. } => "leader",
            Role::Manager { .. } => "manager",
        },
        ready: node.ready,
        availability: node.availability,
        engine: node.engine.clone(),
        address: node.address.clone(),
        tasks: names,
        data: data::records(stack)
            .filter(|(record, _)| here(&record.labels))
            .map(|(_, volume)| volume.to_owned())
            .collect(),
    }
}

fn cells(row: &Row, here: &str) -> Vec<table::Cell> {
    let state = match row.availability {
        _ if !row.ready => ("down".to_owned(), Tone::Bad),
        Some(Availability::ACTIVE) | None => ("ready".to_owned(), Tone::Good),
        Some(Availability::DRAIN) => ("drained".to_owned(), Tone::Notice),
        Some(other) => (other.to_string(), Tone::Notice),
    };
    let or_none = |list: &[String]| {
        if list.is_empty() {
            "-".to_owned()
        } else {
            list.join(" ")
        }
    };
    let mark = if row.id == here { " (this)" } else { "" };
    vec![
        (format!("{}{mark}", row.name), Tone::Plain),
        (row.role.to_owned(), Tone::Plain),
        state,
        (row.address.clone(), Tone::Plain),
        (row.engine.clone(), Tone::Faint),
        (or_none(&row.tasks), Tone::Plain),
        (or_none(&row.data), Tone::Plain),
    ]
}

fn sentence(task: &str, fate: &Fate, node: &str) -> String {
    match fate {
        Fate::Moves(to) => format!("{task} moves to {}", to.join(" or ")),
        Fate::Ends => {
            format!("{task} ends: each node has its own; have clients come by other nodes first")
        }
        Fate::Stays => format!("{task} can run on no other node: it is away until {node} is back"),
    }
}
