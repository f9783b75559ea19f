//! How much of everything the API takes: connections, heads, bodies, queued and unfinished writes.
//!
//! All of it is derived here, from the memory that the control group grants and the files that may
//! be open, so that the sum stays below both whatever clients do. [`crate::http::connections`] keeps to
//! what concerns clients, [`crate::write::coalescer`] to what concerns writes.
//!
//! | part | share of what may be used | what it pays for |
//! |---|---|---|
//! | the process | [`PROCESS`] | code, threads, the driver, TLS and what the allocator keeps |
//! | traces | [`trace::MEMORY`] | spans on their way, where they are exported |
//! | connections | 35 % | [`CONNECTION`] each: buffers of actix-http, its state, the socket |
//! | large heads | 8 % | what a head takes beyond the first buffer |
//! | bodies | 20 % | bodies being read; a quarter only for those up to [`SMALL_BODY`] |
//! | queue | 12 % | documents that wait to be written |
//! | writes | 25 % | batches with MongoDB, and the driver's copies of them |

use service::trace;

use crate::record::document;

/// What may be used of the memory that is granted, in percent. The rest is for what can't be
/// counted: fragments, and the kernel's buffers.
const USED: u64 = 70;

/// More memory than this buys nothing: the limits are those of other things by then.
const ENOUGH: u64 = 1 << 30;

/// Memory of the process before its first connection.
const PROCESS: u64 = 24 << 20;

/// Memory of a connection, measured at 17 KiB, of which the kernel has 2: `tests/it/floods.rs`.
const CONNECTION: u64 = 18 << 10;

/// No more connections than this, however much memory there is.
const MOST_CONNECTIONS: u64 = 10_000;

/// Fewer make no service: the proxy alone opens up to 1,024.
const LEAST_CONNECTIONS: u64 = 256;

/// Connections to the admin port: health checks and a scraper or two.
pub(crate) const ADMIN_CONNECTIONS: usize = 32;

/// Open files besides: listeners, the driver's pools and monitors, and what a file is opened for.
const OTHER_FILES: u64 = 128;

/// Connections that have no place yet, or are told so, for each worker.
pub(crate) const SPARE: usize = 16;

/// Open files of a worker: its runtime's, and those connections.
const WORKER_FILES: u64 = 8 + SPARE as u64;

/// A body up to this size is small: part of the memory for bodies is only for such.
pub(crate) const SMALL_BODY: usize = 64 << 10;

/// A document is there once when it is with the driver, which copies it twice on its way to the
/// socket.
const COPIES: u64 = 3;

/// Batches that may be with the driver at once: one, and one whose answer is overdue.
pub(crate) const WRITES: u32 = 2;

/// Documents in a batch. The server takes 100,000 (`maxWriteBatchSize`); far fewer already spread
/// the cost of a write so thin that more would only add latency.
pub(crate) const BATCH_DOCUMENTS: usize = 1_000;

/// The largest batch: 48,000,000 bytes is what the server takes (`maxMessageSizeBytes`), and far
/// less what it takes quickly.
const LARGEST_BATCH: u64 = 8 << 20;

/// Why there can be no budget.
#[derive(Debug, thiserror::Error)]
pub enum BudgetError {
    /// Bodies of the size that is allowed don't fit.
    #[error(
        "API_MAX_BODY is {max_body} bytes: expected at most {most} with the {memory} bytes of \
         memory that are granted here"
    )]
    MaxBody {
        max_body: usize,
        /// The most that would do.
        most: u64,
        /// What the control group and the machine grant.
        memory: u64,
    },
    /// There is too little memory for anything.
    #[error("{granted} bytes of memory are granted here: expected at least {needed}")]
    Memory {
        /// What the control group and the machine grant.
        granted: u64,
        /// The least.
        needed: u64,
    },
    /// Too few files may be open.
    #[error(
        "{granted} files may be open here (ulimit -n): expected at least {needed}, for connections"
    )]
    Files {
        /// The hard limit.
        granted: u64,
        /// The least.
        needed: u64,
    },
    /// The limit can't be asked for or raised.
    #[error("can't set the limit on open files: {0}")]
    Limit(#[from] std::io::Error),
}

/// What the API takes at most. Sizes are in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    pub memory: u64,
    pub open_files: u64,
    pub connections: usize,
    /// What all heads together take beyond the first buffer of their connections.
    pub heads: usize,
    /// All bodies that are being read.
    pub bodies: usize,
    /// Those of them that are larger than [`SMALL_BODY`].
    pub large_bodies: usize,
    /// Documents that wait to be written.
    pub queue: usize,
    /// How many of them.
    pub queue_documents: usize,
    /// Documents that are written together.
    pub batch: usize,
}

impl Budget {
    /// The budget of this process: asks for the memory that it is granted, and raises its limit on
    /// open files to what the connections need.
    pub(crate) fn of_this_process(
        workers: usize,
        max_body: usize,
        traces: bool,
    ) -> Result<Self, BudgetError> {
        let memory = service::grants::memory().unwrap_or(ENOUGH);
        let open_files = service::grants::open_files(MOST_CONNECTIONS + other_files(workers))?;
        let for_traces = if traces {
            trace::MEMORY * 100 / USED
        } else {
            0
        };
        let rest = memory.saturating_sub(for_traces);
        let budget = Self::derive(rest, open_files, workers, max_body)?;
        Ok(Self { memory, ..budget })
    }

