//! `api healthcheck`: asks the running API's admin port, for the image's `HEALTHCHECK`.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use service::sockets::reachable;

/// Longest wait for each step.
const TIMEOUT: Duration = Duration::from_secs(3);

/// What to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// `/healthz`: does the process answer?
    Healthy,
    /// `/readyz`: can it record requests?
    Ready,
}

/// Why the answer isn't yes.
#[derive(Debug, thiserror::Error)]
pub enum Unhealthy {
    /// Nobody answers.
    #[error("no answer from {0}: {1}")]
    NoAnswer(SocketAddr, io::Error),
    /// The answer is no.
    #[error("{0} says: {1}")]
    Refused(SocketAddr, String),
}

/// Asks the API whose admin endpoints listen on `admin`.
pub fn run(admin: SocketAddr, question: Question) -> Result<(), Unhealthy> {
    let address = reachable(admin);
    let answer = ask(address, question).map_err(|error| Unhealthy::NoAnswer(address, error))?;
    if answer.starts_with("HTTP/1.0 200 ") || answer.starts_with("HTTP/1.1 200 ") {
        return Ok(());
    }
    let status = answer.lines().next().unwrap_or_default();
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    Err(Unhealthy::Refused(
        address,
        format!("{status}: {}", body.trim()),
    ))
}

fn ask(address: SocketAddr, question: Question) -> io::Result<String> {
    let path = match question {
        Question::Healthy => "/healthz",
        Question::Ready => "/readyz",
    };
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    stream.take(64 * 1024).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
