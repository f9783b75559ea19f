//! The hidden `probe` subcommand of our commands: the answering side, run inside a container.

use std::io::{Read, Write, stderr, stdin, stdout};
use std::process::ExitCode;

use super::{Report, Request};

/// Answers one request with one JSON document. The asking side reads it, or the reason on standard
/// error.
///
/// `pieces` are the request's, joined because a single argument has a length limit
/// (`MAX_ARG_STRLEN`); without any, standard input is read.
pub fn run(pieces: &[String]) -> ExitCode {
    let written = match answer(pieces) {
        Ok(report) => writeln!(stdout(), "{report}").is_ok(),
        Err(reason) => {
            // Whoever asked may be gone; the exit status says it too.
            let _ = writeln!(stderr(), "probe: {reason}");
            false
        }
    };
    if written {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn answer(pieces: &[String]) -> Result<String, String> {
    let mut text = pieces.concat();
    if text.is_empty() {
        stdin()
            .read_to_string(&mut text)
            .map_err(|error| format!("standard input: {error}"))?;
    }
    let request: Request = serde_json::from_str(&text)
        .map_err(|error| format!("the request isn't what is expected: {error}"))?;
    // One thread: a probe's container may hold only a few.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let report = runtime.block_on(look(&request))?;
    serde_json::to_string(&report).map_err(|error| error.to_string())
}

#[cfg(target_os = "linux")]
async fn look(request: &Request) -> Result<Report, String> {
    Ok(super::sandbox::report(request).await)
}

#[cfg(not(target_os = "linux"))]
async fn look(_: &Request) -> Result<Report, String> {
    Err("a probe looks into Linux network namespaces and runs in a container only".to_owned())
}
