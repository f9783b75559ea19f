//! How much the process may hold at a time, derived from what the machine grants.
//!
//! ```text
//! three quarters of the memory granted = the process itself
//!                                      + client connections × CONNECTION_COST
//!                                      + heads and bodies
//! ```
//!
//! The last quarter is for what nobody counts: the allocator's slack, and the moment between the
//! decision that a connection has to go and its end. Each worker has its share and keeps to it
//! ([`crate::worker::ledger`]), so that the sum holds without workers asking each other.

use std::io;

use service::{grants, trace};
use thiserror::Error;
use tracing::warn;

use crate::settings::Settings;

/// How the numbers come about, for `--help`.
pub(crate) const HELP: &str = "\
Budgets: three quarters of the memory limit are divided up. 16 MiB are the process's, 6 MiB each
worker's; of the rest, connections get 8 KiB each and half of it at most, heads and bodies what is
left. Traces, where they are exported, get 5 MiB before that. Beyond that the slowest and oldest clients give way. Each connection may need two open files,
and 128 are kept for the process. The start-up log and /metrics say the numbers.
";

/// Client connections where nothing else is asked for and the machine grants as many.
const USUAL_CONNECTIONS: usize = 20_000;
/// Descriptors that are not a client's or its backend's: 64 for those who ask for metrics or health, 32
/// for clients that are turned away, and the rest for listeners, event loops, logs and DNS.
const RESERVED_FILES: u64 = 128;
/// The fewest descriptors to start with: what is reserved, and a client with its backend for each
/// of a few workers.
const FEWEST_FILES: u64 = RESERVED_FILES + 32;
/// The process without a connection: code, runtime, idle upstream connections.
const BASE_COST: u64 = 16 << 20;
/// One worker: spare buffers, and its share of the log's.
const WORKER_COST: u64 = 6 << 20;
/// An idle client connection: its task and its timer here, its socket and its descriptor in the kernel.
/// Measured as 2.5 KiB and 4 KiB.
const CONNECTION_COST: u64 = 8 << 10;
/// The least memory that is left for heads and bodies.
const FEWEST_BUFFERS: u64 = 8 << 20;

/// What the process may hold at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Budget {
    /// Bytes of memory granted, where that is known.
    pub(crate) memory: Option<u64>,
    /// Files and sockets granted.
    pub(crate) files: u64,
    pub(crate) connections: usize,
    pub(crate) buffers: usize,
}

/// Why the machine grants too little.
#[derive(Debug, Error)]
pub(crate) enum BudgetError {
    #[error("open files: {0}")]
    Limit(io::Error),
    #[error("open files: the limit is {0}, expected at least {FEWEST_FILES} (ulimit -n)")]
    Files(u64),
    #[error(
        "memory: the limit is {} MiB, expected at least {} MiB for {workers} workers (memory limit of \
         the container, PROXY_MEMORY_LIMIT, PROXY_WORKERS)",
        granted >> 20,
        needed >> 20
    )]
    Memory {
        granted: u64,
        needed: u64,
        workers: usize,
    },
}

impl Budget {
    /// Descriptors that `settings` would need: each client may need a second one for its backend.
    pub(crate) fn files_wanted(settings: &Settings) -> u64 {
        let connections = settings.max_connections.unwrap_or(USUAL_CONNECTIONS);
        (connections as u64)
            .saturating_mul(2)
            .saturating_add(RESERVED_FILES)
    }

    /// What this process may hold, by its control group and its limit on open files, which is raised as
    /// far as needed and allowed.
    pub(crate) fn of_this_machine(settings: &Settings) -> Result<Self, BudgetError> {
        let files = grants::open_files(Self::files_wanted(settings)).map_err(BudgetError::Limit)?;
        let memory = settings.memory_limit.or_else(grants::memory);
        if memory.is_none() {
            warn!("neither a memory limit nor the machine's memory can be read: none is kept to");
        }
        let budget = Self::derive(settings, memory, files)?;
        if let Some(wanted) = settings.max_connections
            && wanted > budget.connections
        {
            warn!(
                wanted,
                granted = budget.connections,
                memory,
                files,
                "fewer connections than configured: memory or open files don't allow more"
            );
        }
        Ok(budget)
    }

