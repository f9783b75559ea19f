//! The three machines of the bed: containers, each with an engine that is a manager of one Swarm.

use std::env;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use engine::error::{Error, Result};
use tokio::process::Command;
use tokio::time::timeout;

use super::registry::Registry;
use crate::database::Database;
use crate::host;
use crate::load::carrier::Published;

/// What the stack is described by.
const FILES: [&str; 3] = [
    "compose.yaml",
    "compose.swarm.yaml",
    "compose.swarm-replica-set.yaml",
];
/// Of its own: what the checkout records of its user's stack stays as it is.
const PROJECT: &str = "causeway-nodes";
/// Of the stack on a node.
const PLAIN: u16 = 8080;
const TLS: u16 = 8443;
/// Longest wait for an engine that may be gone.
const PATIENCE: Duration = Duration::from_secs(15);

/// The bed.
pub(super) struct Machines {
    /// With each machine's socket.
    folder: PathBuf,
    /// The engine that they are containers of.
    around: String,
    deploy: PathBuf,
    /// All of them.
    pub(super) nodes: Vec<Node>,
    /// Where they get their images; none where each has them already.
    registry: Option<Registry>,
}

/// A machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) address: IpAddr,
}

impl Node {
    /// Where clients reach the stack on it.
    pub(super) fn published(&self) -> Published {
        Published {
            plain: SocketAddr::new(self.address, PLAIN),
            tls: SocketAddr::new(self.address, TLS),
        }
    }

    fn container(&self) -> String {
        format!("bed-{}", self.name)
    }
}

impl Machines {
    /// Those that `scripts/swarm-bed.sh` tells of.
    pub(super) fn of_bed(deploy: &Path) -> Result<Self> {
        let addresses = variable("BED_NODES")?;
        let nodes = addresses.split_whitespace().zip(1..);
        let nodes: Vec<Node> = nodes
            .filter_map(|(address, number)| {
                let address = address.parse().ok()?;
                let name = format!("n{number}");
                Some(Node { name, address })
            })
            .collect();
        if nodes.len() < 3 {
            return Err(Error::usage(
                format!("BED_NODES={addresses}: expected the addresses of three machines"),
                "`make chaos CHAOS=--nodes` makes them",
            ));
        }
        Ok(Self {
            folder: variable("BED")?.into(),
            around: variable("BED_AROUND")?,
            deploy: deploy.to_owned(),
            nodes,
            registry: None,
        })
    }

    /// From now on, `deploy` brings the images to the nodes through a registry on this host.
    pub(super) async fn with_registry(self) -> Result<Self> {
        let host = variable("BED_HOST")?;
        let host = host.parse().map_err(|_| {
            Error::usage(
                format!("BED_HOST={host}: expected the address of this host on the nodes' network"),
                "`make chaos CHAOS=--nodes` sets it",
            )
        })?;
        let registry = Some(Registry::start(host, &self.folder).await?);
        Ok(Self { registry, ..self })
    }

    /// That one.
    pub(super) fn registry(&self) -> Result<&Registry> {
        self.registry.as_ref().ok_or_else(nobody)
    }

    fn socket(&self, node: &Node) -> String {
        format!(
            "unix://{}",
            self.folder.join(&node.name).join("docker.sock").display()
        )
    }

    /// What `docker` prints, of a node's engine.
    pub(super) async fn docker(&self, node: &Node, arguments: &[&str]) -> Result<String> {
        docker(&self.socket(node), arguments).await
    }

    async fn around(&self, arguments: &[&str]) -> Result<String> {
        docker(&self.around, arguments).await
    }

    /// The others become managers, too: one of three may be lost.
    pub(super) async fn promote(&self) -> Result<()> {
        let mut arguments = vec!["node", "promote"];
        let (first, others) = self.nodes.split_first().ok_or_else(nobody)?;
        arguments.extend(others.iter().map(|it| it.name.as_str()));
        self.docker(first, &arguments).await.map(drop)
    }

