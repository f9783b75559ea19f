//! Runs a command in a running container, with something for it to read, or to be read from it.
//!
//! What it reads goes over standard input alone: the engine shows the arguments and the
//! environment of a command to everybody who may ask it.

mod running;

use std::io::ErrorKind;
use std::pin::Pin;
use std::time::Duration;

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::errors::Error as EngineError;
use bollard::exec::{StartExecOptions, StartExecResults};
use bollard::models::ExecConfig;
use futures_util::{Stream, StreamExt};
pub use running::{Input, Output, Running};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::Engine;
use crate::error::{EngineContext, Error, Result};
use crate::state::Container;

/// Generous: where MongoDB is emulated and the machine busy, its shell alone takes
/// half a minute to start.
const TIMEOUT: Duration = Duration::from_secs(120);
/// How often the engine is asked whether a command has ended.
const INTERVAL: Duration = Duration::from_millis(50);
/// Bytes of the end of what a command writes that are kept, where it may be long.
const KEPT: usize = 16 << 10;

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit status.
    pub status: i64,
    /// What it wrote to standard output and standard error.
    pub said: String,
}

/// A running container that a command is to run in.
#[derive(Debug, Clone, Copy)]
pub struct Within<'a> {
    /// The engine's id.
    pub id: &'a str,
    /// For people.
    pub name: &'a str,
}

impl<'a> From<&'a Container> for Within<'a> {
    fn from(container: &'a Container) -> Self {
        Self {
            id: &container.id,
            name: &container.name,
        }
    }
}

/// Runs `command` in `container`, writes `input` to it, and waits for its end.
///
/// # Errors
/// When the engine can't, or the command doesn't end in time. That it fails is no error here.
pub async fn run(
    engine: &Engine,
    container: impl Into<Within<'_>>,
    command: &[String],
    input: &[u8],
) -> Result<Ended> {
    let (status, pieces) = ended(engine, container.into(), command, input).await?;
    let said: Vec<u8> = pieces.into_iter().flat_map(LogOutput::into_bytes).collect();
    Ok(Ended {
        status,
        said: String::from_utf8_lossy(&said).into_owned(),
    })
}

/// What `command` writes to standard output in `container`. It isn't part of any error.
///
/// # Errors
/// When the engine can't, or the command doesn't end in time, or fails.
pub async fn read(
    engine: &Engine,
    container: impl Into<Within<'_>>,
    command: &[String],
) -> Result<Vec<u8>> {
    let container = container.into();
    let (status, pieces) = ended(engine, container, command, b"").await?;
    let (mut read, mut said) = (Vec::new(), Vec::new());
    for piece in pieces {
        match piece {
            LogOutput::StdErr { message } => said.extend_from_slice(&message),
            piece => read.extend_from_slice(&piece.into_bytes()),
        }
    }
    let reason = match status {
        0 => return Ok(read),
        126 | 127 => "its image has no such program".to_owned(),
        status => format!("status {status}: {}", String::from_utf8_lossy(&said).trim()),
    };
    Err(Error::failed(
        format!("could not {}: {reason}", doing(container, command)),
        "see what the container does (`deploy logs`), then run again",
    ))
}

fn doing(container: Within<'_>, command: &[String]) -> String {
    let program = command.first().map_or("nothing", String::as_str);
    format!("run {program} in {}", container.name)
}

/// Runs a command to its end: its status, and what it wrote, in order.
async fn ended(
    engine: &Engine,
    container: Within<'_>,
    command: &[String],
    input: &[u8],
) -> Result<(i64, Vec<LogOutput>)> {
    let doing = || doing(container, command);
    tokio::time::timeout(TIMEOUT, attached(engine, container, command, input, doing))
        .await
        .unwrap_or_else(|_| {
            Err(Error::failed(
                format!(
                    "could not {}: no end within {} s",
                    doing(),
                    TIMEOUT.as_secs()
                ),
                "see what the container does (`deploy logs`), then run again",
            ))
        })
}

async fn attached(
    engine: &Engine,
    container: Within<'_>,
    command: &[String],
    input: &[u8],
    doing: impl Fn() -> String,
) -> Result<(i64, Vec<LogOutput>)> {
    let docker = engine.docker();
    let Attached {
        id,
        mut output,
        input: mut writer,
    } = attach(docker, container, command, None, &doing).await?;
    let written = async {
        writer.write_all(input).await?;
        writer.shutdown().await
    };
    match written.await {
        // It ended without reading; its status says what that means.
        Err(err)
            if matches!(
                err.kind(),
                ErrorKind::BrokenPipe | ErrorKind::ConnectionReset
            ) => {}
        result => result
            .map_err(|err| Error::failed(format!("could not {}: {err}", doing()), "run again"))?,
    }
    let mut said = Vec::new();
    while let Some(chunk) = output.next().await {
        said.push(chunk.doing(&doing)?);
    }
    let status = status(docker, &id).await.doing(&doing)?;
    Ok((status, said))
}

/// A command that was started, and the streams to it and from it.
struct Attached {
    id: String,
    output: Pin<Box<dyn Stream<Item = Result<LogOutput, EngineError>> + Send>>,
    input: Pin<Box<dyn AsyncWrite + Send>>,
}

/// Starts a command; `capacity` is how many bytes of what it writes are read at a time, if not the client's own.
async fn attach(
    docker: &Docker,
    container: Within<'_>,
    command: &[String],
    capacity: Option<usize>,
    doing: impl Fn() -> String,
) -> Result<Attached> {
    let config = ExecConfig {
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        cmd: Some(command.to_vec()),
        ..ExecConfig::default()
    };
    let options = capacity.map(|capacity| StartExecOptions {
        output_capacity: Some(capacity),
        ..StartExecOptions::default()
    });
    match start(docker, container, config, options)
        .await
        .doing(&doing)?
    {
        (id, StartExecResults::Attached { output, input }) => Ok(Attached { id, output, input }),
        (_, StartExecResults::Detached) => Err(Error::failed(
            format!("could not {}: the engine detached it", doing()),
            "run again",
        )),
    }
}

/// Starts a command: its id, and its streams.
pub(crate) async fn start(
    docker: &Docker,
    container: Within<'_>,
    config: ExecConfig,
    options: Option<StartExecOptions>,
) -> Result<(String, StartExecResults), EngineError> {
    let exec = docker.create_exec(container.id, config).await?;
    let started = docker.start_exec(&exec.id, options).await?;
    Ok((exec.id, started))
}

/// The exit status of a command whose streams are closed. The engine may learn of its end a moment later.
pub(crate) async fn status(docker: &Docker, id: &str) -> Result<i64, EngineError> {
    loop {
        let ended = docker.inspect_exec(id).await?;
        if let Some(status) = ended.exit_code.filter(|_| ended.running != Some(true)) {
            return Ok(status);
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// The end of what a command writes.
#[derive(Debug, Default)]
pub(crate) struct Tail(Vec<u8>);

impl Tail {
    pub(crate) fn push(&mut self, piece: &[u8]) {
        self.0.extend_from_slice(piece);
        let surplus = self.0.len().saturating_sub(KEPT);
        self.0.drain(..surplus);
    }

    pub(crate) fn into_text(self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }
}
