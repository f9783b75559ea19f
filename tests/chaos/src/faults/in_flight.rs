//! An API replica is killed while it has sent batches to the database and has no answer yet.
//!
//! Killed at any odd moment, a replica has few requests in flight, perhaps none. Here the database is
//! frozen first, so that there are hundreds: what the dead replica had sent is still carried out
//! afterwards, and so is what the proxy sends again to the other one.

use std::time::Duration;

use async_trait::async_trait;
use engine::error::Result;
use tokio::time::sleep;

use super::Injection;
use super::pause::Pause;
use super::process::Kill;
use crate::load::Load;
use crate::stack::{Service, Stack};

/// For requests to gather before the kill, and again before the database goes on.
const GATHER: Duration = Duration::from_millis(700);

/// Freeze, kill, thaw.
#[derive(Debug)]
pub(super) struct KillInFlight {
    freeze: Pause,
    kill: Kill,
}

impl KillInFlight {
    pub(super) async fn new(stack: Stack, pick: u64) -> Result<Self> {
        Ok(Self {
            freeze: Pause::new(stack.clone(), Service::Mongo, pick).await?,
            kill: Kill::new(stack, Service::Api, pick).await?,
        })
    }
}

#[async_trait]
impl Injection for KillInFlight {
    fn victim(&self) -> String {
        self.kill.victim()
    }

    fn lasts(&self) -> bool {
        false
    }

    async fn inject(&mut self, load: &Load) -> Result<()> {
        self.freeze.inject(load).await?;
        sleep(GATHER).await;
        self.kill.inject(load).await?;
        sleep(GATHER).await;
        self.freeze.heal().await
    }

    async fn heal(&mut self) -> Result<()> {
        self.freeze.heal().await
    }
}
