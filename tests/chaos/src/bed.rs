//! The stack that is tested: a project of the suite's own, brought up and taken down by `deploy`, or
//! one that is there.

use engine::error::{Error, Result};
use engine::owner::Kind;
use engine::state::State;
use tokio_util::sync::CancellationToken;

use crate::faults::edge;
use crate::helper;
use crate::round::interrupted;
use crate::stack::{PRIVATE, PUBLIC, Stack};
use crate::tool::Tool;

/// The project of the suite's own.
pub(crate) const OWN: &str = "causeway-chaos";

/// A stack, and whether it is ours to remove.
#[derive(Debug)]
pub(crate) struct Bed {
    /// The stack.
    pub(crate) stack: Stack,
    /// The `deploy` command, where the suite brings the stack up itself.
    tool: Option<Tool>,
}

impl Bed {
    /// A stack that somebody else brought up; it stays.
    pub(crate) async fn existing(stack: Stack) -> Result<Self> {
        helper::remove_all(&stack).await?;
        Ok(Self { stack, tool: None })
    }

    /// Brings up a stack of the suite's own, with so many `replicas` of the API. Whatever an earlier run left of it goes first.
    pub(crate) async fn own(
        stack: Stack,
        tool: Tool,
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
            tool: Some(tool.clone()),
        };
        edge::prepare(&tool)?;
        let up = async {
            bed.down().await?;
            tool.run(&["up", "--no-verify"]).await?;
            tool.run(&["scale", &format!("api={replicas}")]).await
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
        match &self.tool {
            Some(tool) => tool.run(&["down", "--volumes"]).await,
            None => Ok(()),
        }
    }
}
