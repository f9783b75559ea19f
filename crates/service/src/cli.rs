//! The command line of a service: `--config FILE`, `--help`, and `healthcheck`; and the signals that end
//! it.

use std::{
    ffi::OsString,
    fmt::Display,
    io::{self, Write as _},
    iter,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    healthcheck,
    settings::{SettingsError, Table},
};

/// Exit status for bad arguments and bad settings.
pub const USAGE: u8 = 2;

/// What a tool's own arguments are called here.
const ARGUMENTS: &str = "arguments";

/// A service, as its command line needs it.
pub struct Program<S> {
    /// What its binary is called.
    pub name: &'static str,
    /// The crate's version.
    pub version: &'static str,
    /// What it is, in a line.
    pub about: &'static str,
    /// Its keys.
    pub table: &'static Table,
    /// What `--help` says after the settings.
    pub notes: String,
    /// Reads the settings, from a file as well if one is given.
    pub load: fn(Option<&Path>) -> Result<S, SettingsError>,
    /// Where the running service is asked how it is.
    pub admin: fn(&S) -> SocketAddr,
    /// Runs the service to its end.
    pub serve: fn(S) -> ExitCode,
    /// What else it can be asked for, which takes none of its settings.
    pub tools: &'static [Tool],
}

/// A subcommand beside the service.
pub struct Tool {
    /// Its name.
    pub name: &'static str,
    /// What it does, in a line.
    pub about: &'static str,
    /// Whether it reads arguments of its own.
    pub has_arguments: bool,
    /// Does it, with these arguments.
    pub run: fn(&[OsString]) -> ExitCode,
}

impl<S> Program<S> {
    /// Does what the process's arguments say.
    pub fn run(&self) -> ExitCode {
        self.run_as(&self.command().get_matches())
    }

    /// Does what these arguments say, which are a tool's ([`Tool::has_arguments`]).
    pub fn run_with(&self, arguments: &[OsString]) -> ExitCode {
        let name = OsString::from(self.name);
        let all = iter::once(&name).chain(arguments);
        self.run_as(&self.command().get_matches_from(all))
    }

    fn run_as(&self, matches: &ArgMatches) -> ExitCode {
        let asked = |tool: &&Tool| matches.subcommand_name() == Some(tool.name);
        if let Some(tool) = self.tools.iter().find(asked) {
            let given = matches.subcommand_matches(tool.name);
            let given = given.filter(|_| tool.has_arguments);
            let given = given.and_then(|it| it.get_many::<OsString>(ARGUMENTS));
            return (tool.run)(&given.into_iter().flatten().cloned().collect::<Vec<_>>());
        }
        let file = matches.get_one::<PathBuf>("config");
        let settings = match (self.load)(file.map(PathBuf::as_path)) {
            Ok(settings) => settings,
            Err(error) => return fail(USAGE, error),
        };
        match matches.subcommand_matches("healthcheck") {
            None => (self.serve)(settings),
            Some(arguments) => {
                let ready = arguments.get_flag("ready");
                let path = if ready { "/readyz" } else { "/healthz" };
                match healthcheck::ask((self.admin)(&settings), path) {
                    Ok(()) => ExitCode::SUCCESS,
                    Err(unhealthy) => fail(1, unhealthy),
                }
            }
        }
    }

    fn command(&self) -> Command {
        let config = Arg::new("config")
            .long("config")
            .value_name("FILE")
            .value_parser(value_parser!(PathBuf))
            .global(true)
            .help("Settings in TOML; the environment wins over them");
        let ready = Arg::new("ready")
            .long("ready")
            .action(ArgAction::SetTrue)
            .help("Ask whether it can serve requests, too");
        let healthcheck = Command::new("healthcheck")
            .about("Ask the running service whether it is alive: exit code 0 or 1")
            .arg(ready);
        let settings = format!(
            "Settings, by environment variable (in a --config file: the lower-case name without {}):\
             \n\n{}\n{}",
            self.table.prefix,
            self.table.help(),
            self.notes
        );
        Command::new(self.name)
            .version(self.version)
            .about(self.about)
            .after_help(settings)
            .arg(config)
            .subcommand(healthcheck)
            .subcommands(self.tools.iter().map(Tool::command))
    }
}

impl Tool {
    fn command(&self) -> Command {
        let command = Command::new(self.name).about(self.about);
        if !self.has_arguments {
            return command;
        }
        let arguments = Arg::new(ARGUMENTS)
            .num_args(0..)
            .trailing_var_arg(true)
            .allow_hyphen_values(true)
            .value_parser(value_parser!(OsString));
        // Its own, and not what is said here of it.
        command.disable_help_flag(true).arg(arguments)
    }
}

/// Says on standard error why the process ends, and with which exit code it does.
pub fn fail(code: u8, reason: impl Display) -> ExitCode {
    // Nobody to tell if standard error is gone.
    let _ = writeln!(io::stderr(), "error: {reason}");
    ExitCode::from(code)
}

/// Waits for SIGTERM or SIGINT.
pub async fn stop_signal() {
    let (Ok(mut terminate), Ok(mut interrupt)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        tracing::error!("signals can't be handled here; stop the process with SIGKILL");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
