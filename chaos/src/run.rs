//! A run from its command line to its exit code.

use std::io;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use deploy::engine::Engine;
use deploy::error::{Error, Result};
use deploy::output::Output;
use deploy::output::style::Tone;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::bed::{Bed, OWN};
use crate::cli::{Cli, Command, Options};
use crate::faults::{self, Surroundings};
use crate::machine::Machine;
use crate::report::{Report, table};
use crate::round::{Played, Run, interrupted};
use crate::schedule::{self, Round};
use crate::servers::{backend, late_dns};
use crate::stack::Stack;

/// Runs the command line to its end.
pub fn run(cli: Cli) -> ExitCode {
    let output = Output::new(false, false);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(dispatch(cli, &output)),
        Err(error) => Err(unable("start", &error)),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            output.failure(&error);
            ExitCode::from(error.exit as u8)
        }
    }
}

/// Whether every promise held.
async fn dispatch(cli: Cli, output: &Output) -> Result<bool> {
    match cli.command {
        Some(Command::Backend { manner }) => {
            let served = backend::serve(manner).await;
            served.map_err(|error| unable("listen", &error))?;
            Ok(true)
        }
        Some(Command::LateDns { port, delay }) => {
            let served = late_dns::serve(port, delay).await;
            served.map_err(|error| unable("listen", &error))?;
            Ok(true)
        }
        None if cli.options.list => {
            list(output);
            Ok(true)
        }
        None => suite(cli.options, output).await,
    }
}

fn list(output: &Output) {
    let rows: Vec<_> = faults::ALL
        .iter()
        .map(|entry| {
            let about = (entry.about.to_owned(), Tone::Plain);
            vec![(entry.name.to_owned(), Tone::Strong), about]
        })
        .collect();
    output.table(&["fault", "what is done"], &rows);
}

/// The faults that were asked for.
fn chosen(options: &Options) -> Result<Vec<Round>> {
    let unknown = options
        .only
        .iter()
        .find(|name| !faults::ALL.iter().any(|entry| entry.name == *name));
    if let Some(name) = unknown {
        return Err(Error::usage(
            format!("--only {name}: there is no such fault"),
            "`chaos --list` lists them",
        ));
    }
    let wanted = faults::ALL.iter().filter(|entry| {
        options.only.is_empty() || options.only.iter().any(|name| name == entry.name)
    });
    let hold = Duration::from_secs(options.seconds);
    Ok(schedule::rounds(options.seed, wanted, hold))
}

async fn suite(options: Options, output: &Output) -> Result<bool> {
    let rounds = chosen(&options)?;
    let interrupt = CancellationToken::new();
    listen_for_signals(&interrupt)?;
    let engine = Engine::connect().await?;
    let machine = Machine::look(&engine).await?;
    let name = options.project.clone().unwrap_or_else(|| OWN.to_owned());
    let stack = Stack::new(engine, name, options.mongo_password_file.clone());
    let bed = if options.project.is_some() {
        Bed::existing(stack).await?
    } else {
        Bed::own(stack, options.deploy.clone(), options.port, &interrupt).await?
    };
    let run = Run {
        stack: bed.stack.clone(),
        seed: options.seed,
        rate: options.rate,
        id: run_id(),
        surroundings: Surroundings {
            own_engine: options.own_engine,
            own_stack: options.project.is_none(),
        },
        interrupted: interrupt,
    };
    let mut report = Report::new(&options, machine);
    let played = play(&run, &rounds, &mut report, output).await;
    // First the report: what is known must not be lost because something can't be removed.
    report.finish(output);
    let written = report.write(&options, output).await;
    let removed = bed.down().await;
    played.and(written).and(removed)?;
    Ok(report.holds())
}

async fn play(run: &Run, rounds: &[Round], report: &mut Report, output: &Output) -> Result<()> {
    output.line(&format!(
        "{} rounds, {} requests a second, seed {}",
        rounds.len(),
        run.rate,
        run.seed
    ));
    for round in rounds {
        if run.interrupted.is_cancelled() {
            return Err(interrupted());
        }
        let task = output.task(round.entry.name, round.entry.about);
        let played = run.play(round).await;
        match played {
            Ok(Played::Judged(verdict)) => {
                task.done(&table::one_line(&verdict));
                report.add(*verdict);
            }
            Ok(Played::Skipped(reason)) => {
                task.done(&format!("skipped: {reason}"));
                report.skip(round.entry.name, reason);
            }
            Err(error) => return Err(error),
        }
    }
    let database = run.stack.database().await?;
    report.complete(database.duplicates(&format!("{}-", run.id)).await?);
    Ok(())
}

/// Ends the run in an orderly way: the fault is undone and the stack removed.
fn listen_for_signals(interrupt: &CancellationToken) -> Result<()> {
    for kind in [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
    ] {
        let mut signals = signal(kind).map_err(|error| unable("listen for signals", &error))?;
        let interrupt = interrupt.clone();
        tokio::spawn(async move {
            signals.recv().await;
            interrupt.cancel();
        });
    }
    Ok(())
}

/// Tells the documents of this run from those of any other; no chance that must be repeatable.
fn run_id() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    format!("{:x}", now.unwrap_or_default().as_millis())
}

fn unable(doing: &str, error: &io::Error) -> Error {
    Error::failed(
        format!("can't {doing}: {error}"),
        "see the limits of this user (`ulimit -a`)",
    )
}
