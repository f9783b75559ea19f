//! What the run was made on: figures mean little without it.

use std::fmt;
use std::thread::available_parallelism;

use engine::Engine;
use engine::error::{EngineContext, Result};
use serde::Serialize;

/// Facts about the engine's host.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Machine {
    /// CPUs that this process may use.
    pub(crate) cpus: usize,
    /// Memory of the engine's host, in MiB.
    pub(crate) memory_mib: i64,
    /// Its kernel.
    pub(crate) kernel: String,
    /// Its architecture.
    pub(crate) architecture: String,
    /// Version of the Docker engine.
    pub(crate) engine: String,
    /// Where the engine keeps layers and volumes.
    pub(crate) storage: String,
}

impl Machine {
    /// Asks the engine.
    pub(crate) async fn look(engine: &Engine) -> Result<Self> {
        let info = engine.info().await;
        let info = info.doing(|| "ask about its host".to_owned())?;
        Ok(Self {
            cpus: available_parallelism().map_or(1, Into::into),
            memory_mib: info.mem_total.unwrap_or_default() >> 20,
            kernel: info.kernel_version.unwrap_or_default(),
            architecture: info.architecture.unwrap_or_default(),
            engine: info.server_version.unwrap_or_default(),
            storage: info.driver.unwrap_or_default(),
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} CPUs, {} MiB of memory, Linux {} ({}), Docker {} on {}. Where there is no registry, \
             mongod runs under emulation (`containers/base/README.md`) and takes several times as long to start.",
            self.cpus, self.memory_mib, self.kernel, self.architecture, self.engine, self.storage,
        )
    }
}
