//! An answer of the Engine API as it is, where the client that we use doesn't read all of it.

use std::error::Error as StdError;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use crate::Engine;
use crate::error::{Error, Result};

/// A Swarm's tasks take about 3 kB each.
const MAX_ANSWER: usize = 64 * 1024 * 1024;
const TIMEOUT: Duration = Duration::from_secs(60);

type Failure = Box<dyn StdError + Send + Sync>;

impl Engine {
    /// Reads `path`, which is percent-encoded and begins with `/`. `doing` completes "could not …".
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str, doing: &str) -> Result<T> {
        let answer = tokio::time::timeout(TIMEOUT, self.fetch(path)).await;
        let answer = answer.unwrap_or_else(|_| Err("no answer within a minute".into()));
        let read = answer.and_then(|bytes| Ok(serde_json::from_slice(&bytes)?));
        read.map_err(|err| {
            Error::failed(
                format!("could not {doing}: {err}"),
                "see that the engine runs (`docker info`), and run it again",
            )
        })
    }

    async fn fetch(&self, path: &str) -> std::result::Result<Bytes, Failure> {
        // As the client speaks: newer engines know no version below 1.44.
        let path = format!("/v{}{path}", self.docker().client_version());
        let address = self.address();
        if let Some(socket) = address.strip_prefix("unix://") {
            return exchange(UnixStream::connect(socket).await?, &path).await;
        }
        let host = ["tcp://", "http://"]
            .iter()
            .find_map(|scheme| address.strip_prefix(scheme))
            .ok_or_else(|| format!("{address} is neither unix:// nor tcp://"))?;
        exchange(TcpStream::connect(host.trim_end_matches('/')).await?, &path).await
    }
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    path: &str,
) -> std::result::Result<Bytes, Failure> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(path)
        .header(header::HOST, "docker")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())?;
    let answer = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect();
        let body = body.await?.to_bytes();
        if status == StatusCode::OK {
            return Ok(body);
        }
        let said = String::from_utf8_lossy(&body);
        Err(format!("{status}: {}", said.trim()).into())
    };
    // The connection only moves while it is polled; its own error shows in the answer.
    let (answer, _) = tokio::join!(answer, connection);
    answer
}