    /// The budget under so much memory and so many open files, for so many workers and bodies of up
    /// to `max_body` bytes.
    pub fn derive(
        memory: u64,
        open_files: u64,
        workers: usize,
        max_body: usize,
    ) -> Result<Self, BudgetError> {
        let usable = (memory.min(ENOUGH) * USED / 100).saturating_sub(PROCESS);
        let share = |percent| usable * percent / 100;
        let by_memory = share(35) / CONNECTION;
        if by_memory < LEAST_CONNECTIONS {
            let needed = (LEAST_CONNECTIONS * CONNECTION * 100 / 35 + PROCESS) * 100 / USED;
            return Err(BudgetError::Memory {
                granted: memory,
                needed,
            });
        }
        let other_files = other_files(workers);
        let by_files = open_files.saturating_sub(other_files);
        if by_files < LEAST_CONNECTIONS {
            return Err(BudgetError::Files {
                granted: open_files,
                needed: other_files + LEAST_CONNECTIONS,
            });
        }
        let (bodies, batch) = (share(20), share(25) / (COPIES * u64::from(WRITES)));
        let large_bodies = bodies / 4 * 3;
        // The largest document has to fit into a batch, which fits into the queue; and two of the
        // largest bodies into the memory for bodies.
        let most = (large_bodies / 2).min(document::largest_body(batch.min(share(12))));
        if max_body as u64 > most {
            return Err(BudgetError::MaxBody {
                max_body,
                most,
                memory,
            });
        }
        let bytes = |size: u64| usize::try_from(size).unwrap_or(usize::MAX);
        Ok(Self {
            memory,
            open_files,
            connections: bytes(by_memory.min(by_files).min(MOST_CONNECTIONS)),
            heads: bytes(share(8)),
            bodies: bytes(bodies),
            large_bodies: bytes(large_bodies),
            queue: bytes(share(12)),
            // A request that waits has a connection of its own.
            queue_documents: bytes(by_memory.min(by_files).min(MOST_CONNECTIONS)),
            batch: bytes(batch.min(LARGEST_BATCH)),
        })
    }

    /// Every limit by its name, for metrics.
    pub(crate) fn limits(&self) -> [(&'static str, u64); 9] {
        [
            ("memory", self.memory),
            ("open_files", self.open_files),
            ("connections", self.connections as u64),
            ("head_bytes", self.heads as u64),
            ("body_bytes", self.bodies as u64),
            ("large_body_bytes", self.large_bodies as u64),
            ("queue_bytes", self.queue as u64),
            ("queue_documents", self.queue_documents as u64),
            ("batch_bytes", self.batch as u64),
        ]
    }
}

/// Open files besides the clients' connections to the public port. The admin port has a worker, too.
fn other_files(workers: usize) -> u64 {
    OTHER_FILES + ADMIN_CONNECTIONS as u64 + (workers as u64 + 1) * WORKER_FILES
}

/// How the limits derive, for `--help`.
pub(crate) const HELP: &str = "\
Limits, from the memory that the control group grants (or the machine has; beyond 1 GiB nothing
grows) and the files that may be open (ulimit -n). Of 70 % of the memory, less 24 MiB for the process
and 5 MiB for traces, where they are exported:

  connections   35 %, 18 KiB each, up to 10,000; as many as files may be open, less 184
                and 24 for each worker
  large heads   8 %, for what they take beyond 8 KiB
  bodies        20 % while they are read, a quarter of it only for those up to 64 KiB
  queue         12 %, documents that wait to be written
  writes        25 %, two batches with MongoDB and the driver's copies

The first log line and api_budget in /metrics say the numbers.";

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn the_sum_stays_below_three_quarters_of_what_is_granted() {
        for memory in [64, 128, 256, 512, 1024, 65_536].map(|mib| mib * MIB) {
            let budget = Budget::derive(memory, 1 << 20, 2, 50_000).unwrap();
            let writes = budget.batch as u64 * COPIES * u64::from(WRITES);
            let sum = PROCESS
                + budget.connections as u64 * CONNECTION
                + (budget.heads + budget.bodies + budget.queue) as u64
                + writes;
            assert!(sum <= memory * 3 / 4, "{budget:?}: {sum}");
            assert!(budget.queue >= budget.batch);
        }
    }

    #[test]
    fn two_proxies_fit_into_what_compose_grants() {
        let budget = Budget::derive(256 * MIB, 1 << 20, 2, 1 << 20).unwrap();
        assert!(budget.connections > 3 * 1024, "{budget:?}");
        assert_eq!(
            Budget::derive(256 * MIB, 1024, 2, 1 << 20)
                .unwrap()
                .connections,
            1024 - 232
        );
    }

    #[test]
    fn what_does_not_fit_is_refused_by_its_name() {
        for (memory, files, max_body, expected) in [
            (256 * MIB, 24, 1 << 20, "24 files may be open"),
            (32 * MIB, 1 << 20, 1, "33554432 bytes of memory"),
            (256 * MIB, 1 << 20, 15 << 20, "API_MAX_BODY is 15728640"),
        ] {
            let error = Budget::derive(memory, files, 2, max_body).unwrap_err();
            assert!(error.to_string().starts_with(expected), "{error}");
        }
        // What docs/budgets.md says is enough for the largest body.
        assert!(Budget::derive(600 * MIB, 1 << 20, 2, 15 << 20).is_ok());
        assert!(Budget::derive(8 * ENOUGH, 1 << 20, 2, 15 << 20).is_ok());
    }
}
