//! The running console: where its port is published, and the token that lets programs in.

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
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::secrets::Secrets;

/// The service's name in the Compose file.
pub(crate) const SERVICE: &str = "console";
/// The secret that it lets programs and browsers in with.
const TOKEN: &str = "console_token";
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
    /// Where its port is.
    host: String,
    port: u16,
    /// As which it is asked, as a URL has it.
    name: String,
    /// Those in the file: while they are rotated, the console may know either.
    tokens: Vec<String>,
    /// Where they are.
    pub(crate) token_file: PathBuf,
    /// Whether the port is on a machine that isn't this one.
    remote: bool,
}

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
        let names = service.environment.get("CONSOLE_HOSTS");
        let first = names.and_then(|names| names.split(',').next());
        let name = first.map(str::trim).filter(|name| !name.is_empty());
        Ok(Self {
            name: name.map_or_else(|| as_in_url(&host), str::to_owned),
            host,
            port,
            tokens,
            token_file: secret.file.clone(),
            remote: !engine.is_local(),
        })
    }

    /// The address of one of its pages, for a browser.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}:{}{path}", self.name, self.port)
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
        let connect = TcpStream::connect((self.host.as_str(), self.port));
        let connect = async { connect.await.map_err(|err| said(&err)) };
        let stream = within(CONNECT_TIMEOUT, "connection", connect).await?;
        let connected = http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = connected.map_err(|err| said(&err))?;
        // Ends with the answer's body, or with whoever drops that.
        tokio::spawn(connection);
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, format!("{}:{}", self.name, self.port))
            .header(AUTHORIZATION, format!("Bearer {token}"))
            .body(Empty::<Bytes>::new())
            .map_err(|err| said(&err))?;
        request.headers_mut().extend(headers.clone());
        sender.send_request(request).await.map_err(|err| said(&err))
    }

    fn unreachable(&self, why: &str) -> Error {
        let (host, port) = (&self.host, self.port);
        let next = if self.remote {
            format!(
                "the port is published on the engine's host: run this there, or forward it to here with \
                 `ssh -L {port}:127.0.0.1:{port} HOST` and log in at http://localhost:{port}/"
            )
        } else {
            format!("see whether it is well: `deploy ps`, `deploy logs {SERVICE}`")
        };
        Error::failed(
            format!("can't reach the console at {host}:{port}: {why}"),
            next,
        )
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
