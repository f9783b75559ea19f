//! The connection to the Docker engine: where it is, that it answers, and that
//! it is recent enough.

use std::env;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::models::SystemVersion;
use bollard::{API_DEFAULT_VERSION, ClientVersion, Docker};

use crate::error::{Error, Result, chain};
use crate::said;
use crate::ssh::{self, Destination};

/// Engine API 1.41 is Docker 20.10, the oldest that we support.
const OLDEST_API: (usize, usize) = (1, 41);
/// Longest silence for an ordinary call. Calls that are known to take long ask
/// for more through [`Engine::patient`].
const TIMEOUT: Duration = Duration::from_secs(60);

/// A live connection to one Docker engine.
#[derive(Debug, Clone)]
pub struct Engine {
    docker: Docker,
    /// Where the engine listens, as `DOCKER_HOST` would say it.
    address: String,
}

impl Engine {
    /// Connects to `DOCKER_HOST`, or else to the first usual socket that exists,
    /// and settles the API version.
    ///
    /// # Errors
    /// [`Exit::NoEngine`](crate::error::Exit::NoEngine) when nothing answers there
    /// or what answers is older than Docker 20.10.
    pub async fn connect() -> Result<Self> {
        Self::at(address()?).await
    }

    /// Connects to the engine at `address`, which is as `DOCKER_HOST` would say it.
    ///
    /// # Errors
    /// As [`Engine::connect`].
    pub async fn at(address: String) -> Result<Self> {
        let found = match dial(&address, API_DEFAULT_VERSION)?.version().await {
            Ok(found) => found,
            Err(err) => return Err(silent(&address, &chain(&err)).await),
        };
        let (major, minor) = spoken(&found);
        if (major, minor) < OLDEST_API {
            return Err(Error::no_engine(
                format!(
                    "the engine at {address} speaks API {major}.{minor}; 1.41 (Docker 20.10) is the oldest supported"
                ),
                "upgrade the Docker engine",
            ));
        }
        refuse_podman(&address, &found)?;
        let version = ClientVersion {
            major_version: major,
            minor_version: minor,
        };
        let docker = dial(&address, &version)?;
        Ok(Self { docker, address })
    }

    /// The Engine API client.
    pub(crate) fn docker(&self) -> &Docker {
        &self.docker
    }

    /// A client for one call that may rightly stay silent for up to `silence`.
    pub(crate) fn patient(&self, silence: Duration) -> Docker {
        self.docker.clone().with_timeout(silence.max(TIMEOUT))
    }

    /// Whether the engine publishes ports on this very machine, so that a port
    /// can be tried by binding it.
    pub fn is_local(&self) -> bool {
        self.address.starts_with("unix://") && !self.address.contains("/.docker/")
    }

    /// The host at which a port that is published on this address can be reached from here; none: on
    /// every address.
    pub fn published_host(&self, address: Option<IpAddr>) -> String {
        let rest = ["tcp://", "http://", ssh::SCHEME]
            .iter()
            .find_map(|scheme| self.address.strip_prefix(scheme));
        let rest = rest.map(|rest| rest.rsplit_once('@').map_or(rest, |(_, host)| host));
        let remote = rest.map(|rest| match rest.strip_prefix('[') {
            Some(address) => address.split(']').next().unwrap_or_default(),
            None => rest.split(['/', ':']).next().unwrap_or_default(),
        });
        match (remote.filter(|host| !host.is_empty()), address) {
            (Some(host), None) => host.to_owned(),
            (Some(host), Some(address)) if address.is_unspecified() => host.to_owned(),
            (_, address) => reached_at(address).to_string(),
        }
    }

    /// Where the engine listens, as `DOCKER_HOST` would say it.
    pub fn address(&self) -> &str {
        &self.address
    }
}

/// The version of the API that both sides know.
fn spoken(found: &SystemVersion) -> (usize, usize) {
    let ours = API_DEFAULT_VERSION;
    let ours = (ours.major_version, ours.minor_version);
    let theirs: Option<(usize, usize)> = found.api_version.as_deref().and_then(|version| {
        let (major, minor) = version.split_once('.')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    });
    theirs.map_or(ours, |theirs| ours.min(theirs))
}

