//! Asking a running service how it is, at its admin address: for images without a shell.

use std::{
    error::Error,
    fmt,
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use crate::sockets::reachable;

/// Longest wait for each step.
const TIME_LIMIT: Duration = Duration::from_secs(3);

/// Why a service isn't healthy.
#[derive(Debug)]
pub enum Unhealthy {
    /// It can't be asked.
    NoAnswer(SocketAddr, io::Error),
    /// What it said, other than 200.
    Refused(SocketAddr, String),
}

impl fmt::Display for Unhealthy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAnswer(address, error) => write!(f, "no answer from {address}: {error}"),
            Self::Refused(address, answer) => write!(f, "{address} says: {answer}"),
        }
    }
}

impl Error for Unhealthy {}

/// Asks for `path` at the admin address that a service listens on.
pub fn ask(listen: SocketAddr, path: &str) -> Result<(), Unhealthy> {
    let address = reachable(listen);
    let answer = exchange(address, path).map_err(|error| Unhealthy::NoAnswer(address, error))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) == Some("200") {
        return Ok(());
    }
    let answer = format!("{path}: {status}: {}", body.trim());
    Err(Unhealthy::Refused(address, answer))
}

fn exchange(address: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, TIME_LIMIT)?;
    stream.set_read_timeout(Some(TIME_LIMIT))?;
    stream.set_write_timeout(Some(TIME_LIMIT))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    stream.take(64 * 1024).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
