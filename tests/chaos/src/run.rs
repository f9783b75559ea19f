//! A run from its command line to its exit code.

use std::io;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use engine::Engine;
use engine::error::{Error, Result};
use terminal::style::Tone;
use terminal::{Form, Output};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::attacks::{self, Attack, process};
use crate::bed::{Bed, OWN};
use crate::cli::{Cli, Command, Options};
use crate::faults::{self, Surroundings};
use crate::host;
use crate::machine::Machine;
use crate::memory::{self, Levels};
use crate::nodes;
use crate::report::{Report, table};
use crate::round::{Played, Run, interrupted};
use crate::schedule::{self, Round};
use crate::servers::{backend, late_dns};
use crate::stack::Stack;
use crate::tool::Tool;

/// Connections that the kernel must be able to follow for each client of an attack: it remembers for
/// two minutes those that ended, and a client comes back every few seconds.
const CONNECTIONS_TRACKED: usize = 8;

/// Runs the command line to its end.
pub fn run(cli: Cli) -> ExitCode {
    let output = Output::new(Form::Text, false);
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
        Some(Command::Attack {
            attack,
            squad,
            clients,
            target,
            lasting,
            seed,
        }) => {
            let squad = Attack::named(&attack).and_then(|attack| attack.squads.get(squad));
            let squad = squad.ok_or_else(|| {
                Error::usage(
                    format!("attack {attack}: there is no such attack, or not so many squads"),
                    "`chaos --attacks --list` lists them",
                )
            })?;
            let task = process::Task {
                client: squad.client,
                clients,
                target,
                carrier: squad.client.carrier(squad.target),
                lasting,
                seed,
            };
            let report = |seen: &_| {
                output.line(&serde_json::to_string(seen).unwrap_or_default());
            };
            let attacked = process::run(task, report).await;
            attacked.map_err(|error| unable("attack", &error))?;
            Ok(true)
        }
        None if cli.options.nodes => {
            let faults = chosen(&cli.options, nodes::ALL, |fault| fault.name, "fault")?;
            if cli.options.list {
                let all = nodes::ALL.iter().map(|it| (it.name, it.about));
                show(all, "fault", output);
                return Ok(true);
            }
            let interrupt = CancellationToken::new();
            listen_for_signals(&interrupt)?;
            nodes::run(&cli.options, &faults, &run_id(), &interrupt, output).await
        }
        None if cli.options.list => {
            list(cli.options.attacks, output);
            Ok(true)
        }
        None if cli.options.attacks => {
            let attacks = chosen_attacks(&cli.options)?;
            suite(cli.options, Rounds::Attacks(attacks), output).await
        }
        None => {
            let faults = chosen_faults(&cli.options)?;
            suite(cli.options, Rounds::Faults(faults), output).await
        }
    }
}

/// What a run does to the stack.
enum Rounds {
    /// Something breaks.
    Faults(Vec<Round>),
    /// Many clients misbehave.
    Attacks(Vec<&'static Attack>),
}

fn list(attacks: bool, output: &Output) {
    if attacks {
        let all = attacks::ALL.iter().map(|it| (it.name, it.about));
        show(all, "attack", output);
    } else {
        let all = faults::ALL.iter().map(|it| (it.name, it.about));
        show(all, "fault", output);
    }
}

fn show<'a>(all: impl Iterator<Item = (&'a str, &'a str)>, kind: &str, output: &Output) {
    let row = |(name, about): (&str, &str)| {
        let about = (about.to_owned(), Tone::Plain);
        vec![(name.to_owned(), Tone::Strong), about]
    };
    let rows: Vec<_> = all.map(row).collect();
    output.table(&[kind, "what is done"], &rows);
}

/// Those of `all` whose `name` was asked for, or all of them; `kind` is what they are called.
fn chosen<T>(
    options: &Options,
    all: &'static [T],
    name: fn(&T) -> &str,
    kind: &str,
) -> Result<Vec<&'static T>> {
    let is_asked_for = |it: &T| options.only.iter().any(|wanted| wanted == name(it));
    let unknown = |wanted: &&String| !all.iter().any(|it| name(it) == wanted.as_str());
    if let Some(unknown) = options.only.iter().find(unknown) {
        return Err(Error::usage(
            format!("--only {unknown}: there is no such {kind}"),
            "--list lists them: faults, with --attacks the attacks, with --nodes the faults of nodes",
        ));
    }
    let all = all.iter();
    Ok(all
        .filter(|it| options.only.is_empty() || is_asked_for(it))
        .collect())
}

