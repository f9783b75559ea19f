//! Docker's embedded DNS answers late or not at all.
//!
//! It is reached at 127.0.0.11 within each container's own network namespace, so that is where the
//! packets are stopped or led astray.

use std::time::Duration;

use async_trait::async_trait;
use engine::error::Result;

use super::Injection;
use crate::helper::{Helper, Role};
use crate::host::iptables;
use crate::load::Load;
use crate::stack::{Service, Stack};

/// How late it answers: longer than the proxy waits for one query.
const DELAY: Duration = Duration::from_secs(3);
/// Whose own questions go through to the real server: the late one's.
const UID: u32 = 5_353;

/// No answer to the proxy and to the API.
#[derive(Debug)]
pub(super) struct Silent {
    stack: Stack,
    /// Processes in whose namespaces the rule is in force.
    pids: Vec<i32>,
}

impl Silent {
    pub(super) fn new(stack: Stack) -> Self {
        Self {
            stack,
            pids: Vec::new(),
        }
    }
}

#[async_trait]
impl Injection for Silent {
    fn victim(&self) -> String {
        "proxy and api".to_owned()
    }

    async fn inject(&mut self, _: &Load) -> Result<()> {
        for service in [Service::Proxy, Service::Api] {
            for container in self.stack.service(service).await? {
                let pid = self.stack.pid(&container).await?;
                iptables(pid, "-I OUTPUT -d 127.0.0.11 -j DROP").await?;
                self.pids.push(pid);
            }
        }
        Ok(())
    }

    async fn heal(&mut self) -> Result<()> {
        for pid in self.pids.drain(..) {
            iptables(pid, "-D OUTPUT -d 127.0.0.11 -j DROP").await?;
        }
        Ok(())
    }
}

/// Answers that come late, to the proxy.
#[derive(Debug)]
pub(super) struct Late {
    stack: Stack,
    /// Forwards each question after a while.
    server: Option<Helper>,
    /// The process in whose namespace the rule is in force.
    pid: Option<i32>,
}

impl Late {
    pub(super) fn new(stack: Stack) -> Self {
        Self {
            stack,
            server: None,
            pid: None,
        }
    }

    fn rule(verb: &str) -> String {
        format!(
            "-t nat {verb} OUTPUT -d 127.0.0.11 -p udp --dport 53 -m owner ! --uid-owner {UID} \
             -j REDIRECT --to-ports {UID}"
        )
    }
}

#[async_trait]
impl Injection for Late {
    fn victim(&self) -> String {
        "proxy".to_owned()
    }

    async fn prepare(&mut self) -> Result<()> {
        let proxy = self.stack.victim(Service::Proxy, 0).await?;
        let role = Role::LateDns {
            network_of: proxy.id,
            uid: UID,
            delay: DELAY,
        };
        self.server = Some(Helper::start(&self.stack, role).await?);
        Ok(())
    }

    async fn inject(&mut self, _: &Load) -> Result<()> {
        let proxy = self.stack.victim(Service::Proxy, 0).await?;
        let pid = self.stack.pid(&proxy).await?;
        iptables(pid, &Self::rule("-I")).await?;
        self.pid = Some(pid);
        Ok(())
    }

    async fn heal(&mut self) -> Result<()> {
        match self.pid.take() {
            Some(pid) => iptables(pid, &Self::rule("-D")).await,
            None => Ok(()),
        }
    }

    async fn restore(&mut self) -> Result<()> {
        match self.server.take() {
            Some(server) => server.remove(&self.stack).await,
            None => Ok(()),
        }
    }
}
