//! The stack that is tested: a project of the suite's own, brought up and taken down by `deploy`, or
//! one that is there.

use std::path::PathBuf;
use std::process::Stdio;

use engine::error::{Error, Result};
use engine::owner::Kind;
use engine::state::State;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use crate::helper;
use crate::round::interrupted;
use crate::stack::{PRIVATE, PUBLIC, Stack};

/// The project of the suite's own.
pub(crate) const OWN: &str = "causeway-chaos";

/// A stack, and whether it is ours to remove.
#[derive(Debug)]
pub(crate) struct Bed {
    /// The stack.
    pub(crate) stack: Stack,
    /// The `deploy` command, where the suite brings the stack up itself.
    tool: Option<PathBuf>,
    /// The port that it publishes; the next one is that with TLS.
    port: u16,
}

impl Bed {
    /// A stack that somebody else brought up; it stays.
    pub(crate) async fn existing(stack: Stack) -> Result<Self> {
        helper::remove_all(&stack).await?;
        Ok(Self {
            stack,
            tool: None,
            port: 0,
        })
    }

    /// Brings up a stack of the suite's own, with so many `replicas` of the API. Whatever an earlier run left of it goes first.
    pub(crate) async fn own(
        stack: Stack,
        tool: PathBuf,
        port: u16,
        replicas: u8,
        interrupt: &CancellationToken,
    ) -> Result<Self> {
        let foreign = State::observe(stack.engine(), &stack.project)
            .await?
            .foreign;
        for network in [PUBLIC, PRIVATE] {
            if let Some(owner) = foreign.networks.get(network) {
                return Err(Error::failed(
                    format!(
                        "network {network} is there already and belongs to {owner}: the suite needs \
                         that name for a stack of its own"
                    ),
                    format!(
                        "{} takes it away; or test that stack as it is: \
                         make chaos CHAOS='--project NAME'",
                        owner.removal(Kind::Network, network)
                    ),
                ));
            }
        }
        let bed = Self {
            stack,
            tool: Some(tool),
            port,
        };
        let up = async {
            bed.down().await?;
            bed.deploy(&["up", "--no-verify"]).await?;
            bed.deploy(&["scale", &format!("api={replicas}")]).await
        };
        let came_up = interrupt.run_until_cancelled(up).await;
        match came_up.unwrap_or_else(|| Err(interrupted())) {
            Ok(()) => Ok(bed),
            Err(error) => {
                bed.down().await?;
                Err(error)
            }
        }
    }

    /// Removes what the suite has put there.
    pub(crate) async fn down(&self) -> Result<()> {
        helper::remove_all(&self.stack).await?;
        if self.tool.is_some() {
            self.deploy(&["down", "--volumes"]).await?;
        }
        Ok(())
    }

    /// Runs `deploy`. In a process group of its own: a Ctrl-C is for this process, which then takes
    /// the stack down.
    async fn deploy(&self, arguments: &[&str]) -> Result<()> {
        let Some(tool) = &self.tool else {
            return Ok(());
        };
        let mut command = Command::new(tool);
        command
            .args(["--project", &self.stack.project])
            .args(arguments)
            .env("CAUSEWAY_BIND", "127.0.0.1")
            .env("CAUSEWAY_PORT", self.port.to_string())
            .env("CAUSEWAY_TLS_PORT", self.port.wrapping_add(1).to_string())
            .stdin(Stdio::null())
            .process_group(0)
            .kill_on_drop(true);
        let status = command.status().await.map_err(|error| {
            Error::failed(
                format!("could not run {}: {error}", tool.display()),
                "build it with `make tool`, or name it with --deploy",
            )
        })?;
        if status.success() {
            return Ok(());
        }
        Err(Error::failed(
            format!(
                "`deploy {}` ended with {status}; its message is above",
                arguments.join(" ")
            ),
            "do what that message says, and run the suite again",
        ))
    }
}
