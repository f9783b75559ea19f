//! A container's process ends: killed, stopped or restarted.

use std::time::Duration;

use async_trait::async_trait;
use engine::error::{EngineContext, Error, Result};
use engine::state::Container;
use rustix::process::{Pid, Signal, kill_process};

use super::Injection;
use crate::load::Load;
use crate::stack::{Service, Stack};

/// Longer than any container's grace.
const STOP: Duration = Duration::from_secs(60);

/// SIGKILL from outside the container.
///
/// Not `docker kill`: to the engine that is a wish of the user's, after which the restart policy
/// rests. Here the process just dies, as of a bug or of the kernel's OOM killer, and starting it
/// again is the engine's own business.
#[derive(Debug)]
pub(super) struct Kill {
    stack: Stack,
    victim: Container,
}

impl Kill {
    pub(super) async fn new(stack: Stack, service: Service, pick: u64) -> Result<Self> {
        let victim = stack.victim(service, pick).await?;
        Ok(Self { stack, victim })
    }
}

#[async_trait]
impl Injection for Kill {
    fn victim(&self) -> String {
        self.victim.name.clone()
    }

    fn lasts(&self) -> bool {
        false
    }

    async fn inject(&mut self, _: &Load) -> Result<()> {
        let pid = self.stack.pid(&self.victim).await?;
        let killed = match Pid::from_raw(pid) {
            Some(pid) => kill_process(pid, Signal::KILL).map_err(|error| error.to_string()),
            None => Err("there is no such process".to_owned()),
        };
        killed.map_err(|error| {
            Error::failed(
                format!(
                    "could not kill process {pid} of {}: {error}",
                    self.victim.name
                ),
                "run the suite as root, on the engine's host",
            )
        })
    }
}

/// `docker stop`, and `docker start` at the end.
#[derive(Debug)]
pub(super) struct Stop {
    stack: Stack,
    victim: Container,
}

impl Stop {
    pub(super) async fn new(stack: Stack, service: Service, pick: u64) -> Result<Self> {
        let victim = stack.victim(service, pick).await?;
        Ok(Self { stack, victim })
    }
}

#[async_trait]
impl Injection for Stop {
    fn victim(&self) -> String {
        self.victim.name.clone()
    }

    async fn inject(&mut self, _: &Load) -> Result<()> {
        stop(&self.stack, &self.victim).await
    }

    async fn heal(&mut self) -> Result<()> {
        start(&self.stack, &self.victim).await
    }
}

/// `docker restart`: over when the engine has started it again.
#[derive(Debug)]
pub(super) struct Restart {
    stack: Stack,
    victim: Container,
}

impl Restart {
    pub(super) async fn new(stack: Stack, service: Service, pick: u64) -> Result<Self> {
        let victim = stack.victim(service, pick).await?;
        Ok(Self { stack, victim })
    }
}

#[async_trait]
impl Injection for Restart {
    fn victim(&self) -> String {
        self.victim.name.clone()
    }

    fn lasts(&self) -> bool {
        false
    }

    async fn inject(&mut self, _: &Load) -> Result<()> {
        self.stack
            .engine()
            .restart_container(&self.victim.id)
            .await
            .doing(|| format!("restart {}", self.victim.name))
    }
}

/// Stops a container as its `stop_grace_period` says.
pub(super) async fn stop(stack: &Stack, container: &Container) -> Result<()> {
    stack
        .engine()
        .stop_container(&container.id, STOP)
        .await
        .doing(|| format!("stop {}", container.name))
}

/// Starts it; one that runs already is left as it is.
pub(super) async fn start(stack: &Stack, container: &Container) -> Result<()> {
    stack
        .engine()
        .start_container(&container.id)
        .await
        .doing(|| format!("start {}", container.name))
}
