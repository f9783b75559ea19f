//! The command line.

use std::{
    env,
    io::{self, Write},
    process::ExitCode,
};

use crate::{
    config::{KEYS, PREFIX, Settings},
    error::Error,
    handover::{Handover, stop_signals},
    healthcheck, sockets,
};

/// Exit status for bad arguments and bad settings.
const USAGE: u8 = 2;

/// Runs what the arguments and the environment ask for.
pub fn run() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let command = match arguments[..] {
        [] => serve,
        ["healthcheck"] => |settings: &Settings| healthcheck::run(&settings.socket),
        ["--help" | "-h"] => {
            let _ = io::stdout().write_all(help().as_bytes());
            return ExitCode::SUCCESS;
        }
        _ => {
            say("error: expected no argument, or healthcheck, or --help");
            return ExitCode::from(USAGE);
        }
    };
    match Settings::load(env::vars()).and_then(|settings| command(&settings)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {error}"));
            ExitCode::from(if error.is_usage() { USAGE } else { 1 })
        }
    }
}

fn serve(settings: &Settings) -> Result<(), Error> {
    // Before anything can answer a health check: as process 1 of a container, one without a
    // handler doesn't even die of SIGTERM.
    let stop = stop_signals().map_err(Error::Signals)?;
    let sockets = sockets::bind(settings.listen, settings.count).map_err(|error| Error::Bind {
        address: settings.listen,
        error,
    })?;
    let handover = Handover::open(&settings.socket, sockets, stop)?;
    say(&format!(
        "listening on {} with {} sockets, handed over at {}",
        settings.listen,
        settings.count,
        settings.socket.display()
    ));
    handover.run()?;
    say("stopped");
    Ok(())
}

fn help() -> String {
    let keys = KEYS.iter().map(|key| {
        let (name, help, default) = (key.name, key.help, key.default);
        format!("  {PREFIX}{name:<8} {help} [default: {default}]\n")
    });
    let usage = "Holds listening sockets and hands them to whoever connects to its Unix socket.\n\n\
                 Usage: listener [healthcheck]\n\nEnvironment:\n";
    std::iter::once(usage.to_owned()).chain(keys).collect()
}

/// A line of log; there is nobody to tell if that fails.
pub(crate) fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
