//! Tries to reach addresses: TCP connect, ICMP echo, HTTP GET; each with the kernel's own error.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use surge_ping::{Client, Config, ICMP, IcmpPacket, PingIdentifier, PingSequence, SurgeError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::super::ECHO_DATA;
use super::super::report::{Attempt, Fetched, Reach, Resolution};
use super::super::request::Resource;
use super::elapsed_us;

/// How much of a response is read: its head and the beginning of its body.
const LONGEST_RESPONSE: u64 = 16 * 1024;
/// How much of a body is reported, in bytes.
const LONGEST_BODY: usize = 4 * 1024;
/// Of our echo requests. Probes in one sandbox may share it: each pings an address once, and any
/// echo proves that the address answers.
const IDENTIFIER: u16 = 0xca5e;

/// Completes a TCP handshake and closes the connection.
pub(super) async fn connect(address: IpAddr, port: u16, timeout: Duration) -> Attempt {
    let started = Instant::now();
    let connecting = TcpStream::connect(SocketAddr::new(address, port));
    match tokio::time::timeout(timeout, connecting).await {
        Ok(Ok(_)) => attempt(address, Reach::Reached, None, started),
        Ok(Err(error)) => {
            let (reach, error) = explain(&error);
            attempt(address, reach, Some(error), started)
        }
        Err(_) => attempt(address, Reach::Timeout, None, started),
    }
}

/// Sends ICMP echo requests; one socket for each family serves all of them.
pub(super) struct Pinger {
    v4: io::Result<Client>,
    v6: io::Result<Client>,
    timeout: Duration,
}

impl Pinger {
    /// Opens the sockets. Where that isn't permitted, every ping says so.
    pub(super) fn new(timeout: Duration) -> Self {
        let client = |kind| Client::new(&Config::builder().kind(kind).build());
        Self {
            v4: client(ICMP::V4),
            v6: client(ICMP::V6),
            timeout,
        }
    }

    /// Sends one echo request and waits for its answer.
    pub(super) async fn ping(&self, address: IpAddr) -> Attempt {
        let started = Instant::now();
        let client = match address {
            IpAddr::V4(_) => &self.v4,
            IpAddr::V6(_) => &self.v6,
        };
        let client = match client {
            Ok(client) => client,
            Err(error) => {
                let (_, error) = explain(error);
                return attempt(address, Reach::Failed, Some(error), started);
            }
        };
        let identifier = PingIdentifier(IDENTIFIER);
        let mut pinger = client.pinger(address, identifier).await;
        pinger.timeout(self.timeout);
        match pinger.ping(PingSequence(1), ECHO_DATA).await {
            Ok((echo, round_trip)) => Attempt {
                address,
                reach: Reach::Reached,
                error: None,
                elapsed_us: u64::try_from(round_trip.as_micros()).unwrap_or(u64::MAX),
                ttl: match echo {
                    IcmpPacket::V4(echo) => echo.get_ttl(),
                    IcmpPacket::V6(_) => None,
                },
            },
            Err(SurgeError::Timeout { .. }) => attempt(address, Reach::Timeout, None, started),
            Err(SurgeError::IOError(error)) => {
                let (reach, error) = explain(&error);
                attempt(address, reach, Some(error), started)
            }
            Err(other) => attempt(address, Reach::Failed, Some(other.to_string()), started),
        }
    }
}

/// Fetches a resource with a plain HTTP/1.0 request, which asks for no chunks and no keep-alive.
pub(super) async fn get(
    resource: &Resource,
    resolution: Option<Resolution>,
    address: Option<IpAddr>,
    timeout: Duration,
    started: Instant,
) -> Fetched {
    let mut fetched = Fetched {
        resource: resource.clone(),
        status: None,
        body: String::new(),
        error: None,
        elapsed_us: 0,
    };
    match (address, resolution) {
        (Some(address), _) => {
            let exchange = exchange(resource, SocketAddr::new(address, resource.port));
            match tokio::time::timeout(timeout, exchange).await {
                Ok(Ok(response)) => read_response(&response, &mut fetched),
                Ok(Err(error)) => fetched.error = Some(explain(&error).1),
                Err(_) => fetched.error = Some("timeout".to_owned()),
            }
        }
        (None, Some(resolution)) => {
            fetched.error = Some(format!("{}: {}", resource.host, resolution.answer.as_str()));
        }
        (None, None) => fetched.error = Some("no address".to_owned()),
    }
    fetched.elapsed_us = elapsed_us(started);
    fetched
}

async fn exchange(resource: &Resource, address: SocketAddr) -> io::Result<Vec<u8>> {
    let Resource { host, path, .. } = resource;
    if [host, path]
        .iter()
        .any(|part| part.contains(|c: char| c.is_whitespace() || c.is_control()))
    {
        let why = "host and path must not hold blanks or control characters";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n", resource.target());
    stream.write_all(request.as_bytes()).await?;
    let mut response = Vec::new();
    stream
        .take(LONGEST_RESPONSE)
        .read_to_end(&mut response)
        .await?;
    Ok(response)
}

fn read_response(response: &[u8], fetched: &mut Fetched) {
    let end_of_head = response.windows(4).position(|bytes| bytes == b"\r\n\r\n");
    let (head, body) = response.split_at(end_of_head.map_or(response.len(), |at| at + 4));
    let head = String::from_utf8_lossy(head);
    let status = head
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.split(' ').nth(1));
    fetched.status = status.and_then(|code| code.parse().ok());
    if fetched.status.is_none() {
        fetched.error = Some("not an HTTP response".to_owned());
    }
    let body = body.get(..LONGEST_BODY).unwrap_or(body);
    fetched.body = String::from_utf8_lossy(body).into_owned();
}

fn attempt(address: IpAddr, reach: Reach, error: Option<String>, started: Instant) -> Attempt {
    Attempt {
        address,
        reach,
        error,
        elapsed_us: elapsed_us(started),
        ttl: None,
    }
}

/// The outcome that an error stands for, and its symbol.
fn explain(error: &io::Error) -> (Reach, String) {
    let Some(errno) = error.raw_os_error().map(Errno::from_raw) else {
        return (Reach::Failed, error.to_string());
    };
    let reach = match errno {
        Errno::ECONNREFUSED => Reach::Refused,
        // The last: no address of the family to go out with.
        Errno::EHOSTUNREACH | Errno::ENETUNREACH | Errno::ENONET | Errno::EADDRNOTAVAIL => {
            Reach::Unreachable
        }
        Errno::ETIMEDOUT => Reach::Timeout,
        _ => Reach::Failed,
    };
    (reach, format!("{errno:?}"))
}
