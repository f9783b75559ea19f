//! Asks on the nodes of a Swarm, of which only the managers' engine can be spoken to: no container there
//! can be joined. So tasks of our own stand in for others, on the same networks and nodes, for as long as
//! a look takes.
//!
//! Each set of networks is one service, which has a task on every node. A task is the probe: it answers,
//! into its log, and ends. The managers pass the logs on. A probe bounds itself, and the engine doesn't
//! start it again. What is left by a process that was killed is a service whose tasks have ended; the next
//! look removes it, and so does `deploy down`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

use engine::api::{
    EndpointSpec, EndpointSpecModeEnum, Limit, LogOutput, NetworkAttachmentConfig, ServiceSpec,
    ServiceSpecMode, TaskSpec, TaskSpecContainerSpec, TaskSpecContainerSpecDnsConfig,
    TaskSpecContainerSpecPrivileges, TaskSpecLogDriver, TaskSpecPlacement, TaskSpecResources,
    TaskSpecRestartPolicy, TaskSpecRestartPolicyConditionEnum, TaskState,
};
use engine::error::{EngineContext, Error, Result};
use engine::swarm::node::Node;
use engine::swarm::stack::{Service, remove_service};
use engine::swarm::task::{self, Task};
use engine::{Engine, labels, said};
use futures_util::future::join_all;
use rand::distr::{Alphanumeric, SampleString};

use super::image::{Image, LABEL};
use super::run::{LOOKING, arguments, questions_take};
use super::{Report, Request};

/// Which process a stand-in belongs to.
const RUN: &str = "dev.causeway.probe.run";
/// The network of the nodes themselves.
pub const HOST: &str = "host";
/// How often tasks are looked at.
const INTERVAL: Duration = Duration::from_millis(200);
/// For scheduling, starting and ending a task, beside what its questions take.
const OVERHEAD: Duration = Duration::from_secs(45);
/// A stand-in that was made so long ago has lost its parent: no look takes that long.
const ABANDONED: Duration = Duration::from_secs(180);

/// Containers on the same networks, for which a task on each node stands in.
#[derive(Debug, Clone, Default)]
pub struct StandIn {
    /// By id; [`HOST`] alone: the nodes' own.
    pub networks: Vec<String>,
    /// As the containers have it.
    pub dns: TaskSpecContainerSpecDnsConfig,
    /// Of the nodes that they may run on.
    pub constraints: Vec<String>,
    /// What each is asked.
    pub request: Request,
}

/// The answers of one stand-in, by the node's id.
pub type Answers = BTreeMap<String, Result<Report>>;

/// Asks in all of these places on all nodes at once. The answers are in the order of the questions.
///
/// # Errors
/// When the services can't be made. Each node has its own otherwise.
pub async fn ask(
    engine: &Engine,
    project: &str,
    image: &Image,
    nodes: &[Node],
    stand_ins: &[StandIn],
) -> Result<Vec<Answers>> {
    remove_abandoned(engine, project).await?;
    let mut names = Vec::new();
    let mut failed = None;
    for (number, stand_in) in stand_ins.iter().enumerate() {
        let name = format!("{project}_verify-{}-{number}", run());
        let made = match spec(&name, project, image, stand_in) {
            Ok(spec) => Service::create(engine, spec, None).await.map(drop),
            Err(error) => Err(error),
        };
        match made {
            Ok(()) => names.push(name),
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
    }
    let answers = if failed.is_none() {
        let each = stand_ins.iter().zip(&names);
        join_all(each.map(|(it, name)| answers(engine, image, nodes, it, name))).await
    } else {
        Vec::new()
    };
    let removed = join_all(names.iter().map(|it| remove_service(engine, it))).await;
    if let Some(error) = failed {
        return Err(error);
    }
    removed.into_iter().collect::<Result<()>>()?;
    answers.into_iter().collect()
}

/// This process, in a word; none before it has asked.
static WORD: OnceLock<String> = OnceLock::new();

/// Whether this process has made stand-ins, which may be there.
pub fn has_asked() -> bool {
    WORD.get().is_some()
}

fn run() -> &'static str {
    WORD.get_or_init(|| {
        let word = Alphanumeric.sample_string(&mut rand::rng(), 8);
        word.to_lowercase()
    })
}

