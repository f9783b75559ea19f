//! Commands on the engine's host, for what no engine offers: signals, packet filters, volumes of a
//! bounded size.

use std::ffi::OsStr;

use engine::Engine;
use engine::error::{Error, Result};
use rustix::process::geteuid;
use tokio::process::Command;

/// Makes sure that this process is root on the engine's host.
///
/// # Errors
/// When it isn't.
pub(crate) fn is_engines(engine: &Engine) -> Result<()> {
    if engine.is_local() && geteuid().is_root() {
        return Ok(());
    }
    Err(Error::failed(
        "the suite enters the database's network and kills processes behind the engine's back, which \
         takes root on the engine's host",
        "run it there as root",
    ))
}

/// Runs a command to its end; its output is what it wrote.
pub(crate) async fn run<I, S>(program: &str, arguments: I) -> Result<String>
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
pub(crate) async fn iptables(pid: i32, arguments: &str) -> Result<()> {
    let pid = pid.to_string();
    let enter = ["-t", &pid, "-n", "iptables", "-w"];
    let arguments = enter.into_iter().chain(arguments.split_whitespace());
    run("nsenter", arguments).await.map(drop)
}

/// Makes sure that the kernel can follow so many connections at a time; beyond them it drops what is
/// new. A kernel that follows none has no such limit.
///
/// # Errors
/// When it can't.
pub(crate) fn tracks_connections(wanted: usize) -> Result<()> {
    let name = "net.netfilter.nf_conntrack_max";
    let path = format!("/proc/sys/{}", name.replace('.', "/"));
    let limit = std::fs::read_to_string(path).ok();
    let limit = limit.and_then(|text| text.trim().parse::<usize>().ok());
    match limit {
        Some(limit) if limit < wanted => Err(Error::failed(
            format!("{name} is {limit}: an attack takes {wanted}"),
            format!("sysctl -w {name}={wanted}"),
        )),
        _ => Ok(()),
    }
}
