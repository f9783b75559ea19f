//! A container reaches its memory limit: the kernel ends its process.

use async_trait::async_trait;
use engine::api::ContainerUpdateBody;
use engine::error::{EngineContext, Error, Result};
use engine::state::Container;

use super::Injection;
use crate::load::Load;
use crate::memory;
use crate::stack::{Service, Stack};

/// What the container may use beyond what it uses already: the first of these that the kernel
/// accepts, which sets no limit below what it can't take away.
const ROOMS: [i64; 4] = [4 << 20, 8 << 20, 16 << 20, 32 << 20];
/// Clients that send large bodies at the same time.
const SENDERS: usize = 24;
/// Just below the largest body that is accepted, 1 MiB.
const LENGTH: usize = (1 << 20) - 1_024;

/// The limit comes down to just above what is used, and bodies of nearly 1 MiB come in.
#[derive(Debug)]
pub(super) struct Limit {
    stack: Stack,
    victim: Container,
    /// The limits to go back to, memory alone and with swap.
    before: Option<(i64, i64)>,
}

impl Limit {
    pub(super) async fn new(stack: Stack, service: Service, pick: u64) -> Result<Self> {
        let victim = stack.victim(service, pick).await?;
        Ok(Self {
            stack,
            victim,
            before: None,
        })
    }

    async fn set(&self, memory: i64, with_swap: i64) -> Result<()> {
        let limits = ContainerUpdateBody {
            memory: Some(memory),
            memory_swap: Some(with_swap),
            ..ContainerUpdateBody::default()
        };
        self.stack
            .engine()
            .update_container(&self.victim.id, limits)
            .await
            .doing(|| format!("set the memory limit of {}", self.victim.name))
    }
}

#[async_trait]
impl Injection for Limit {
    fn victim(&self) -> String {
        self.victim.name.clone()
    }

    async fn inject(&mut self, load: &Load) -> Result<()> {
        let settings = self
            .stack
            .inspect(&self.victim.id)
            .await?
            .host_config
            .unwrap_or_default();
        let used = memory::levels(&self.stack).await?;
        let used = used.get(&self.victim.name).copied().unwrap_or_default();
        let used = i64::try_from(used).map_err(|_| {
            Error::failed(
                format!("{} uses {used} bytes of memory", self.victim.name),
                "see `docker stats`",
            )
        })?;
        self.before = Some((
            settings.memory.unwrap_or_default(),
            settings.memory_swap.unwrap_or_default(),
        ));
        let mut limited = Ok(());
        for room in ROOMS {
            limited = self.set(used + room, used + room).await;
            if limited.is_ok() {
                break;
            }
        }
        load.add_large(SENDERS, LENGTH);
        limited
    }

    async fn heal(&mut self) -> Result<()> {
        match self.before.take() {
            Some((memory, with_swap)) => self.set(memory, with_swap).await,
            None => Ok(()),
        }
    }
}
