//! Connections to the target: a request on each at a time, kept for the next one.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use engine::error::{Error, Result, chain};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::message::Message;
use super::target::Target;
use crate::output::text;

/// Until there is a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Until an answer has begun, and until the rest of it is there.
const TIMEOUT: Duration = Duration::from_secs(60);
/// What is read of an answer so that its connection can be used again.
const MOST_ANSWER: usize = 1 << 20;
/// How long a connection may have been idle: the server mustn't be about to close it.
const IDLE: Duration = Duration::from_secs(1);

/// Clones have the same connections.
#[derive(Clone)]
pub(super) struct Sender(Arc<Inner>);

struct Inner {
    target: Target,
    idle: Mutex<Vec<(Instant, Connection)>>,
}

type Connection = SendRequest<Full<Bytes>>;

/// What was answered.
pub(super) struct Answer {
    pub(super) status: StatusCode,
}

/// Why there was no answer.
#[derive(Debug)]
pub(super) struct Failure {
    why: String,
    /// Whether there was a connection, so that the request may have arrived.
    pub(super) was_connected: bool,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl Sender {
    pub(super) fn new(target: Target) -> Self {
        let idle = Mutex::default();
        Self(Arc::new(Inner { target, idle }))
    }

    pub(super) fn target(&self) -> &Target {
        &self.0.target
    }

    /// Whether anybody is there.
    pub(super) async fn reach(&self) -> Result<()> {
        match self.connect().await {
            Ok(connection) => {
                self.keep(connection);
                Ok(())
            }
            Err(failure) => Err(Error::failed(
                failure.to_string(),
                "start what is to be sent to, or give another --to",
            )),
        }
    }

    /// Sends a request once. What is known not to have been sent is sent on another connection.
    pub(super) async fn send(&self, message: &Message) -> Result<Answer, Failure> {
        loop {
            let kept = self.kept();
            let was_kept = kept.is_some();
            let mut connection = match kept {
                Some(connection) => connection,
                None => self.connect().await?,
            };
            let request = request(message).map_err(|err| Failure {
                why: format!("it can't be sent: {err}"),
                was_connected: true,
            })?;
            let answer = timeout(TIMEOUT, connection.send_request(request)).await;
            let answer = match answer {
                Ok(Err(err)) if err.is_canceled() && was_kept => continue,
                answer => answer.map_err(|_| "no answer within a minute".to_owned()),
            };
            let answer = answer.and_then(|it| it.map_err(|err| text::escape(&chain(&err)).into()));
            let answer = answer.map_err(|why| Failure {
                why,
                was_connected: true,
            })?;
            let status = answer.status();
            // After that, it speaks another protocol.
            let is_over = message.method == Method::CONNECT && status.is_success();
            if !is_over && drain(answer).await && connection.ready().await.is_ok() {
                self.keep(connection);
            }
            return Ok(Answer { status });
        }
    }

    fn keep(&self, connection: Connection) {
        let mut idle = self.0.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push((Instant::now(), connection));
    }

    fn kept(&self) -> Option<Connection> {
        let mut idle = self.0.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(since, connection)| since.elapsed() < IDLE && connection.is_ready());
        idle.pop().map(|(_, connection)| connection)
    }

    async fn connect(&self) -> Result<Connection, Failure> {
        let Target {
            host, port, url, ..
        } = &self.0.target;
        let unreached = |why: &str| Failure {
            why: format!("can't reach {url}: {}", text::escape(why)),
            was_connected: false,
        };
        let connecting = timeout(CONNECT_TIMEOUT, TcpStream::connect((&**host, *port))).await;
        let connecting = connecting.map_err(|_| unreached("no connection within 10 s"))?;
        let stream = connecting.map_err(|err| unreached(&chain(&err)))?;
        // Requests are written at once; there is nothing to gather. That it can't be set is no reason.
        let _ = stream.set_nodelay(true);
        let mut http = http1::Builder::new();
        http.title_case_headers(true);
        let connected = http.handshake(TokioIo::new(stream)).await;
        let (connection, driver) = connected.map_err(|err| unreached(&chain(&err)))?;
        tokio::spawn(driver);
        Ok(connection)
    }
}

fn request(message: &Message) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
    let mut request = Request::builder()
        .method(message.method.clone())
        .uri(message.target.clone())
        .body(Full::new(message.body.clone()))?;
    message.fields.clone_into(request.headers_mut());
    Ok(request)
}

/// Reads the rest of an answer, and says whether that was all of it.
async fn drain(answer: Response<Incoming>) -> bool {
    let mut body = answer.into_body();
    let mut bytes = 0;
    let reading = async {
        while let Some(Ok(frame)) = body.frame().await {
            bytes += frame.into_data().map_or(0, |data| data.len());
            if bytes > MOST_ANSWER {
                return false;
            }
        }
        true
    };
    timeout(TIMEOUT, reading).await.unwrap_or_default()
}
