//! The command line.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use tracing::info;

use crate::{
    config::{KEYS, PREFIX, Settings},
    healthcheck,
    startup::Application,
    telemetry,
    worker::budget,
};

/// Reverse proxy for HTTP/1.1 that follows its upstream through DNS.
#[derive(Debug, Parser)]
#[command(name = "proxy", version)]
struct Arguments {
    /// Settings in TOML; the environment wins over them
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Ask the running proxy whether it is alive: exit code 0 or 1
    Healthcheck {
        /// Ask whether it can serve requests, too
        #[arg(long)]
        ready: bool,
    },
}

/// Settings that can't be used, or arguments.
const USAGE: u8 = 2;

/// Does what the arguments and the environment say; returns when that is done.
pub fn run() -> ExitCode {
    let matches = Arguments::command().after_help(keys_help()).get_matches();
    let arguments = match Arguments::from_arg_matches(&matches) {
        Ok(arguments) => arguments,
        Err(error) => error.exit(),
    };
    let settings = match Settings::load(arguments.config.as_deref(), std::env::vars_os()) {
        Ok(settings) => settings,
        Err(error) => return fail(USAGE, &error.to_string()),
    };
    match arguments.command {
        Some(Command::Healthcheck { ready }) => {
            match healthcheck::run(settings.admin_listen, ready) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => fail(1, &format!("unhealthy: {error}")),
            }
        }
        None => serve(settings),
    }
}

fn serve(settings: Settings) -> ExitCode {
    let guard = match telemetry::init(settings.access_log) {
        Ok(guard) => guard,
        Err(error) => return fail(USAGE, &error.to_string()),
    };
    if !settings.passed_over.is_empty() {
        info!(
            variables = settings.passed_over.join(" "),
            "variables that describe other services are no settings"
        );
    }
    if !settings.trusted_proxies.is_empty() {
        info!(addresses = %settings.trusted_proxies, "X-Forwarded-For is believed of these");
    }
    let code = match Application::build(settings, guard.sink()) {
        Ok(application) => {
            application.run_until_stopped();
            ExitCode::SUCCESS
        }
        Err(error) => fail(1, &error.to_string()),
    };
    drop(guard);
    code
}

/// Says on standard error why the process ends.
fn fail(code: u8, message: &str) -> ExitCode {
    // Nobody to tell if standard error is gone.
    let _ = writeln!(io::stderr(), "proxy: {message}");
    ExitCode::from(code)
}

/// Every key with its default, for `--help`.
fn keys_help() -> String {
    let mut help = "Settings, from the environment or, in lower case and without the prefix, from \
                    the file:\n"
        .to_owned();
    for key in KEYS {
        // Writing to a String can't fail.
        let _ = writeln!(
            help,
            "  {PREFIX}{:<23} {} [default: {}]",
            key.name.to_uppercase(),
            key.help,
            if key.default.is_empty() {
                "none"
            } else {
                key.default
            },
        );
    }
    help.push('\n');
    help.push_str(budget::HELP);
    help.push_str("\nRUST_LOG filters the log (default: info); the access log has its own switch.");
    help
}
