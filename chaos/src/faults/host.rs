//! Commands on the engine's host, for what no engine offers: signals, packet filters, volumes of a
//! bounded size.

use std::ffi::OsStr;

use deploy::error::{Error, Result};
use rustix::process::geteuid;
use tokio::process::Command;

use crate::stack::Stack;

/// Whether this process is root on the engine's host; otherwise why that matters.
pub(super) fn is_engines(stack: &Stack) -> std::result::Result<(), String> {
    if !stack.engine().is_local() {
        return Err("it needs the engine's host, and this engine is elsewhere".to_owned());
    }
    if !geteuid().is_root() {
        return Err("it needs root".to_owned());
    }
    Ok(())
}

/// Runs a command to its end; its output is what it wrote.
pub(super) async fn run<I, S>(program: &str, arguments: I) -> Result<String>
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    let mut command = Command::new(program);
    command.args(arguments);
    let output = command.output().await.map_err(|error| {
        Error::failed(
            format!("could not run {program}: {error}"),
            format!("install {program} (`make chaos` does) and run the suite again"),
        )
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Error::failed(
        format!(
            "{:?} ended with {}: {}",
            command.as_std(),
            output.status,
            said.trim()
        ),
        "run the suite again; `--only` with the other faults leaves this one out",
    ))
}

/// Runs `iptables` in the network namespace of the process `pid`. Waits for the lock that
/// `iptables` takes, which the engine may hold.
pub(super) async fn iptables(pid: i32, arguments: &str) -> Result<()> {
    let pid = pid.to_string();
    let enter = ["-t", &pid, "-n", "iptables", "-w"];
    let arguments = enter.into_iter().chain(arguments.split_whitespace());
    run("nsenter", arguments).await.map(drop)
}