    /// Divides up `memory` bytes and `files` descriptors.
    pub(crate) fn derive(
        settings: &Settings,
        memory: Option<u64>,
        files: u64,
    ) -> Result<Self, BudgetError> {
        if files < FEWEST_FILES {
            return Err(BudgetError::Files(files));
        }
        let wanted = settings.max_connections.unwrap_or(USUAL_CONNECTIONS);
        let by_files = usize_of((files - RESERVED_FILES) / 2);
        let Some(granted) = memory else {
            return Ok(Self {
                memory,
                files,
                connections: wanted.min(by_files),
                buffers: usize::MAX,
            });
        };
        let traces = settings.traces.as_ref().map_or(0, |_| trace::MEMORY);
        let base = BASE_COST + WORKER_COST * settings.workers as u64 + traces;
        let usable = granted / 4 * 3;
        let shared = usable
            .checked_sub(base)
            .filter(|shared| *shared >= 2 * FEWEST_BUFFERS)
            .ok_or(BudgetError::Memory {
                granted,
                needed: (base + 2 * FEWEST_BUFFERS).div_ceil(3) * 4,
                workers: settings.workers,
            })?;
        let by_memory = usize_of(shared / 2 / CONNECTION_COST);
        let connections = wanted.min(by_files).min(by_memory);
        Ok(Self {
            memory,
            files,
            connections,
            buffers: usize_of(shared - connections as u64 * CONNECTION_COST),
        })
    }

    /// The share of one of `workers` workers in client connections, and in bytes of heads and bodies.
    pub(crate) fn share(&self, workers: usize) -> (usize, usize) {
        let share = |whole: usize| (whole / workers.max(1)).max(1);
        (share(self.connections), share(self.buffers))
    }
}

fn usize_of(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(environment: &[(&str, &str)]) -> Settings {
        let own = |(name, value): &(&str, &str)| (name.into(), value.into());
        let workers = [("PROXY_WORKERS", "2")];
        Settings::load(None, workers.iter().chain(environment).map(own)).unwrap()
    }

    #[test]
    fn the_parts_add_up_to_less_than_is_granted() {
        let settings = settings(&[]);
        for mebibytes in [64, 100, 256, 1024, 24 << 10] {
            let memory = mebibytes << 20;
            let budget = Budget::derive(&settings, Some(memory), 1 << 20).unwrap();
            let connections = budget.connections as u64 * CONNECTION_COST;
            let sum = BASE_COST + 2 * WORKER_COST + connections + budget.buffers as u64;
            assert!(sum <= memory / 4 * 3, "{budget:?}");
            assert!(budget.connections >= 512 && budget.connections <= 20_000);
            assert!(budget.buffers as u64 >= FEWEST_BUFFERS, "{budget:?}");
        }
    }

    #[test]
    fn each_connection_may_need_two_files() {
        let settings = settings(&[("PROXY_MAX_CONNECTIONS", "1000")]);
        assert_eq!(Budget::files_wanted(&settings), 2128);
        for (files, connections) in [(100_000, 1000), (1128, 500)] {
            let budget = Budget::derive(&settings, None, files).unwrap();
            assert_eq!(budget.connections, connections);
        }
    }

    #[test]
    fn too_little_is_an_error_that_says_how_much_is_enough() {
        let settings = settings(&[]);
        let error = Budget::derive(&settings, None, 24).unwrap_err().to_string();
        assert!(error.contains("24") && error.contains("160"), "{error}");
        let error = Budget::derive(&settings, Some(32 << 20), 4096).unwrap_err();
        assert!(error.to_string().contains("32 MiB"), "{error}");
        let BudgetError::Memory { needed, .. } = error else {
            panic!("{error}");
        };
        Budget::derive(&settings, Some(needed), 4096).unwrap();
    }
}
