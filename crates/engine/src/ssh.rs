//! An engine on another machine, over SSH: `DOCKER_HOST=ssh://[USER@]HOST[:PORT][/SOCKET]`.
//!
//! As the `docker` command does it: the `ssh` program, with the user's own settings, keys and known hosts,
//! runs `docker system dial-stdio` there, and each connection of the Engine API's is one of those. Nothing
//! is asked on the terminal: what would have to be (a passphrase, an unknown host) is an error that says
//! what to do.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as Socket;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::Arc;
use std::task::{Context, Poll};

use bollard::{BollardRequest, ClientVersion, Docker};
use hyper::Uri;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use terminal::text;
use tokio::net::UnixStream;
use tokio::process::Command;
use tokio::sync::Semaphore;

use crate::error::{Error, Result};
use crate::said;

/// What such an address begins with.
pub(crate) const SCHEME: &str = "ssh://";
/// A server takes ten connections at a time that haven't logged in yet, by its defaults (`MaxStartups`).
const STARTING: usize = 6;
/// Of what a failed attempt said, so many lines are shown.
const SHOWN: usize = 4;

/// A machine that has an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Destination {
    user: Option<String>,
    host: String,
    port: Option<u16>,
    /// The engine's socket there; none: where its `docker` command finds it.
    socket: Option<String>,
}

impl Destination {
    /// Of what follows `ssh://`.
    ///
    /// # Errors
    /// When it is something else.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let refused = |why: &str| {
            Error::usage(
                format!("{SCHEME}{text}: {why}"),
                "write it as ssh://[USER@]HOST[:PORT][/SOCKET], such as ssh://root@10.0.0.2",
            )
        };
        let (authority, socket) = match text.split_once('/') {
            Some((authority, path)) => (authority, Some(path).filter(|it| !it.is_empty())),
            None => (text, None),
        };
        let (user, rest) = match authority.rsplit_once('@') {
            Some((user, rest)) => (Some(user), rest),
            None => (None, authority),
        };
        if user.is_some_and(|it| it.contains(':')) {
            return Err(refused("a password can't be given here; use a key"));
        }
        let (host, port) = match rest.strip_prefix('[').and_then(|it| it.split_once(']')) {
            Some((host, port)) => (host, port.strip_prefix(':')),
            None => match rest.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            },
        };
        let port = match port.map(str::parse) {
            None => None,
            Some(Ok(port)) => Some(port),
            Some(Err(_)) => return Err(refused("the port isn't a number up to 65535")),
        };
        let odd =
            |it: &str| it.is_empty() || it.starts_with('-') || it.contains(char::is_whitespace);
        if odd(host) || user.is_some_and(odd) {
            return Err(refused("host or user is missing, or can't be one"));
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
        if socket.is_some_and(|it| !it.chars().all(plain)) {
            return Err(refused(
                "the socket's path can have letters, digits, /, ., _ and -",
            ));
        }
        Ok(Self {
            user: user.map(str::to_owned),
            host: host.to_owned(),
            port,
            socket: socket.map(|it| format!("/{it}")),
        })
    }

    /// The program that connects its standard input and output with the engine.
    fn dial(&self) -> Command {
        let mut command = Command::new("ssh");
        command.args(["-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=20"]);
        // A peer that vanished is noticed within a minute.
        command.args(["-o", "ServerAliveInterval=15"]);
        if let Some(port) = self.port {
            command.args(["-p", &port.to_string()]);
        }
        if let Some(user) = &self.user {
            command.args(["-l", user]);
        }
        command.args(["--", &self.host, "docker"]);
        if let Some(socket) = &self.socket {
            command.args(["--host", &format!("unix://{socket}")]);
        }
        command.args(["system", "dial-stdio"]);
        // The terminal's Ctrl-C is for us: what has to be cleaned up goes over the connection.
        command.process_group(0);
        command
    }

    /// Why an engine doesn't answer there, as the same attempt says again.
    pub(crate) async fn diagnose(&self) -> Option<Error> {
        let attempt = self.dial().stdin(Stdio::null()).output().await;
        let (code, said) = match attempt {
            Err(err) if err.kind() == io::ErrorKind::NotFound => {
                return Some(Error::no_engine(
                    format!("no Docker engine answers at {self}: there is no `ssh` command here"),
                    "install it (Debian: `apt-get install openssh-client`)",
                ));
            }
            Err(err) => (None, err.to_string()),
            Ok(attempt) if attempt.status.success() => return None,
            Ok(attempt) => (
                attempt.status.code(),
                String::from_utf8_lossy(&attempt.stderr).into_owned(),
            ),
        };
        let lines: Vec<&str> = said
            .lines()
            .map(str::trim)
            .filter(|it| !it.is_empty())
            .collect();
        let last = lines.last().copied().unwrap_or("it said nothing");
        let shown = &lines[lines.len().saturating_sub(SHOWN)..];
        let shown = shown.iter().map(|it| text::escape(it).into_owned());
        let error = Error::no_engine(
            format!("no Docker engine answers at {self}: {}", text::escape(last)),
            self.advice(code, &said),
        );
        Some(error.with_details(shown.collect::<Vec<_>>()))
    }

    /// What to do about it. `ssh` itself ends with 255, and a shell without that command with 127.
    fn advice(&self, code: Option<i32>, said: &str) -> String {
        let by_hand = self.by_hand();
        match code {
            Some(255) if said::is_unknown_host_key(said) => format!(
                "its key isn't known here, or has changed: see that it is that machine, and run `{by_hand} true` once"
            ),
            Some(255) if said::is_not_permitted(said) => format!(
                "no key of yours is accepted there: `ssh-copy-id`, or `ssh-add` for one with a passphrase; \
                 `{by_hand} true` has to work without a question"
            ),
            Some(255) => format!("`{by_hand} true` has to work without a question"),
            Some(127) => "install Docker there (Debian: `apt-get install docker.io docker-cli`)".to_owned(),
            _ if said::is_not_permitted(said) => {
                "that user may not use the engine: log in as root, or run `usermod -aG docker USER` there".to_owned()
            }
            _ => format!("see what `{by_hand} docker version` says"),
        }
    }

    fn by_hand(&self) -> String {
        let port = self.port.map(|it| format!("-p {it} ")).unwrap_or_default();
        let user = self.user.as_ref().map(|it| format!("{it}@"));
        format!("ssh {port}{}{}", user.unwrap_or_default(), self.host)
    }

    /// A client of the engine there. Nothing is connected yet.
    ///
    /// # Errors
    /// None that is known.
    pub(crate) fn client(
        &self,
        seconds: u64,
        version: &ClientVersion,
    ) -> Result<Docker, bollard::errors::Error> {
        let mut builder = Client::builder(TokioExecutor::new());
        let client = Arc::new(
            builder
                .pool_max_idle_per_host(STARTING)
                .build(Connector(self.clone())),
        );
        let starting = Arc::new(Semaphore::new(STARTING));
        let transport = move |request: BollardRequest| {
            let (client, starting) = (Arc::clone(&client), Arc::clone(&starting));
            async move {
                // Until the answer begins: by then, the connection has logged in.
                let _one = starting.acquire().await;
                client
                    .request(request)
                    .await
                    .map_err(bollard::errors::Error::from)
            }
        };
        Docker::connect_with_custom_transport(transport, Some("http://engine"), seconds, version)
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SCHEME)?;
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        if self.host.contains(':') {
            write!(f, "[{}]", self.host)?;
        } else {
            f.write_str(&self.host)?;
        }
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        f.write_str(self.socket.as_deref().unwrap_or_default())
    }
}

