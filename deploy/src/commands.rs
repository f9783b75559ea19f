//! The verbs, one file each.

mod backup;
mod build;
mod config;
mod console;
mod down;
pub(crate) mod inspect;
pub(crate) mod logs;
mod plan;
mod ps;
mod releases;
pub(crate) mod replay;
mod requests;
mod restart;
mod restore;
pub(crate) mod rollback;
mod scale;
mod secrets;
mod up;
pub(crate) mod verify;

use std::env;
use std::process::ExitCode;

use clap::error::ErrorKind;
use compose_file::{LoadOptions, Project};
use engine::Engine;
use engine::error::{Error, Result};
use engine::state::{State, Status};
use lab::Lab;
use terminal::interrupted;

use crate::apply::Applied;
use crate::cli::{Cli, Command, Logs, Requests, Verify};
use crate::context::{Context, secret_values};
use crate::output::{Form, Output};
use crate::swarm;

/// Runs the command line to its end.
pub fn run(cli: Cli) -> ExitCode {
    if let Command::Probe(args) = &cli.command {
        return netcheck::probe::answer::run(&args.request);
    }
    let output = Output::new(form(&cli), cli.no_color);
    let mut options = LoadOptions::from_process(cli.file);
    options.project_name = cli.project;
    options.profiles = cli.profile;
    options.targets = targets(&cli.command);
    let context = Context::new(output, options);
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(err) => {
            context.output.failure(&Error::failed(
                format!("can't start: {err}"),
                "see the limits on processes and memory of this user (`ulimit -a`)",
            ));
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(async {
        let command = match cli.command {
            // Has to clean up when it is interrupted, so it listens for signals itself.
            Command::Lab(command) => {
                return lab::run(&context.output, command)
                    .await
                    .map(|()| ExitCode::SUCCESS);
            }
            command => command,
        };
        let endless = is_endless(&command);
        let after = after_interruption(&command);
        // Says itself what it has done by then.
        let listens = matches!(command, Command::Replay(_));
        tokio::select! {
            result = dispatch(&context, command) => result.map(|()| ExitCode::SUCCESS),
            ending = interrupted(), if !listens => {
                swarm::clean_up().await;
                if endless {
                    Ok(ExitCode::from(ending.status()))
                } else {
                    Err(Error::failed(
                        format!("interrupted by {ending}"),
                        after,
                    ))
                }
            },
        }
    });
    // A blocking read (a context being packed) must not hold up the end.
    runtime.shutdown_background();
    match result {
        Ok(code) => code,
        Err(error) => {
            context.output.failure(&error);
            error.exit.into()
        }
    }
}

/// Ends the process as the parser of the command line wants it: with help, the version, or what is
/// wrong with the arguments, which with `--json` is an error like every other.
pub fn refuse(err: &clap::Error) -> ExitCode {
    let json = env::args_os()
        .take_while(|argument| argument != "--")
        .any(|argument| argument == "--json");
    if !json || !err.use_stderr() {
        err.exit();
    }
    let text = err.render().to_string();
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let message = match err.kind() {
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => "a command is missing",
        _ => lines.next().unwrap_or_default(),
    };
    let message = message.strip_prefix("error: ").unwrap_or(message);
    let error = Error::usage(message, "see `deploy --help`").with_details(lines.map(str::to_owned));
    Output::new(Form::Lines, true).failure(&error);
    ExitCode::from(2)
}

/// The services that are named: they are enabled, whatever their profiles.
fn targets(command: &Command) -> Vec<String> {
    match command {
        Command::Build(args) => args.services.clone(),
        Command::Logs(args) => args.services.clone(),
        Command::Restart(args) => args.services.clone(),
        Command::Scale(args) => args.counts.iter().map(|(name, _)| name.clone()).collect(),
        _ => Vec::new(),
    }
}

/// What a command's standard output holds. Those that look at something and are over have one
/// document to give.
fn form(cli: &Cli) -> Form {
    match cli.command {
        _ if !cli.json => Form::Text,
        Command::Config(_)
        | Command::Console(_)
        | Command::Inspect(_)
        | Command::Lab(Lab::List)
        | Command::Nodes { command: None }
        | Command::Plan(_)
        | Command::Ps
        | Command::Releases
        | Command::Requests(Requests { follow: false, .. }) => Form::Document,
        _ => Form::Lines,
    }
}

async fn dispatch(context: &Context, command: Command) -> Result<()> {
    // About a Swarm, whichever file is at hand.
    let nodes = matches!(command, Command::Nodes { .. });
    let command = if nodes || context.is_for_swarm() {
        match swarm::run(context, command).await? {
            Some(command) => command,
            None => return Ok(()),
        }
    } else {
        command
    };
    match command {
        Command::Up(args) => up::run(context, args).await,
        Command::Rollback(args) => rollback::run(context, args).await,
        Command::Releases => releases::run(context).await,
        Command::Secrets(command) => secrets::run(context, command).await,
        Command::Build(args) => build::run(context, args).await,
        Command::Plan(args) => plan::run(context, args).await,
        Command::Down(args) => down::run(context, args).await,
        Command::Ps => ps::run(context).await,
        Command::Logs(args) => logs::run(context, args).await,
        Command::Scale(args) => scale::run(context, args).await,
        Command::Restart(args) => restart::run(context, args).await,
        Command::Verify(args) => verify::run(context, args).await,
        Command::Inspect(args) => inspect::run(context, args).await,
        Command::Config(args) => config::run(context, &args),
        Command::Console(args) => console::run(context, args).await,
        Command::Replay(args) => replay::run(context, args).await,
        Command::Requests(args) => requests::run(context, args).await,
        Command::Backup(args) => backup::run(context, args).await,
        Command::Restore(args) => restore::run(context, args).await,
        // Answered before: one needs neither an engine nor a Compose file, one no interruption from
        // outside, and one is about a Swarm.
        Command::Probe(_) | Command::Lab(_) | Command::Nodes { .. } => Ok(()),
    }
}

/// Whether the command goes on until it is ended from outside, which is no failure then.
fn is_endless(command: &Command) -> bool {
    matches!(
        command,
        Command::Verify(Verify { watch: Some(_) })
            | Command::Logs(Logs { follow: true, .. })
            | Command::Requests(Requests { follow: true, .. })
            | Command::Console(_)
    )
}

/// What to do when it was interrupted.
fn after_interruption(command: &Command) -> &'static str {
    match command {
        Command::Backup(_) => "no file was written: run the backup again",
        Command::Restore(_) => "run the same command again: it stores what is missing",
        _ => "nothing is lost: the next `deploy up` finishes the job",
    }
}

/// What has been brought up is verified, where that is wanted. What failed says how to get back to what
/// ran before.
async fn verified(
    engine: &Engine,
    output: &Output,
    project: &Project,
    wanted: bool,
    applied: Result<Applied>,
) -> Result<Applied> {
    let outcome = async {
        let applied = applied?;
        if wanted {
            let project = as_it_runs(engine, project.clone()).await?;
            let subject = netcheck::verify::Subject {
                engine,
                project: &project,
                secrets: &secret_values(&project),
                image: None,
            };
            netcheck::verify::after_deploy(output, &subject).await?;
        }
        Ok(applied)
    };
    outcome
        .await
        .map_err(|err| crate::releases::with_way_back(project, err))
}

/// The project with those services, too, that run although their profiles aren't enabled.
async fn as_it_runs(engine: &Engine, project: Project) -> Result<Project> {
    if project.disabled.services.is_empty() {
        return Ok(project);
    }
    let state = State::observe(engine, &project.name).await?;
    let runs = |name: &str| {
        state
            .of_service(name)
            .any(|it| it.status == Status::Running)
    };
    Ok(project.with_disabled(runs))
}
