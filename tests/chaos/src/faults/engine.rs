//! The Docker engine itself stops, with every container, and starts again.

use async_trait::async_trait;
use engine::error::Result;

use super::Injection;
use crate::host::run;
use crate::load::Load;

/// Starts and stops an engine where there is no init system.
const SCRIPT: &str = "scripts/engine.sh";

/// SIGTERM to dockerd, then a new dockerd.
#[derive(Debug)]
pub(super) struct Restart;

#[async_trait]
impl Injection for Restart {
    fn victim(&self) -> String {
        "the engine".to_owned()
    }

    async fn inject(&mut self, _: &Load) -> Result<()> {
        run(SCRIPT, ["stop"]).await.map(drop)
    }

    async fn heal(&mut self) -> Result<()> {
        run(SCRIPT, [""; 0]).await.map(drop)
    }
}
