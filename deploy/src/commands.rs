//! The verbs, one file each, and what they share.

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

use std::cell::RefCell;
use std::env;
use std::process::ExitCode;

use clap::error::ErrorKind;
use compose_file::model::{SecretName, ServiceName};
use compose_file::{self, LoadOptions, Project};
use engine::Engine;
use engine::error::{Error, Result, chain};
use engine::image::Refresh;
use engine::state::{State, Status};
use lab::Lab;
use terminal::interrupted;

use crate::apply::Applied;
use crate::cli::{Cli, Command, Images, Logs, Requests, Verify};
use crate::console::service_of;
use crate::origin::profiles;
use crate::output::{Form, Output};
use crate::secrets::Secrets;
use crate::swarm;

/// What every verb is given.
pub(crate) struct Context {
    pub(crate) output: Output,
    pub(crate) options: LoadOptions,
    /// The project, where it was read already and nobody has taken it yet.
    read: RefCell<Option<Result<Project, compose_file::Error>>>,
}

impl Context {
    /// Whether the files describe a stack for a Swarm. What is wrong with them, whoever reads them says.
    fn is_for_swarm(&self) -> bool {
        let project = compose_file::load(&self.options);
        let answer = project.as_ref().is_ok_and(Project::is_for_swarm);
        self.read.replace(Some(project));
        answer
    }

    /// What `text` describes, which holds only what was enabled.
    pub(crate) fn of_release(&self, text: &str) -> Result<Project, compose_file::Error> {
        let options = LoadOptions {
            profiles: vec!["*".to_owned()],
            ..self.options.clone()
        };
        compose_file::load_text(&options, text)
    }

    /// Reads the Compose files.
    pub(crate) fn project(&self) -> Result<Project> {
        let read = self.read.take();
        let project = read.unwrap_or_else(|| compose_file::load(&self.options));
        let project = project.map_err(|err| file_error(&err))?;
        for warning in &project.warnings {
            self.output.note(&warning.in_file());
        }
        Ok(project)
    }
}

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
    let context = Context {
        output,
        options,
        read: RefCell::default(),
    };
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

pub(crate) fn refresh(images: Images) -> Refresh {
    Refresh {
        build: images.build,
        pull: images.pull,
    }
}

pub(crate) fn file_error(err: &compose_file::Error) -> Error {
    match err {
        compose_file::Error::Read { file, .. } => Error::usage(
            chain(err),
            format!(
                "run in the directory that has {}, or name the file with -f",
                file.display()
            ),
        ),
        compose_file::Error::Invalid { problems } => {
            let mut files: Vec<String> = Vec::new();
            for problem in problems {
                let file = problem.file.display().to_string();
                if !files.contains(&file) {
                    files.push(file);
                }
            }
            let has = if files.len() == 1 { "has" } else { "have" };
            let files = files.join(" and ");
            Error::usage(
                format!("{files} {has} {} problem(s)", problems.len()),
                "correct them and run again",
            )
            .with_details(problems.iter().map(compose_file::Problem::in_file))
        }
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

/// Refuses to bring up nothing.
pub(crate) fn some_enabled(project: &Project) -> Result<()> {
    if !project.services.is_empty() {
        return Ok(());
    }
    Err(Error::usage(
        "no service is enabled: each is of a profile",
        format!(
            "enable one with --profile or COMPOSE_PROFILES: {}",
            profiles(project.disabled.services.values())
        ),
    ))
}

/// The published ports as URLs: those for clients, and the console's.
pub(crate) fn addresses(engine: &Engine, project: &Project) -> (Vec<String>, Option<String>) {
    let ours = service_of(project).unwrap_or_default();
    let all = netcheck::verify::urls(engine, project, ours);
    let (console, clients): (Vec<_>, Vec<_>) = all.partition(|(name, _)| ***name == *ours);
    let urls = clients.into_iter().map(|(_, url)| url);
    (
        urls.collect(),
        console.into_iter().map(|(_, url)| url).next(),
    )
}

/// How `verify` gets at the values of a secret.
pub(crate) fn secret_values(project: &Project) -> impl Fn(&SecretName) -> Vec<String> {
    |name| {
        let secrets = Secrets::read(project).unwrap_or_default();
        let secret = project.secrets.get(name);
        let values = secret.map(|secret| secrets.values(name, secret));
        values.into_iter().flatten().map(str::to_owned).collect()
    }
}

/// Refuses services that the file doesn't have.
pub(crate) fn known_services(project: &Project, names: &[String]) -> Result<()> {
    let unknown: Vec<&str> = names
        .iter()
        .map(String::as_str)
        .filter(|name| !project.services.contains_key(*name))
        .collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let known: Vec<&str> = project.services.keys().map(ServiceName::as_str).collect();
    Err(Error::usage(
        format!("no such service: {}", unknown.join(", ")),
        format!("choose among {}", known.join(", ")),
    ))
}