/// The faults that were asked for.
fn chosen_faults(options: &Options) -> Result<Vec<Round>> {
    let wanted = chosen(options, faults::ALL, |entry| entry.name, "fault")?;
    let hold = Duration::from_secs(options.pace().seconds);
    Ok(schedule::rounds(options.seed, wanted, hold))
}

/// The attacks that were asked for, where this machine has what they take.
fn chosen_attacks(options: &Options) -> Result<Vec<&'static Attack>> {
    let wanted = chosen(options, attacks::ALL, |attack| attack.name, "attack")?;
    let clients = wanted.iter().map(|attack| attack.clients()).max();
    host::tracks_connections(CONNECTIONS_TRACKED * clients.unwrap_or_default())?;
    Ok(wanted)
}

async fn suite(options: Options, rounds: Rounds, output: &Output) -> Result<bool> {
    let interrupt = CancellationToken::new();
    listen_for_signals(&interrupt)?;
    let engine = Engine::connect().await?;
    host::is_engines(&engine)?;
    let machine = Machine::look(&engine).await?;
    let name = options.project.clone().unwrap_or_else(|| OWN.to_owned());
    let stack = Stack::new(engine, name.clone(), options.mongo_password_file.clone());
    let certificates = std::path::absolute(options.out.join("certificates"))
        .map_err(|error| unable("tell where --out is", &error))?;
    let tool = options.project.is_none().then(|| Tool {
        path: options.deploy.clone(),
        project: name,
        port: options.port,
        tls_port: options.tls_port,
        console_port: options.console_port,
        certificates,
    });
    let bed = if let Some(tool) = tool.clone() {
        let replicas = match rounds {
            // One is to fail while the other serves.
            Rounds::Faults(_) => 2,
            Rounds::Attacks(_) => 1,
        };
        Bed::own(stack, tool, replicas, &interrupt).await?
    } else {
        Bed::existing(stack).await?
    };
    let pace = options.pace();
    let run = Run {
        stack: bed.stack.clone(),
        seed: options.seed,
        rate: pace.rate,
        id: run_id(),
        surroundings: Surroundings {
            own_engine: options.own_engine,
            tool,
            documents: options.documents,
        },
        interrupted: interrupt,
    };
    // First the report: what is known must not be lost because something can't be removed.
    let (played, written, holds) = match rounds {
        Rounds::Faults(rounds) => {
            let mut report = Report::new(&options, pace, machine);
            let played = play(&run, &rounds, &mut report, output).await;
            report.finish(output);
            let written = report.write(&options, output).await;
            (played, written, report.holds())
        }
        Rounds::Attacks(attacks) => {
            let mut report = attacks::report::Report {
                seed: options.seed,
                rate: pace.rate,
                seconds: pace.seconds,
                only: options.only.clone(),
                machine,
                memory_idle: Levels::new(),
                rounds: Vec::new(),
                complete: false,
            };
            let played = attack(&run, &attacks, &mut report, output).await;
            report.finish(output);
            let written = report.write(&options, output).await;
            (played, written, report.holds())
        }
    };
    let removed = bed.down().await;
    played.and(written).and(removed)?;
    Ok(holds)
}

async fn attack(
    run: &Run,
    attacks: &[&'static Attack],
    report: &mut attacks::report::Report,
    output: &Output,
) -> Result<()> {
    let lasting = Duration::from_secs(report.seconds);
    report.memory_idle = memory::levels(&run.stack).await?;
    output.line(&format!(
        "{} attacks of {} s, a bystander with {} requests a second, seed {}",
        attacks.len(),
        report.seconds,
        run.rate,
        run.seed
    ));
    for attack in attacks {
        let task = output.task(attack.name, attack.about);
        let verdict = run.attack(attack, lasting, &report.memory_idle).await?;
        task.done(&attacks::report::one_line(&verdict));
        report.rounds.push(verdict);
    }
    report.complete = true;
    Ok(())
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