/// The tasks' answers, as soon as all have ended.
async fn answers(
    engine: &Engine,
    image: &Image,
    nodes: &[Node],
    stand_in: &StandIn,
    name: &str,
) -> Result<Answers> {
    let mut wanted: BTreeSet<&str> = nodes
        .iter()
        .filter(|node| node.may_run(&stand_in.constraints))
        .map(|node| node.id.as_str())
        .collect();
    let deadline = Instant::now() + OVERHEAD + questions_take(&stand_in.request);
    let mut answers = Answers::new();
    while !wanted.is_empty() {
        let tasks = task::of_service(engine, name).await?;
        let ended = tasks.into_iter().filter(|it| !it.is_live());
        let ended: Vec<(String, Task)> = ended
            .filter_map(|task| Some((task.node.clone()?, task)))
            .filter(|(node, _)| wanted.remove(node.as_str()))
            .collect();
        let read = ended.iter().map(|(_, task)| answer(engine, image, task));
        let read = join_all(read).await;
        answers.extend(ended.iter().map(|(node, _)| node.clone()).zip(read));
        if Instant::now() > deadline {
            break;
        }
        if !wanted.is_empty() {
            tokio::time::sleep(INTERVAL).await;
        }
    }
    if wanted.is_empty() {
        return Ok(answers);
    }
    let tasks = task::of_service(engine, name).await?;
    for node in wanted {
        let task = tasks.iter().find(|it| it.node.as_deref() == Some(node));
        let state = task.map_or("no task".to_owned(), |task| {
            let said = task.complaint().map(|it| format!(": {it}"));
            format!("its task is {}{}", task.state, said.unwrap_or_default())
        });
        let late = Error::failed(
            format!("no answer in time; {state}"),
            "see whether the node is overloaded (`docker node ps`), and run it again",
        );
        answers.insert(node.to_owned(), Err(late));
    }
    Ok(answers)
}

async fn answer(engine: &Engine, image: &Image, task: &Task) -> Result<Report> {
    if task.state == TaskState::REJECTED || task.container.is_none() {
        let said = task.complaint().unwrap_or_else(|| task.state.to_string());
        if said::is_without_image(&said) {
            return Err(Error::failed(
                format!("it has no image {}, which looks from there", image.name()),
                format!(
                    "CAUSEWAY_NODE_SSH or CAUSEWAY_REGISTRY in .env has `deploy` bring it there (docs/swarm.md); by \
                     hand it is `docker save {} | ssh NODE docker load`",
                    image.name()
                ),
            ));
        }
        return Err(Error::failed(
            format!("the probe didn't start: {said}"),
            "run it again",
        ));
    }
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    for piece in task.log(engine).await? {
        let stream = match piece {
            LogOutput::StdErr { .. } => &mut stderr,
            _ => &mut stdout,
        };
        stream.extend_from_slice(&piece.into_bytes());
    }
    // The engine cuts long lines; a line break is no part of the document (RFC 8259 §7).
    stdout.retain(|byte| !matches!(byte, b'\n' | b'\r'));
    serde_json::from_slice(&stdout).map_err(|error| {
        let said = String::from_utf8_lossy(&stderr);
        let said = match (said.trim(), task.complaint()) {
            ("", Some(complaint)) => complaint,
            ("", None) => error.to_string(),
            (said, _) => said.to_owned(),
        };
        Error::failed(
            format!("the look gave no report: {said}"),
            "run it again; if it stays, report it with this message",
        )
    })
}

