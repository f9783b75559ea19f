//! The command line.

use std::{
    env,
    io::{self, Write},
    process::ExitCode,
};

use handover::MAX_RECEIVERS;
use service::{grants, sockets::ListenError};

use crate::{
    error::Error,
    holder::{Holder, stop_signals},
    log::say,
    settings::{Settings, TABLE},
    sockets::Sockets,
};

/// Exit status for bad arguments and bad settings.
const USAGE: u8 = 2;
/// Descriptors for all but the sockets: standard streams, signals, the Unix socket, connections.
const OTHER_FILES: usize = MAX_RECEIVERS + 10;

/// Runs what the arguments and the environment ask for.
pub fn run() -> ExitCode {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(|it| it.to_string_lossy()).collect();
    let arguments: Vec<&str> = arguments.iter().map(AsRef::as_ref).collect();
    let done = match arguments[..] {
        [] => serve(),
        ["healthcheck"] => check(),
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
            let is_usage = matches!(error, Error::Settings(_));
            ExitCode::from(if is_usage { USAGE } else { 1 })
        }
    }
}

fn serve() -> Result<(), Error> {
    // First of all: as process 1 of a container, one without a handler doesn't even die of SIGTERM.
    let stop = stop_signals().map_err(Error::Signals)?;
    let settings = Settings::load(env::vars_os()).map_err(Error::Settings)?;
    if !settings.passed_over.is_empty() {
        let names = settings.passed_over.join(", ");
        say(&format!(
            "environment: {names}: describes a service, passed over"
        ));
    }
    // Twice: broken ones are replaced before they are closed.
    let count = settings.count * settings.listen.len();
    let wanted = (2 * count + OTHER_FILES) as u64;
    let granted = grants::open_files(wanted).map_err(Error::OpenFiles)?;
    if granted < wanted {
        return Err(Error::TooFewOpenFiles { granted, wanted });
    }
    let mut sockets = Vec::new();
    let mut listening = Vec::new();
    for address in settings.listen {
        let fail = |error| {
            Error::Listen(ListenError {
                key: "LISTENER_LISTEN",
                address,
                error,
            })
        };
        let bound = Sockets::bind(address, settings.count).map_err(fail)?;
        listening.push(bound.address().map_err(fail)?.to_string());
        sockets.push(bound);
    }
    let holder = Holder::open(&settings.socket, sockets, stop)?;
    say(&format!(
        "listening on {} with {count} sockets, handed over at {}",
        listening.join(" and "),
        settings.socket.display()
    ));
    holder.run()?;
    say("stopped");
    Ok(())
}

/// Whether the sockets are handed over, asked as everybody else does.
fn check() -> Result<(), Error> {
    let Settings { socket: path, .. } = Settings::load(env::vars_os()).map_err(Error::Settings)?;
    handover::check(&path).map_err(|error| Error::Socket { path, error })
}

fn help() -> String {
    format!(
        "Holds listening sockets and hands them to whoever connects to its Unix socket.\n\n\
         Usage: listener [healthcheck]\n\nEnvironment:\n{}",
        TABLE.help()
    )
}
