//! A command whose input and output are streams: however much it is, a piece at a time is in memory. Who
//! reads slowly slows the command down, and a command that reads slowly whoever writes to it.

use std::io::ErrorKind;
use std::pin::Pin;
use std::time::Duration;

use bollard::Docker;
use bollard::container::LogOutput;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::{Attached, Ended, Tail, Within, attach, doing, status};
use crate::Engine;
use crate::error::{EngineContext, Error, Result};

/// Bytes of output that are read at a time; the engine's own pieces are 32 KiB.
const PIECE: usize = 64 << 10;
/// How long the engine may take to tell the status of a command whose streams are closed.
const PATIENCE: Duration = Duration::from_secs(30);

/// A command that runs in a container.
pub struct Running {
    /// To its standard input.
    pub input: Input,
    /// From its standard output.
    pub output: Output,
}

/// Standard input of a command. The command reads its end when this is dropped, or this process ends.
pub struct Input {
    stream: Pin<Box<dyn AsyncWrite + Send>>,
    doing: String,
}

/// Standard output of a command, and how it ends.
pub struct Output {
    docker: Docker,
    id: String,
    stream: Pin<Box<dyn Stream<Item = Result<LogOutput, bollard::errors::Error>> + Send>>,
    said: Tail,
    doing: String,
}

impl Running {
    /// Starts `command` in `container`.
    ///
    /// # Errors
    /// When the engine can't.
    pub async fn start(
        engine: &Engine,
        container: impl Into<Within<'_>>,
        command: &[String],
    ) -> Result<Self> {
        let container = container.into();
        let doing = doing(container, command);
        let docker = engine.docker();
        let attached = attach(docker, container, command, Some(PIECE), || doing.clone()).await?;
        let Attached { id, output, input } = attached;
        Ok(Self {
            input: Input {
                stream: input,
                doing: doing.clone(),
            },
            output: Output {
                docker: docker.clone(),
                id,
                stream: output,
                said: Tail::default(),
                doing,
            },
        })
    }
}

impl Input {
    /// Writes the next piece. False: the command doesn't read any more, and how it ends says why.
    ///
    /// # Errors
    /// When the connection to the engine breaks.
    pub async fn write(&mut self, piece: &[u8]) -> Result<bool> {
        let written = self.stream.write_all(piece).await;
        self.still_read(written)
    }

    /// Ends it.
    ///
    /// # Errors
    /// When the connection to the engine breaks.
    pub async fn end(mut self) -> Result<bool> {
        let ended = self.stream.shutdown().await;
        self.still_read(ended)
    }

    fn still_read(&self, written: std::io::Result<()>) -> Result<bool> {
        match written {
            Ok(()) => Ok(true),
            Err(err)
                if matches!(
                    err.kind(),
                    ErrorKind::BrokenPipe | ErrorKind::ConnectionReset
                ) =>
            {
                Ok(false)
            }
            Err(err) => Err(Error::no_engine(
                format!(
                    "could not {}: the connection to the engine broke: {err}",
                    self.doing
                ),
                "see that the engine runs (`docker info`), then run again",
            )),
        }
    }
}

impl Output {
    /// The next piece; none when it is over.
    ///
    /// # Errors
    /// When the connection to the engine breaks.
    pub async fn read(&mut self) -> Result<Option<Bytes>> {
        while let Some(piece) = self.stream.next().await {
            match piece.doing(|| self.doing.clone())? {
                LogOutput::StdErr { message } => self.said.push(&message),
                piece => return Ok(Some(piece.into_bytes())),
            }
        }
        Ok(None)
    }

    /// How the command ended, and what it wrote to standard error. What it still writes to standard output
    /// is passed over.
    ///
    /// # Errors
    /// When the connection to the engine breaks, or the engine doesn't tell.
    pub async fn end(mut self) -> Result<Ended> {
        while self.read().await?.is_some() {}
        let status = tokio::time::timeout(PATIENCE, status(&self.docker, &self.id)).await;
        let status = status.map_err(|_| {
            Error::failed(
                format!(
                    "could not {}: the engine doesn't say how it ended",
                    self.doing
                ),
                "see whether the engine is well (`docker info`), then run again",
            )
        })?;
        let status = status.doing(|| self.doing.clone())?;
        Ok(Ended {
            status,
            said: self.said.into_text(),
        })
    }
}
