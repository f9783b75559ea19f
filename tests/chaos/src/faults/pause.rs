//! A container's processes are frozen: its connections stay, and nobody answers on them.

use async_trait::async_trait;
use engine::error::{EngineContext, Result};
use engine::state::Container;

use super::Injection;
use crate::load::Load;
use crate::stack::{Service, Stack};

/// `docker pause`, and `docker unpause` at the end.
#[derive(Debug)]
pub(crate) struct Pause {
    stack: Stack,
    victim: Container,
    paused: bool,
}

impl Pause {
    pub(crate) async fn new(stack: Stack, service: Service, pick: u64) -> Result<Self> {
        let victim = stack.victim(service, pick).await?;
        Ok(Self {
            stack,
            victim,
            paused: false,
        })
    }
}

#[async_trait]
impl Injection for Pause {
    fn victim(&self) -> String {
        self.victim.name.clone()
    }

    async fn inject(&mut self, _: &Load) -> Result<()> {
        let engine = self.stack.engine();
        let paused = engine.pause_container(&self.victim.id).await;
        paused.doing(|| format!("pause {}", self.victim.name))?;
        self.paused = true;
        Ok(())
    }

    async fn heal(&mut self) -> Result<()> {
        if !std::mem::take(&mut self.paused) {
            return Ok(());
        }
        let engine = self.stack.engine();
        let unpaused = engine.unpause_container(&self.victim.id).await;
        unpaused.doing(|| format!("unpause {}", self.victim.name))
    }
}
