//! The command line.

use std::{
    env,
    io::{self, Write},
    process::ExitCode,
};

use service::grants;

use crate::{
    config::{KEYS, PREFIX, Settings},
    error::Error,
    handover::{Handover, MAX_HOLDERS, stop_signals},
    healthcheck,
    sockets::Sockets,
};

/// Exit status for bad arguments and bad settings.
const USAGE: u8 = 2;
/// Descriptors for all but the sockets: standard streams, signals, the Unix socket, connections.
const OTHER_FILES: usize = MAX_HOLDERS + 10;

/// Runs what the arguments and the environment ask for.
pub fn run() -> ExitCode {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(|it| it.to_string_lossy()).collect();
    let arguments: Vec<&str> = arguments.iter().map(AsRef::as_ref).collect();
    let done = match arguments[..] {
        [] => serve(),
        ["healthcheck"] => {
            Settings::load(env::vars_os()).and_then(|settings| healthcheck::run(&settings.socket))
        }
        ["--help" | "-h"] => {
            let _ = io::stdout().write_all(help().as_bytes());
            return ExitCode::SUCCESS;
        }
        _ => {
            say("error: expected no argument, or healthcheck, or --help");
            return ExitCode::from(USAGE);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {error}"));
            ExitCode::from(if error.is_usage() { USAGE } else { 1 })
        }
    }
}

fn serve() -> Result<(), Error> {
    // First of all: as process 1 of a container, one without a handler doesn't even die of SIGTERM.
    let stop = stop_signals().map_err(Error::Signals)?;
    let settings = Settings::load(env::vars_os())?;
    if !settings.passed_over.is_empty() {
        let names = settings.passed_over.join(", ");
        say(&format!(
            "environment: {names}: describes a service, passed over"
        ));
    }
    // Twice: broken ones are replaced before they are closed.
    let wanted = (2 * settings.count + OTHER_FILES) as u64;
    let granted = grants::open_files(wanted).map_err(Error::OpenFiles)?;
    if granted < wanted {
        return Err(Error::TooFewOpenFiles { granted, wanted });
    }
    let fail = |error| Error::Bind {
        address: settings.listen,
        error,
    };
    let sockets = Sockets::bind(settings.listen, settings.count).map_err(fail)?;
    let address = sockets.address().map_err(fail)?;
    let handover = Handover::open(&settings.socket, sockets, stop)?;
    say(&format!(
        "listening on {address} with {} sockets, handed over at {}",
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
