//! The running console: the way to it, and the token that lets programs in.

mod relay;

use std::path::PathBuf;
use std::time::Duration;

use compose_file::Project;
use engine::Engine;
use engine::error::{Error, Result, chain};
use engine::state::{Container, State, Status};
use http_body_util::{BodyExt as _, Collected, Empty, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, HOST, HeaderMap};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

pub(crate) use self::relay::Relay;
use crate::running;
use crate::secrets::Secrets;

/// The service's name in the Compose file.
pub(crate) const SERVICE: &str = "console";
/// The secret that it lets programs and browsers in with.
const TOKEN: &str = "console_token";
/// Its port, in its container.
pub(crate) const PORT: u16 = 8081;
/// Until there is a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// Until an answer is there, or has begun: longer than the longest search (`CONSOLE_QUERY_TIMEOUT`, 60 s at
/// most).
const TIMEOUT: Duration = Duration::from_secs(65);
/// More than an answer that is read whole has: a request with the largest body that MongoDB stores, each
/// byte of it an escape.
const MAX_ANSWER: usize = 128 * 1024 * 1024;

/// A console that runs. Not `Debug`: it has the token.
pub(crate) struct Console {
    way: Way,
    /// As which it is asked, as a URL has it.
    name: String,
    /// Those in the file: while they are rotated, the console may know either.
    tokens: Vec<String>,
    /// Where they are.
    pub(crate) token_file: PathBuf,
}

/// How it is reached.
enum Way {
    /// At its published port.
    Port {
        host: String,
        port: u16,
        /// Whether that is on a machine that isn't this one.
        remote: bool,
    },
    /// From within its container: a Swarm publishes its port nowhere.
    Relay(Relay),
}

/// A connection to it.
trait Connection: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Connection for T {}

impl Console {
    /// Finds the project's.
    pub(crate) async fn find(engine: &Engine, project: &Project) -> Result<Self> {
        let files = &project.files;
        let secret = project.secrets.get_key_value(TOKEN);
        let service = project.services.get(SERVICE);
        let (Some((name, secret)), Some(service)) = (secret, service) else {
            return Err(Error::usage(
                format!("{files}: no service {SERVICE} with a secret {TOKEN}"),
                "take both from Causeway's own compose.yaml",
            ));
        };
        let secrets = Secrets::read(project)?;
        let tokens: Vec<String> = secrets
            .values(name, secret)
            .into_iter()
            .map(Into::into)
            .collect();
        if tokens.is_empty() {
            return Err(Error::failed(
                format!("there is no token in {}", secret.file.display()),
                format!(
                    "`deploy secrets recover {TOKEN}` takes it from the running console, `deploy up` \
                     generates one where none runs"
                ),
            ));
        }
        let way = Way::find(engine, project).await?;
        let names = service.environment.get("CONSOLE_HOSTS");
        let first = names.and_then(|names| names.split(',').next());
        let name = first.map(str::trim).filter(|name| !name.is_empty());
        let name = name.map_or_else(|| way.name(), str::to_owned);
        Ok(Self {
            way,
            name,
            tokens,
            token_file: secret.file.clone(),
        })
    }

    /// The way to it where a browser has none, since its port is published nowhere.
    pub(crate) fn relay(&self) -> Option<&Relay> {
        match &self.way {
            Way::Relay(relay) => Some(relay),
            Way::Port { .. } => None,
        }
    }

    /// As which one of its pages is known to a browser that comes by this port.
    pub(crate) fn url_by(&self, port: u16, path: &str) -> String {
        format!("http://{}:{port}{path}", self.name)
    }

    /// The address of one of its pages, for a browser.
    pub(crate) fn url(&self, path: &str) -> String {
        self.url_by(self.way.port(), path)
    }

