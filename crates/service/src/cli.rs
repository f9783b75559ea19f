//! The command line of a service: `--config FILE`, `--help`, and `healthcheck`; and the signals that end
//! it.

use std::{
    fmt::Display,
    io::{self, Write as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Arg, ArgAction, Command, value_parser};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    healthcheck,
    settings::{SettingsError, Table},
};

/// Exit status for bad arguments and bad settings.
pub const USAGE: u8 = 2;

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
    /// What else it can be asked for, which takes no settings.
    pub tools: &'static [Tool],
}

/// A subcommand beside the service.
pub struct Tool {
    /// Its name.
    pub name: &'static str,
    /// What it does, in a line.
    pub about: &'static str,
    /// Does it.
    pub run: fn() -> ExitCode,
}

impl<S> Program<S> {
    /// Does what the arguments say.
    pub fn run(&self) -> ExitCode {
        let matches = self.command().get_matches();
        let asked = |tool: &&Tool| matches.subcommand_name() == Some(tool.name);
        if let Some(tool) = self.tools.iter().find(asked) {
            return (tool.run)();
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
            .subcommands(
                self.tools
                    .iter()
                    .map(|tool| Command::new(tool.name).about(tool.about)),
            )
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