    /// One that answers for the Swarm, and the lines of `docker node ls` by it: name, status, availability,
    /// what it is among managers.
    pub(super) async fn manager(&self) -> Result<(&Node, Vec<Vec<String>>)> {
        let format = "{{.Hostname}} {{.Status}} {{.Availability}} {{.ManagerStatus}}";
        let mut last = nobody();
        for node in &self.nodes {
            match self.docker(node, &["node", "ls", "--format", format]).await {
                Ok(listed) => {
                    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect();
                    return Ok((node, listed.lines().map(words).collect()));
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// The manager that the others follow.
    pub(super) async fn leader(&self) -> Result<&Node> {
        let (_, listed) = self.manager().await?;
        let mut lines = listed.iter();
        let leader = lines.find(|it| it.last().is_some_and(|it| it == "Leader"));
        let name = leader.and_then(|it| it.first());
        let mut nodes = self.nodes.iter();
        nodes.find(|it| Some(&it.name) == name).ok_or_else(nobody)
    }

    /// Runs `deploy` for the stack, through a manager that answers.
    pub(super) async fn deploy(
        &self,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Result<()> {
        let (manager, _) = self.manager().await?;
        let mut command = Command::new(&self.deploy);
        command
            .args(["--project", PROJECT])
            .args(FILES.iter().flat_map(|file| ["-f", file]))
            .args(arguments)
            .env("DOCKER_HOST", self.socket(manager))
            .envs(environment.iter().copied())
            .envs(
                self.registry
                    .as_ref()
                    .map(|it| ("CAUSEWAY_REGISTRY", it.address.to_string())),
            )
            .stdin(Stdio::null())
            .process_group(0)
            .kill_on_drop(true);
        let status = command.status().await.map_err(|error| {
            Error::failed(
                format!("could not run {}: {error}", self.deploy.display()),
                "build it with `make tool`, or name it with --deploy",
            )
        })?;
        if status.success() {
            return Ok(());
        }
        Err(Error::failed(
            format!("`deploy {}` ended with {status}", arguments.join(" ")),
            "its message is above",
        ))
    }

    /// Takes its power away.
    pub(super) async fn kill(&self, node: &Node) -> Result<()> {
        self.around(&["kill", &node.container()]).await.map(drop)
    }

    /// Gives it back.
    pub(super) async fn start(&self, node: &Node) -> Result<()> {
        self.around(&["start", &node.container()]).await.map(drop)
    }

    /// Drops packets between it and `peers`, both ways; `-A` begins, `-D` ends.
    pub(super) async fn filter(&self, node: &Node, peers: &[&Node], change: &str) -> Result<()> {
        let pid = self.pid(node).await?;
        for peer in peers {
            for (chain, side) in [("INPUT", "-s"), ("OUTPUT", "-d")] {
                let rule = format!("{change} {chain} {side} {} -j DROP", peer.address);
                host::iptables(pid, &rule).await?;
            }
        }
        Ok(())
    }

    /// The machine's first process.
    async fn pid(&self, node: &Node) -> Result<i32> {
        let format = "{{.State.Pid}}";
        let pid = self
            .around(&["inspect", "--format", format, &node.container()])
            .await?;
        pid.trim().parse().map_err(|_| nobody())
    }

    /// The container of the node's member of the set.
    pub(super) async fn member(&self, node: &Node) -> Result<String> {
        let filter = format!("name={PROJECT}_mongo");
        let listed = self
            .docker(node, &["ps", "--quiet", "--filter", &filter])
            .await?;
        let member = listed.lines().next().map(str::to_owned);
        member.ok_or_else(|| {
            Error::failed(
                format!("no member of the database runs on {}", node.name),
                "see `deploy ps`",
            )
        })
    }

    /// The server on that node.
    async fn database(&self, node: &Node, password: &Path) -> Result<Database> {
        let container = self.member(node).await?;
        let format = "{{.State.Pid}}";
        let inner = self
            .docker(node, &["inspect", "--format", format, &container])
            .await?;
        // As the machine itself numbers it.
        let outer = self.pid(node).await?;
        let process = format!("/proc/{outer}/root/proc/{}", inner.trim());
        Database::at(Path::new(&process), password).await
    }

    /// The member that takes writes, and where it is.
    pub(super) async fn primary(&self, password: &Path) -> Result<(&Node, Database)> {
        for node in &self.nodes {
            if let Ok(database) = self.database(node, password).await
                && database.is_primary().await
            {
                return Ok((node, database));
            }
        }
        Err(Error::failed(
            "no member of the database is the primary",
            "see `deploy ps` and `deploy logs mongo`",
        ))
    }

    /// What isn't yet as it was: nodes, tasks, members.
    pub(super) async fn missing(&self, password: &Path) -> Result<Option<String>> {
        let (manager, listed) = self.manager().await?;
        let ready = |it: &&Vec<String>| it.get(1..3) == Some(&["Ready".into(), "Active".into()]);
        if listed.iter().filter(ready).count() < self.nodes.len() {
            return Ok(Some("a node isn't ready".to_owned()));
        }
        let format = "{{.Name}} {{.Replicas}}";
        let services = self
            .docker(manager, &["service", "ls", "--format", format])
            .await?;
        for line in services.lines() {
            let count = line.split_whitespace().nth(1).unwrap_or_default();
            if count
                .split_once('/')
                .is_none_or(|(there, wanted)| there != wanted)
            {
                return Ok(Some(line.to_owned()));
            }
        }
        let (_, database) = self.primary(password).await?;
        let serving = database.serving().await?;
        let few = serving < self.nodes.len();
        Ok(few.then(|| format!("{serving} members serve")))
    }
}

fn variable(name: &str) -> Result<String> {
    env::var(name).map_err(|_| {
        Error::usage(
            format!("{name} isn't set: the nodes are those of a bed"),
            "`make chaos CHAOS=--nodes` makes one",
        )
    })
}

async fn docker(host: &str, arguments: &[&str]) -> Result<String> {
    let arguments = ["--host", host]
        .into_iter()
        .chain(arguments.iter().copied());
    let run = timeout(PATIENCE, host::run("docker", arguments)).await;
    run.unwrap_or_else(|_| {
        Err(Error::failed(
            format!("the engine at {host} doesn't answer"),
            "run the suite again",
        ))
    })
}

fn nobody() -> Error {
    Error::failed(
        "no manager of the bed answers",
        "run the suite again; `--only` with the other faults leaves this one out",
    )
}
