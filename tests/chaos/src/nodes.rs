//! What it costs to lose a node: a Swarm of three machines, which are its managers and have a member of
//! the database's replica set each, under load while one of them or the primary is lost.
//!
//! `scripts/swarm-bed.sh` makes the machines; `deploy` brings the stack up on them. The load goes to the
//! nodes that are left, as clients' name server or balancer would have it.

mod faults;
mod machines;
mod registry;
mod report;
mod round;

use engine::error::{Error, Result};
use terminal::Output;
use tokio_util::sync::CancellationToken;

use crate::cli::Options;
pub(crate) use faults::{ALL, Fault};
use machines::Machines;
use report::Report;
use round::Rounds;

/// Whether every promise held.
pub(crate) async fn run(
    options: &Options,
    faults: &[&'static Fault],
    id: &str,
    interrupt: &CancellationToken,
    output: &Output,
) -> Result<bool> {
    let mut machines = Machines::of_bed(&options.deploy)?;
    if faults.iter().any(|it| it.takes_registry()) {
        machines = machines.with_registry().await?;
    }
    let pace = options.pace();
    let task = output.task("the stack", "bringing it up on three nodes");
    let up = async {
        machines.promote().await?;
        machines.deploy(&["up", "--no-verify"], &[]).await
    };
    interrupt
        .run_until_cancelled(up)
        .await
        .unwrap_or_else(|| Err(crate::round::interrupted()))?;
    task.done("is up");
    let rounds = Rounds {
        machines: &machines,
        options,
        pace,
        id,
    };
    let mut report = Report::new(options, pace);
    let mut played = Ok(());
    for fault in faults {
        let task = output.task(fault.name, fault.about);
        let round = interrupt.run_until_cancelled(rounds.play(fault)).await;
        match round.unwrap_or_else(|| Err(crate::round::interrupted())) {
            Ok(lines) => {
                for line in &lines {
                    task.detail(&line.told());
                }
                task.done(&report::summary(&lines));
                report.lines.extend(lines);
                // What is known must not be lost because a later round can't be played.
                report.write(&options.out).await?;
            }
            Err(error) => {
                played = Err(error);
                break;
            }
        }
    }
    output.line(&report.table());
    played?;
    if report.lines.is_empty() {
        return Err(Error::usage("no fault was chosen", "--list lists them"));
    }
    Ok(report.holds())
}
