//! Raw HTTP/1.1: requests are sent byte for byte as the test wrote them.

use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Longest wait for an answer that a test expects.
const PATIENCE: Duration = Duration::from_secs(20);

/// An answer.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Response {
    /// Reads one answer; `head_only` if it answers HEAD. Interim answers (1xx) are skipped.
    pub(crate) async fn read(stream: &mut TcpStream, head_only: bool) -> Option<Self> {
        tokio::time::timeout(PATIENCE, Self::read_patiently(stream, head_only))
            .await
            .expect("no answer in time")
    }

    async fn read_patiently(stream: &mut TcpStream, head_only: bool) -> Option<Self> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.ok()?);
        }
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().unwrap();
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let mut response = Self {
            status,
            headers,
            body: String::new(),
        };
        if status < 200 {
            return Box::pin(Self::read_patiently(stream, head_only)).await;
        }
        if !head_only {
            let mut body = Vec::new();
            match response.header("content-length") {
                Some(length) => {
                    body.resize(length.parse().unwrap(), 0);
                    stream.read_exact(&mut body).await.ok()?;
                }
                None => {
                    stream.read_to_end(&mut body).await.ok()?;
                }
            }
            response.body = String::from_utf8(body).unwrap();
        }
        Some(response)
    }

    /// The value of a header field, by its lower-case name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The id in "stored successfully".
    pub(crate) fn id(&self) -> mongodb::bson::oid::ObjectId {
        let prefix = "Request information stored successfully: ";
        let id = self
            .body
            .strip_prefix(prefix)
            .and_then(|rest| rest.strip_suffix('\n'));
        id.and_then(|id| id.parse().ok())
            .unwrap_or_else(|| panic!("an id is expected: {} {:?}", self.status, self.body))
    }
}

/// A connection on which requests go out byte for byte.
pub(crate) struct Connection(TcpStream);

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.unwrap())
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.unwrap();
    }

    /// The next answer, unless the connection ends before it.
    pub(crate) async fn answer(&mut self) -> Option<Response> {
        Response::read(&mut self.0, false).await
    }
}

impl Deref for Connection {
    type Target = TcpStream;

    fn deref(&self) -> &TcpStream {
        &self.0
    }
}

impl DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut TcpStream {
        &mut self.0
    }
}

/// Sends raw bytes over a new connection and returns the first answer, if there is one.
pub(crate) async fn send(address: SocketAddr, request: impl AsRef<[u8]>) -> Response {
    let request = request.as_ref();
    let mut stream = TcpStream::connect(address)
        .await
        .expect("the server should listen");
    // A server that refuses a body may close before all of it is written.
    let _ = stream.write_all(request).await;
    let head_only = request.starts_with(b"HEAD ");
    Response::read(&mut stream, head_only)
        .await
        .expect("an answer should come")
}

/// GET over a new connection.
pub(crate) async fn get(address: SocketAddr, target: &str) -> Response {
    send(
        address,
        format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n"),
    )
    .await
}

/// POST to `/` over a new connection.
pub(crate) async fn post(address: SocketAddr, body: &[u8]) -> Response {
    let head = format!(
        "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    send(address, [head.as_bytes(), body].concat()).await
}
