//! `deploy probe`: the answering side of a probe, run inside a container (hidden from `--help`).

use std::io::{Read, Write, stderr, stdin, stdout};
use std::process::ExitCode;

use crate::cli::Probe;
use crate::probe::{Report, Request};

/// Answers one request with one JSON document. The asking side reads it, or the reason on standard
/// error.
pub(super) fn run(args: &Probe) -> ExitCode {
    let written = match answer(args) {
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

fn answer(args: &Probe) -> Result<String, String> {
    // The pieces are joined because a single argument has a length limit (`MAX_ARG_STRLEN`).
    let mut text = args.request.concat();
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
    Ok(crate::probe::sandbox::report(request).await)
}

#[cfg(not(target_os = "linux"))]
async fn look(_: &Request) -> Result<Report, String> {
    Err("a probe looks into Linux network namespaces and runs in a container only".to_owned())
}