/// Podman speaks Docker's API, of a version that we support, and answers it differently: what is
/// started through it would neither be found ready nor verified. So nothing is.
fn refuse_podman(address: &str, found: &SystemVersion) -> Result<()> {
    let mut components = found.components.iter().flatten();
    match components.find(|component| component.name == "Podman Engine") {
        None => Ok(()),
        Some(podman) => Err(Error::no_engine(
            format!(
                "what answers at {address} is Podman {}, not a Docker engine; nothing was changed",
                podman.version
            ),
            NEXT_INSTALL,
        )
        .with_details(PODMAN_LACKS.map(str::to_owned))),
    }
}

/// Where a host itself reaches what listens on this address of it; none: on every address.
pub fn reached_at(address: Option<IpAddr>) -> IpAddr {
    match address {
        // Docker's forwarder for `::` takes IPv6 connections only.
        Some(IpAddr::V6(ip)) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        Some(ip) if !ip.is_unspecified() => ip,
        _ => Ipv4Addr::LOCALHOST.into(),
    }
}

fn address() -> Result<String> {
    if let Ok(host) = env::var("DOCKER_HOST")
        && !host.is_empty()
    {
        return Ok(host);
    }
    let mut sockets = vec![PathBuf::from("/var/run/docker.sock")];
    if let Some(runtime) = env::var_os("XDG_RUNTIME_DIR") {
        sockets.push(Path::new(&runtime).join("docker.sock"));
    }
    if let Some(home) = env::var_os("HOME") {
        sockets.push(Path::new(&home).join(".docker/run/docker.sock"));
    }
    match sockets.iter().find(|path| path.exists()) {
        Some(path) => Ok(format!("unix://{}", path.display())),
        None => Err(Error::no_engine(
            "no Docker engine found: DOCKER_HOST is not set and no socket exists",
            NEXT_INSTALL,
        )
        .with_details(
            sockets
                .iter()
                .map(|path| format!("looked for {}", path.display())),
        )),
    }
}

/// Of what Docker's API promises, as far as it is needed here.
const PODMAN_LACKS: [&str; 3] = [
    "it runs health checks only where systemd does, so that readiness can't be waited for",
    "it splits the arguments of a health check at blanks",
    "it loads images without the `changes` asked for, so that the network can't be verified",
];

const NEXT_INSTALL: &str = "start Docker (`systemctl start docker`, or Docker Desktop), or install it \
     (Debian: `apt-get install docker.io`), or point DOCKER_HOST at an engine";

fn dial(address: &str, version: &ClientVersion) -> Result<Docker> {
    let seconds = TIMEOUT.as_secs();
    let dialled = if address.starts_with("unix://") {
        Docker::connect_with_unix(address, seconds, version)
    } else if address.starts_with("tcp://") || address.starts_with("http://") {
        if env::var_os("DOCKER_TLS_VERIFY").is_some_and(|value| !value.is_empty()) {
            return Err(Error::usage(
                "DOCKER_TLS_VERIFY is set, but deploy does not speak TLS to an engine",
                "go over SSH instead (DOCKER_HOST=ssh://USER@HOST), and unset DOCKER_TLS_VERIFY",
            ));
        }
        Docker::connect_with_http(address, seconds, version)
    } else if let Some(destination) = address.strip_prefix(ssh::SCHEME) {
        Destination::parse(destination)?.client(seconds, version)
    } else {
        return Err(Error::usage(
            format!(
                "DOCKER_HOST={address}: expected unix:///path, tcp://host:port or ssh://[user@]host"
            ),
            "set DOCKER_HOST to one of these, or unset it for the local engine",
        ));
    };
    dialled.map_err(|err| unreachable(address, &chain(&err)))
}

/// Why nothing answers: where `ssh` is in between, it knows.
async fn silent(address: &str, reason: &str) -> Error {
    let destination = address.strip_prefix(ssh::SCHEME);
    if let Some(Ok(destination)) = destination.map(Destination::parse)
        && let Some(error) = destination.diagnose().await
    {
        return error;
    }
    unreachable(address, reason)
}

fn unreachable(address: &str, reason: &str) -> Error {
    let next = if said::is_not_permitted(reason) {
        "run as root, or add yourself to the docker group: `sudo usermod -aG docker $USER`, \
         then log in again"
    } else {
        NEXT_INSTALL
    };
    Error::no_engine(
        format!("no Docker engine answers at {address}: {reason}"),
        next,
    )
}
