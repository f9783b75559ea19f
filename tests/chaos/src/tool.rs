//! The `deploy` command, for a project of the suite's own.

use std::path::PathBuf;
use std::process::Stdio;

use engine::error::{Error, Result};
use tokio::process::Command;

/// How `deploy` is run.
#[derive(Debug, Clone)]
pub(crate) struct Tool {
    pub(crate) path: PathBuf,
    pub(crate) project: String,
    /// The ports that the stack publishes on 127.0.0.1.
    pub(crate) port: u16,
    pub(crate) tls_port: u16,
    pub(crate) console_port: u16,
    /// The directory that the proxy watches for certificates.
    pub(crate) certificates: PathBuf,
}

impl Tool {
    /// Runs it. In a process group of its own: a Ctrl-C is for this process, which then takes the stack
    /// down.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Result<()> {
        let mut command = Command::new(&self.path);
        command
            .args(["--project", &self.project])
            .args(arguments)
            .env("CAUSEWAY_BIND", "127.0.0.1")
            .env("CAUSEWAY_PORT", self.port.to_string())
            .env("CAUSEWAY_TLS_PORT", self.tls_port.to_string())
            .env("CAUSEWAY_CONSOLE_PORT", self.console_port.to_string())
            .env("CAUSEWAY_CERTIFICATES", &self.certificates)
            .stdin(Stdio::null())
            .process_group(0)
            .kill_on_drop(true);
        let status = command.status().await.map_err(|error| {
            Error::failed(
                format!("could not run {}: {error}", self.path.display()),
                "build it with `make tool`, or name it with --deploy",
            )
        })?;
        if status.success() {
            return Ok(());
        }
        Err(Error::failed(
            format!(
                "`deploy {}` ended with {status}; its message is above",
                arguments.join(" ")
            ),
            "do what that message says, and run the suite again",
        ))
    }
}