/// Makes one connection by one run of `ssh`, which has the other end of a pair of sockets for its standard
/// input and output, and ends with it.
#[derive(Clone)]
struct Connector(Destination);

impl Connector {
    fn connect(&self) -> io::Result<TokioIo<UnixStream>> {
        let (ours, theirs) = Socket::pair()?;
        ours.set_nonblocking(true)?;
        let mut child = self
            .0
            .dial()
            .stdin(OwnedFd::from(theirs.try_clone()?))
            .stdout(OwnedFd::from(theirs))
            .stderr(Stdio::null())
            .spawn()?;
        tokio::spawn(async move { child.wait().await });
        Ok(TokioIo::new(UnixStream::from_std(ours)?))
    }
}

impl tower_service::Service<Uri> for Connector {
    type Response = TokioIo<UnixStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let connected = self.connect();
        Box::pin(async { connected })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart_and_put_together_again() {
        for text in [
            "ssh://node",
            "ssh://root@10.0.0.2",
            "ssh://root@[fd00::2]:2222",
            "ssh://me@node:22/run/user/1000/docker.sock",
        ] {
            let parsed = Destination::parse(text.strip_prefix(SCHEME).unwrap_or_default());
            assert_eq!(parsed.map(|it| it.to_string()).ok().as_deref(), Some(text));
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "@node",
            "me@",
            "-oProxyCommand=x",
            "-l@node",
            "me:secret@node",
            "node:port",
            "node:70000",
            "node/a b",
            "no de",
        ] {
            assert!(Destination::parse(text).is_err(), "{text}");
        }
    }
}
