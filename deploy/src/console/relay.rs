//! The way to a console whose port is published nowhere, as on a Swarm: a program in its container
//! (`console relay`) passes bytes between the console and a stream of the engine's. Each connection is one
//! run of it, which ends with the connection.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use engine::Engine;
use engine::error::{Error, Result};
use engine::exec::{Input, Output, Running, Within};
use engine::state::Container;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

/// The program, and what it is asked for.
const COMMAND: [&str; 2] = ["/console", "relay"];
/// Bytes of each direction that wait for whoever reads them.
const BUFFER: usize = 64 << 10;
/// After a connection that couldn't be accepted.
const PAUSE: Duration = Duration::from_millis(100);

/// A container of the console's that connections can be had to.
pub(crate) struct Relay {
    engine: Engine,
    /// The container's id, and its name for people.
    id: String,
    name: String,
}

impl Relay {
    pub(super) fn new(engine: &Engine, container: Container) -> Self {
        Self {
            engine: engine.clone(),
            id: container.id,
            name: container.name,
        }
    }

    /// For people.
    pub(super) fn container(&self) -> &str {
        &self.name
    }

    /// Connects. What keeps the program from its work shows as the connection's end.
    pub(super) async fn connect(&self) -> Result<DuplexStream> {
        let running = self.start().await?;
        let (near, far) = duplex(BUFFER);
        tokio::spawn(pass(running, far));
        Ok(near)
    }

    async fn start(&self) -> Result<Running> {
        let command = COMMAND.map(str::to_owned);
        let container = Within {
            id: &self.id,
            name: &self.name,
        };
        Running::start(&self.engine, container, &command).await
    }

    /// Listens for browsers of this machine: at `port` if that is free.
    pub(crate) async fn listen(port: u16) -> Result<(TcpListener, u16)> {
        let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let listener = match TcpListener::bind(at(port)).await {
            Ok(listener) => Ok(listener),
            Err(_) => TcpListener::bind(at(0)).await,
        };
        let bound = listener.and_then(|it| {
            let port = it.local_addr()?.port();
            Ok((it, port))
        });
        bound.map_err(|err| {
            Error::failed(
                format!("can't listen on 127.0.0.1: {err}"),
                "see the limits of this user (`ulimit -a`)",
            )
        })
    }

    /// Passes on each connection, until the engine doesn't any more.
    pub(crate) async fn serve(&self, listener: TcpListener) -> Result<()> {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                // For want of descriptors, most likely.
                sleep(PAUSE).await;
                continue;
            };
            let running = self.start().await?;
            tokio::spawn(pass::<TcpStream>(running, stream));
        }
    }
}

/// Passes bytes on in both directions, until the program ends or whoever is at the other end does.
async fn pass<S: AsyncRead + AsyncWrite>(running: Running, stream: S) {
    let Running { input, output } = running;
    let (reader, writer) = split(stream);
    tokio::select! {
        () = forth(reader, input) => {}
        () = back(output, writer) => {}
    }
}

async fn forth(mut reader: impl AsyncRead + Unpin, mut input: Input) {
    let mut buffer = vec![0; BUFFER];
    while let Ok(read @ 1..) = reader.read(&mut buffer).await {
        if !matches!(input.write(&buffer[..read]).await, Ok(true)) {
            return;
        }
    }
}

async fn back(mut output: Output, mut writer: impl AsyncWrite + Unpin) {
    while let Ok(Some(piece)) = output.read().await {
        if writer.write_all(&piece).await.is_err() {
            return;
        }
    }
    // Whoever is at the other end may see the end all the same, when the stream is dropped.
    _ = writer.shutdown().await;
}
