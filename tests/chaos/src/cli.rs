//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::faults::Manner;

/// Breaks the stack, one fault after another, and counts what was lost
///
/// Brings up a stack of its own, keeps it under a steady load of reads and writes, and injects each
/// fault once, or carries out each attack. After each it compares what clients were told with what the
/// database holds.
#[derive(Debug, Parser)]
#[command(
    name = "chaos",
    version,
    args_conflicts_with_subcommands = true,
    after_help = "Exit status: 0 every promise held, 1 one was broken or the run failed, \
                  2 wrong usage, 3 no Docker engine.\n\
                  DOCKER_HOST names the engine."
)]
pub struct Cli {
    /// What the suite's own containers do.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// What a run does.
    #[command(flatten)]
    pub(crate) options: Options,
}

/// A run.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub(crate) struct Options {
    /// Fixes order, timings, victims and requests; another number, another run
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Have many clients misbehave, instead of breaking parts
    #[arg(long)]
    pub(crate) attacks: bool,
    /// Have a Swarm of three machines lose one, or the primary of its database (docs/swarm.md)
    #[arg(long, conflicts_with_all = ["attacks", "project"])]
    pub(crate) nodes: bool,
    /// Only these faults or attacks, separated by commas
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// How long a fault lasts, give or take one second [default: 3], an attack [default: 20], or a node is
    /// away [default: 15]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=60))]
    pub(crate) seconds: Option<u64>,
    /// Requests a second [default: 200; beside an attack: 20; to nodes: 50]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=2_000))]
    pub(crate) rate: Option<u32>,
    /// How many documents are lost and restored (restore)
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) documents: u64,
    /// List the faults or attacks and leave
    #[arg(long)]
    pub(crate) list: bool,
    /// Test this running project instead of bringing up one; its data stays, and the requests of
    /// the suite with it
    #[arg(long, value_name = "NAME")]
    pub(crate) project: Option<String>,
    /// The port that the suite's own stack publishes on 127.0.0.1; the next one is that with TLS
    #[arg(long, value_name = "PORT", default_value_t = 18_080)]
    pub(crate) port: u16,
    /// The same for TLS
    #[arg(long, value_name = "PORT", default_value_t = 18_443)]
    pub(crate) tls_port: u16,
    /// The same for the console
    #[arg(long, value_name = "PORT", default_value_t = 18_081)]
    pub(crate) console_port: u16,
    /// File with the database's root password
    #[arg(
        long,
        value_name = "FILE",
        default_value = "secrets/mongo_root_password"
    )]
    pub(crate) mongo_password_file: PathBuf,
    /// The deploy command
    #[arg(long, value_name = "FILE", default_value = "target/deploy")]
    pub(crate) deploy: PathBuf,
    /// The engine was started for this run: it may be restarted
    #[arg(long)]
    pub(crate) own_engine: bool,
    /// Where report.json and report.md go
    #[arg(long, value_name = "DIRECTORY", default_value = "target/chaos-report")]
    pub(crate) out: PathBuf,
    /// Write the Markdown there too
    #[arg(long, value_name = "FILE")]
    pub(crate) commit_to: Option<PathBuf>,
}

/// How long and how fast.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// How long a fault or an attack lasts.
    pub(crate) seconds: u64,
    /// Requests a second.
    pub(crate) rate: u32,
}

impl Options {
    /// As it was asked for, or as it is for faults and for attacks.
    pub(crate) fn pace(&self) -> Pace {
        let (seconds, rate) = match (self.attacks, self.nodes) {
            (true, _) => (20, 20),
            (_, true) => (15, 50),
            _ => (3, 200),
        };
        Pace {
            seconds: self.seconds.unwrap_or(seconds),
            rate: self.rate.unwrap_or(rate),
        }
    }
}

/// Hidden: the suite's own containers run these.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// A faulty backend
    #[command(hide = true)]
    Backend {
        /// What is wrong with it
        manner: Manner,
    },
    /// A DNS server that is late
    #[command(hide = true)]
    LateDns {
        /// Where it listens
        port: u16,
        /// How late it is
        #[arg(value_parser = duration)]
        delay: Duration,
    },
    /// Attacking clients
    #[command(hide = true)]
    Attack {
        /// The attack
        attack: String,
        /// Which of its squads they are of
        squad: usize,
        /// How many there are
        clients: usize,
        /// Whom they attack
        target: SocketAddr,
        /// For how long
        #[arg(value_parser = duration)]
        lasting: Duration,
        /// Says when each comes back
        seed: u64,
    },
}

fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}; expected such as 3s"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
