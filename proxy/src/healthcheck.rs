//! `proxy healthcheck`: asks the running proxy's admin listener. For images without a shell.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use service::sockets::reachable;
use thiserror::Error;

/// Longest wait for each step.
const TIME_LIMIT: Duration = Duration::from_secs(3);

/// Why the proxy isn't healthy.
#[derive(Debug, Error)]
pub enum Unhealthy {
    /// It can't be asked.
    #[error("{address}: {error}")]
    Unreachable {
        /// Where it was asked.
        address: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
    /// It said no.
    #[error("{0}")]
    Refused(String),
}

/// Asks `/healthz`, or `/readyz`, of the admin listener at `listen`.
pub fn run(listen: SocketAddr, ready: bool) -> Result<(), Unhealthy> {
    let address = reachable(listen);
    let path = if ready { "/readyz" } else { "/healthz" };
    let answer = ask(address, path).map_err(|error| Unhealthy::Unreachable { address, error })?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) == Some("200") {
        return Ok(());
    }
    Err(Unhealthy::Refused(format!(
        "{path}: {status}: {}",
        body.trim()
    )))
}

fn ask(address: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, TIME_LIMIT)?;
    stream.set_read_timeout(Some(TIME_LIMIT))?;
    stream.set_write_timeout(Some(TIME_LIMIT))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.take(64 * 1024).read_to_string(&mut answer)?;
    Ok(answer)
}