/// As little as a look needs, as for a probe that joins a container. It isn't one of the stack's services.
fn spec(name: &str, project: &str, image: &Image, stand_in: &StandIn) -> Result<ServiceSpec> {
    let request = serde_json::to_string(&stand_in.request).map_err(|error| {
        Error::failed(format!("can't write the request: {error}"), "report this")
    })?;
    let text = str::to_owned;
    let labels = HashMap::from([
        (text(LABEL), text(LOOKING)),
        (text(labels::PROJECT), text(project)),
        (text(RUN), text(run())),
    ]);
    let attached = stand_in.networks.iter().map(|id| NetworkAttachmentConfig {
        target: Some(id.clone()),
        ..NetworkAttachmentConfig::default()
    });
    let container = TaskSpecContainerSpec {
        image: Some(image.name().to_owned()),
        args: Some(arguments(&request)),
        labels: Some(labels.clone()),
        privileges: Some(TaskSpecContainerSpecPrivileges {
            no_new_privileges: Some(true),
            ..TaskSpecContainerSpecPrivileges::default()
        }),
        read_only: Some(true),
        dns_config: Some(stand_in.dns.clone()),
        capability_drop: Some(vec![text("ALL")]),
        capability_add: Some(vec![text("CAP_NET_RAW")]),
        ..TaskSpecContainerSpec::default()
    };
    Ok(ServiceSpec {
        name: Some(text(name)),
        labels: Some(labels),
        mode: Some(ServiceSpecMode {
            global: Some([].into()),
            ..ServiceSpecMode::default()
        }),
        task_template: Some(TaskSpec {
            container_spec: Some(container),
            resources: Some(TaskSpecResources {
                limits: Some(Limit {
                    memory_bytes: Some(64 * 1024 * 1024),
                    pids: Some(32),
                    ..Limit::default()
                }),
                ..TaskSpecResources::default()
            }),
            restart_policy: Some(TaskSpecRestartPolicy {
                condition: Some(TaskSpecRestartPolicyConditionEnum::NONE),
                ..TaskSpecRestartPolicy::default()
            }),
            placement: Some(TaskSpecPlacement {
                constraints: Some(stand_in.constraints.clone()),
                ..TaskSpecPlacement::default()
            }),
            networks: Some(attached.collect()),
            log_driver: Some(TaskSpecLogDriver {
                name: Some(text("json-file")),
                options: Some(HashMap::from([(text("max-size"), text("16m"))])),
            }),
            ..TaskSpec::default()
        }),
        // Without an address of the service's own, which would need IPVS.
        endpoint_spec: Some(EndpointSpec {
            mode: Some(EndpointSpecModeEnum::DNSRR),
            ..EndpointSpec::default()
        }),
        ..ServiceSpec::default()
    })
}

/// Removes what this process has made, if it is there.
///
/// # Errors
/// When the engine refuses.
pub async fn remove_own(engine: &Engine) -> Result<()> {
    remove_all(engine, &format!("{RUN}={}", run()), Duration::ZERO).await
}

/// Removes all stand-ins of a project.
///
/// # Errors
/// When the engine refuses.
pub async fn remove_of(engine: &Engine, project: &str) -> Result<()> {
    let label = format!("{}={project}", labels::PROJECT);
    remove_all(engine, &label, Duration::ZERO).await
}

async fn remove_abandoned(engine: &Engine, project: &str) -> Result<()> {
    let label = format!("{}={project}", labels::PROJECT);
    remove_all(engine, &label, ABANDONED).await
}

/// Stand-ins with this label that are older than `age`, by the clock of the engine.
async fn remove_all(engine: &Engine, label: &str, age: Duration) -> Result<()> {
    let looking = format!("{LABEL}={LOOKING}");
    let pass = [("label", label), ("label", looking.as_str())];
    let found = engine.list_services(&pass).await;
    let found = found.doing(|| "list what looks at the network".to_owned())?;
    if found.is_empty() {
        return Ok(());
    }
    let moment = |text: &str| humantime::parse_rfc3339(text).ok();
    let now = if age.is_zero() {
        None
    } else {
        let info = engine.info().await;
        let info = info.doing(|| "ask the engine for its time".to_owned())?;
        info.system_time.as_deref().and_then(moment)
    };
    let now = now.unwrap_or_else(SystemTime::now);
    for service in found {
        let made = service.created_at.as_deref().and_then(moment);
        let old = made.is_none_or(|made| now.duration_since(made).is_ok_and(|it| it > age));
        if let Some(id) = service.id.filter(|_| old || age.is_zero()) {
            remove_service(engine, &id).await?;
        }
    }
    Ok(())
}