    /// Asks as a program. The answer is a good one, its body still to be read; `path` may have a query.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &HeaderMap,
    ) -> Result<Response<Incoming>> {
        let mut answer = None;
        for token in &self.tokens {
            let exchange = self.exchange(&method, path, headers, token);
            let response = within(TIMEOUT, "answer", exchange).await;
            let response = response.map_err(|why| self.unreachable(&why))?;
            // The latter where too many have been refused before.
            let refused = matches!(
                response.status(),
                StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS
            );
            answer = Some(response);
            if !refused {
                break;
            }
        }
        match answer {
            Some(answer) if answer.status().is_success() => Ok(answer),
            Some(answer) => Err(self.refusal(answer).await),
            None => Err(self.unreachable("there is no token")),
        }
    }

    /// Asks, and reads the JSON that is answered.
    pub(crate) async fn json<T: DeserializeOwned>(&self, method: Method, path: &str) -> Result<T> {
        let answer = self.send(method, path, &HeaderMap::new()).await?;
        let body = Limited::new(answer.into_body(), MAX_ANSWER).collect();
        let body = async { body.await.map_err(|err| err.to_string()) };
        let body = within(TIMEOUT, "end of the answer", body).await;
        let body = body.map_err(|why| self.unreachable(&why))?.to_bytes();
        serde_json::from_slice(&body).map_err(|err| {
            Error::failed(
                format!("the console's answer to {path} isn't what was expected: {err}"),
                "see that console and deploy are of one version: `deploy up` brings up this checkout's",
            )
        })
    }

    async fn exchange(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        token: &str,
    ) -> Result<Response<Incoming>, String> {
        let said = |err: &dyn std::error::Error| chain(err);
        let stream = within(CONNECT_TIMEOUT, "connection", self.way.connect()).await?;
        let connected = http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = connected.map_err(|err| said(&err))?;
        // Ends with the answer's body, or with whoever drops that.
        tokio::spawn(connection);
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, format!("{}:{}", self.name, self.way.port()))
            .header(AUTHORIZATION, format!("Bearer {token}"))
            .body(Empty::<Bytes>::new())
            .map_err(|err| said(&err))?;
        request.headers_mut().extend(headers.clone());
        sender.send_request(request).await.map_err(|err| said(&err))
    }

    fn unreachable(&self, why: &str) -> Error {
        let next = match self.way {
            Way::Port {
                port, remote: true, ..
            } => format!(
                "the port is published on the engine's host: run this there, or forward it to here with \
                 `ssh -L {port}:127.0.0.1:{port} HOST` and log in at http://localhost:{port}/"
            ),
            _ => format!("see whether it is well: `deploy ps`, `deploy logs {SERVICE}`"),
        };
        let place = match &self.way {
            Way::Port { host, port, .. } => format!("at {host}:{port}"),
            Way::Relay(relay) => format!("in {}", relay.container()),
        };
        Error::failed(format!("can't reach the console {place}: {why}"), next)
    }

    /// What an answer that is no good says.
    async fn refusal(&self, answer: Response<Incoming>) -> Error {
        #[derive(Deserialize)]
        struct Said {
            error: String,
        }
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
        let body = body.map(Collected::to_bytes).unwrap_or_default();
        let said = serde_json::from_slice(&body).map_or_else(
            |_| String::from_utf8_lossy(&body).trim().to_owned(),
            |said: Said| said.error,
        );
        let (message, next) = match status {
            StatusCode::UNAUTHORIZED => (
                format!(
                    "the console refuses the token in {}",
                    self.token_file.display()
                ),
                "`deploy up` gives it the one that is in the file now".to_owned(),
            ),
            StatusCode::MISDIRECTED_REQUEST => (
                format!("the console doesn't answer to the name {}", self.name),
                "name it in CONSOLE_HOSTS and run `deploy up`".to_owned(),
            ),
            StatusCode::BAD_REQUEST => {
                return Error::usage(said, "see `deploy requests --help` and docs/console.md");
            }
            StatusCode::NOT_FOUND => (said, "`deploy requests` lists what there is".to_owned()),
            _ => (
                format!("the console answers {status}: {said}"),
                format!("see `deploy logs {SERVICE}`"),
            ),
        };
        Error::failed(message, next)
    }
}

impl Way {
    async fn find(engine: &Engine, project: &Project) -> Result<Self> {
        if project.is_for_swarm() {
            let container = running::container(engine, project, SERVICE).await?;
            return Ok(Self::Relay(Relay::new(engine, container)));
        }
        let state = State::observe(engine, &project.name).await?;
        let mut running = state
            .of_service(SERVICE)
            .filter(|it| it.status == Status::Running);
        let Some((host, port)) = running.find_map(|it| published(engine, it)) else {
            return Err(Error::failed(
                format!(
                    "no {SERVICE} of {} runs with a published port",
                    project.name
                ),
                "`deploy up` starts it; `deploy ps` shows what runs",
            ));
        };
        let remote = !engine.is_local();
        Ok(Self::Port { host, port, remote })
    }

    fn port(&self) -> u16 {
        match self {
            Self::Port { port, .. } => *port,
            Self::Relay(_) => PORT,
        }
    }

    /// As which it is asked where the file names nothing.
    fn name(&self) -> String {
        match self {
            Self::Port { host, .. } => as_in_url(host),
            Self::Relay(_) => "localhost".to_owned(),
        }
    }

    async fn connect(&self) -> Result<Box<dyn Connection>, String> {
        match self {
            Self::Port { host, port, .. } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await;
                let stream = stream.map_err(|err| chain(&err))?;
                Ok(Box::new(stream))
            }
            Self::Relay(relay) => {
                let stream = relay.connect().await.map_err(|err| err.message)?;
                Ok(Box::new(stream))
            }
        }
    }
}

/// The project's service that we know how to ask, if it has one.
pub(crate) fn service_of(project: &Project) -> Option<&'static str> {
    let is_ours = project.services.contains_key(SERVICE) && project.secrets.contains_key(TOKEN);
    is_ours.then_some(SERVICE)
}

/// What comes of it by then, or that there was no such thing.
async fn within<T>(
    limit: Duration,
    what: &str,
    coming: impl Future<Output = Result<T, String>>,
) -> Result<T, String> {
    let late = |_| Err(format!("no {what} within {} s", limit.as_secs()));
    timeout(limit, coming).await.unwrap_or_else(late)
}

/// Where the container's port can be reached.
fn published(engine: &Engine, container: &Container) -> Option<(String, u16)> {
    let bindings = container.ports.iter().filter_map(|binding| {
        // `127.0.0.1:8081->8081/tcp`
        let (at, target) = binding.split_once("->")?;
        let (address, port) = at.rsplit_once(':').filter(|_| target.ends_with("/tcp"))?;
        let address = address.trim_matches(['[', ']']).parse().ok()?;
        Some((engine.published_host(Some(address)), port.parse().ok()?))
    });
    bindings.min()
}

/// By the name for this machine that people and browsers know, where it is this one.
fn as_in_url(host: &str) -> String {
    match host {
        "127.0.0.1" | "::1" => "localhost".to_owned(),
        _ if host.contains(':') => format!("[{host}]"),
        _ => host.to_owned(),
    }
}
