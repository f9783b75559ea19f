//! The stack under test, as the engine sees it.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use engine::Engine;
use engine::api::{ContainerInspectResponse, LogOptions};
use engine::error::{EngineContext, Error, Result};
use engine::state::{Container, Health, State, Status};
use futures_util::StreamExt as _;
use tokio::time::{Instant, sleep};

use crate::database::Database;
use crate::load::carrier::Published;

/// The network that the database is on.
pub(crate) const PRIVATE: &str = "private-net-1";
/// The network that the proxy reaches the API through.
pub(crate) const PUBLIC: &str = "public-net-1";

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(250);

/// A service of the stack, by its name in compose.yaml.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    /// The database.
    Mongo,
    /// The request recorder.
    Api,
    /// The reverse proxy.
    Proxy,
    /// What holds the listening sockets.
    Listener,
    /// What shows recorded requests.
    Console,
}

impl Service {
    /// Its name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Mongo => "mongo",
            Self::Api => "api",
            Self::Proxy => "proxy",
            Self::Listener => "listener",
            Self::Console => "console",
        }
    }
}

/// A project on an engine.
#[derive(Debug, Clone)]
pub(crate) struct Stack {
    engine: Engine,
    /// Its name.
    pub(crate) project: String,
    /// File with the database's root password.
    pub(crate) mongo_password_file: PathBuf,
}

impl Stack {
    /// The project of that name.
    pub(crate) fn new(engine: Engine, project: String, mongo_password_file: PathBuf) -> Self {
        Self {
            engine,
            project,
            mongo_password_file,
        }
    }

    /// The engine.
    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Every container of the project.
    pub(crate) async fn containers(&self) -> Result<Vec<Container>> {
        Ok(State::observe(&self.engine, &self.project)
            .await?
            .containers)
    }

    /// The containers of one service.
    pub(crate) async fn service(&self, service: Service) -> Result<Vec<Container>> {
        let mut containers = self.containers().await?;
        containers.retain(|container| container.service == service.name());
        Ok(containers)
    }

    /// One of the service's containers; `pick` says which.
    pub(crate) async fn victim(&self, service: Service, pick: u64) -> Result<Container> {
        let mut containers = self.service(service).await?;
        let index = pick.checked_rem(containers.len() as u64);
        let index = index.and_then(|index| usize::try_from(index).ok());
        index
            .map(|index| containers.swap_remove(index))
            .ok_or_else(|| {
                Error::failed(
                    format!(
                        "project {:?} has no container of service {:?}",
                        self.project,
                        service.name()
                    ),
                    "bring the stack up first (`make deploy`), or leave --project away",
                )
            })
    }

    /// All that the engine knows of a container.
    pub(crate) async fn inspect(&self, id: &str) -> Result<ContainerInspectResponse> {
        self.engine()
            .inspect_container(id)
            .await
            .doing(|| format!("inspect container {id}"))
    }

    /// The container's first process, as the engine's host numbers it.
    pub(crate) async fn pid(&self, container: &Container) -> Result<i32> {
        let state = self.inspect(&container.id).await?.state.unwrap_or_default();
        state
            .pid
            .and_then(|pid| i32::try_from(pid).ok())
            .filter(|pid| *pid > 0)
            .ok_or_else(|| {
                Error::failed(
                    format!("{} has no process", container.name),
                    "see `deploy ps` for what became of it",
                )
            })
    }

    /// Waits until the container has logged a line with all of `texts` after `since`; whether it
    /// did within `limit`.
    pub(crate) async fn says(
        &self,
        container: &Container,
        texts: &[&str],
        since: SystemTime,
        limit: Duration,
    ) -> Result<bool> {
        let since = since.duration_since(UNIX_EPOCH).unwrap_or_default();
        let part = LogOptions {
            since: i32::try_from(since.as_secs()).unwrap_or(i32::MAX),
            ..LogOptions::default()
        };
        let deadline = Instant::now() + limit;
        loop {
            let mut lines = self.engine().logs(&container.id, part);
            while let Some(line) = lines.next().await {
                let line = line.doing(|| format!("read the log of {}", container.name))?;
                let line = line.to_string();
                if texts.iter().all(|text| line.contains(text)) {
                    return Ok(true);
                }
            }
            if Instant::now() >= deadline {
                return Ok(false);
            }
            sleep(PAUSE).await;
        }
    }

    /// The database, as the process that it is at this moment.
    pub(crate) async fn database(&self) -> Result<Database> {
        let container = self.victim(Service::Mongo, 0).await?;
        let pid = self.pid(&container).await?;
        Database::of(pid, &self.mongo_password_file).await
    }

    /// The address of the service's container on a network.
    pub(crate) async fn address(&self, service: Service, network: &str) -> Result<IpAddr> {
        let container = self.victim(service, 0).await?;
        let settings = self
            .inspect(&container.id)
            .await?
            .network_settings
            .unwrap_or_default();
        let endpoints = settings.networks.unwrap_or_default();
        let address: Option<IpAddr> = endpoints
            .get(network)
            .and_then(|endpoint| endpoint.ip_address.as_deref()?.parse().ok());
        address.ok_or_else(|| {
            Error::failed(
                format!("{} has no address on {network}", container.name),
                "see `deploy inspect`",
            )
        })
    }

    /// Where clients reach the stack.
    pub(crate) async fn published(&self) -> Result<Published> {
        let listener = self.victim(Service::Listener, 0).await?;
        let settings = self.inspect(&listener.id).await?.network_settings;
        let ports = settings.and_then(|it| it.ports).unwrap_or_default();
        let address = |port: &str| {
            let bindings = ports.get(port).into_iter().flatten().flatten();
            let mut published = bindings.filter_map(|it| it.host_port.as_ref()?.parse().ok());
            let published = published.next().ok_or_else(|| {
                Error::failed(
                    format!("{} doesn't publish its port {port}", listener.name),
                    "bring the stack up first (`make deploy`), or leave --project away",
                )
            });
            published.map(|port| SocketAddr::from(([127, 0, 0, 1], port)))
        };
        Ok(Published {
            plain: address("80/tcp")?,
            tls: address("443/tcp")?,
        })
    }

    /// What isn't running, or isn't healthy.
    pub(crate) async fn unwell(&self) -> Result<Vec<String>> {
        let containers = self.containers().await?;
        Ok(containers
            .iter()
            .filter_map(|container| match (container.status, container.health) {
                (Status::Running, None | Some(Health::Healthy)) => None,
                (Status::Running, Some(health)) => {
                    Some(format!("{} is {health:?}", container.name))
                }
                (status, _) => Some(format!("{} is {status:?}", container.name)),
            })
            .collect())
    }

    /// Waits until all is running and healthy; returns what still isn't after `limit`.
    pub(crate) async fn settle(&self, limit: Duration) -> Result<Vec<String>> {
        let deadline = Instant::now() + limit;
        loop {
            let unwell = self.unwell().await?;
            if unwell.is_empty() || Instant::now() >= deadline {
                return Ok(unwell);
            }
            sleep(PAUSE).await;
        }
    }
}
