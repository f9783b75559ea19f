//! `proxy healthcheck`: asks the running proxy's admin listener. For images without a shell.
//!
//! Where there is an admin socket it is asked there: at an address another process might answer.

use std::{
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use socket2::{Domain, SockAddr, Socket, Type};
use thiserror::Error;

use crate::config::Settings;

/// Longest wait for each step.
const TIME_LIMIT: Duration = Duration::from_secs(3);

/// Why the proxy isn't healthy.
#[derive(Debug, Error)]
pub enum Unhealthy {
    /// It can't be asked.
    #[error("{address}: {error}")]
    Unreachable {
        /// Where it was asked.
        address: String,
        /// What the system says.
        error: io::Error,
    },
    /// It said no.
    #[error("{0}")]
    Refused(String),
}

/// Asks `/healthz`, or `/readyz`, of the proxy that runs with these settings.
pub fn run(settings: &Settings, ready: bool) -> Result<(), Unhealthy> {
    let path = if ready { "/readyz" } else { "/healthz" };
    let (address, answer) = if let Some(socket) = &settings.admin_socket {
        (socket.display().to_string(), ask_socket(socket, path))
    } else {
        let address = reachable(settings.admin_listen);
        (address.to_string(), ask_address(address, path))
    };
    let answer = answer.map_err(|error| Unhealthy::Unreachable { address, error })?;
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

/// An address to listen on everywhere is reached on the loopback interface.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

fn ask_address(address: SocketAddr, path: &str) -> io::Result<String> {
    let stream = TcpStream::connect_timeout(&address, TIME_LIMIT)?;
    stream.set_read_timeout(Some(TIME_LIMIT))?;
    stream.set_write_timeout(Some(TIME_LIMIT))?;
    ask(stream, path)
}

fn ask_socket(socket: &Path, path: &str) -> io::Result<String> {
    // The standard library's own would wait without limit where the backlog is full.
    let stream = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    stream.connect_timeout(&SockAddr::unix(socket)?, TIME_LIMIT)?;
    let stream = UnixStream::from(stream);
    stream.set_read_timeout(Some(TIME_LIMIT))?;
    stream.set_write_timeout(Some(TIME_LIMIT))?;
    ask(stream, path)
}

fn ask(mut stream: impl Read + Write, path: &str) -> io::Result<String> {
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.take(64 * 1024).read_to_string(&mut answer)?;
    Ok(answer)
}
