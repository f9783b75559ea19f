//! What happens where TLS ends: another proxy, other certificates.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use engine::error::{Error, Result};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, date_time_ymd};
use tokio::time::{Instant, sleep};

use super::Injection;
use crate::load::Load;
use crate::load::carrier;
use crate::stack::Service;
use crate::tool::Tool;

/// The user of the proxy, who has to be able to read keys.
const USER: u32 = 999;
/// What the pair of files is called.
const NAME: &str = "chaos";
/// Longest until the proxy presents what has been put there; it looks about each second.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks at that.
const PAUSE: Duration = Duration::from_millis(200);
/// How often a certificate is replaced in one round.
const TIMES: usize = 3;

/// Makes the directory that the proxy watches, with nothing in it.
pub(crate) fn prepare(tool: &Tool) -> Result<()> {
    let made = fs::create_dir_all(&tool.certificates).and_then(|()| remove(&tool.certificates));
    made.map_err(|error| unable("make", &tool.certificates, &error))
}

/// A service's containers are replaced.
#[derive(Debug)]
pub(super) struct Redeploy {
    tool: Tool,
    service: Service,
}

impl Redeploy {
    pub(super) fn new(tool: &Tool, service: Service) -> Self {
        Self {
            tool: tool.clone(),
            service,
        }
    }
}

#[async_trait]
impl Injection for Redeploy {
    fn victim(&self) -> String {
        self.service.name().to_owned()
    }

    fn lasts(&self) -> bool {
        false
    }

    async fn inject(&mut self, _: &Load) -> Result<()> {
        self.tool.run(&["restart", self.service.name()]).await
    }
}

/// What the certificate is that takes the place of the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Valid,
    Expired,
}

/// Certificates are replaced under the proxy's eyes.
#[derive(Debug)]
pub(super) struct Certificate {
    tool: Tool,
    kind: Kind,
    /// Where clients are shown one, known from the first time on.
    address: Option<SocketAddr>,
    /// The last one that was put there.
    shown: Vec<u8>,
}

impl Certificate {
    pub(super) fn new(tool: &Tool, kind: Kind) -> Self {
        Self {
            tool: tool.clone(),
            kind,
            address: None,
            shown: Vec::new(),
        }
    }

    /// Puts one there, and waits until clients are shown it; or, if it has expired, no longer the one
    /// before: another of the name takes its place, which here is the generated one.
    async fn replace(&mut self, address: SocketAddr, kind: Kind) -> Result<()> {
        let directory = &self.tool.certificates;
        let certificate =
            write(directory, kind).map_err(|error| unable("write to", directory, &error))?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let presented = carrier::presented(address).await;
            let replaced = presented.is_ok_and(|presented| match kind {
                Kind::Valid => presented == certificate,
                Kind::Expired => presented != certificate && presented != self.shown,
            });
            if replaced {
                self.shown = certificate;
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(Error::failed(
                    format!(
                        "the proxy doesn't take {}/{NAME}.crt up within {} s",
                        directory.display(),
                        PATIENCE.as_secs()
                    ),
                    "see the proxy's log",
                ));
            }
            sleep(PAUSE).await;
        }
    }
}

#[async_trait]
impl Injection for Certificate {
    fn victim(&self) -> String {
        "the certificate".to_owned()
    }

    fn lasts(&self) -> bool {
        self.kind == Kind::Expired
    }

    async fn inject(&mut self, load: &Load) -> Result<()> {
        let address = load.target().tls;
        self.address = Some(address);
        for _ in 0..TIMES {
            self.replace(address, Kind::Valid).await?;
        }
        match self.kind {
            Kind::Valid => Ok(()),
            Kind::Expired => self.replace(address, Kind::Expired).await,
        }
    }

    async fn heal(&mut self) -> Result<()> {
        match self.address {
            Some(address) if self.kind == Kind::Expired => self.replace(address, Kind::Valid).await,
            _ => Ok(()),
        }
    }

    async fn restore(&mut self) -> Result<()> {
        let directory = &self.tool.certificates;
        remove(directory).map_err(|error| unable("clear", directory, &error))
    }
}

/// Writes a new pair, each file whole, and returns the certificate.
fn write(directory: &Path, kind: Kind) -> io::Result<Vec<u8>> {
    let mut parameters =
        CertificateParams::new(["localhost".to_owned()]).map_err(io::Error::other)?;
    parameters.distinguished_name = DistinguishedName::new();
    parameters
        .distinguished_name
        .push(DnType::CommonName, "chaos");
    if kind == Kind::Expired {
        parameters.not_before = date_time_ymd(2020, 1, 1);
        parameters.not_after = date_time_ymd(2020, 2, 1);
    }
    let key = KeyPair::generate().map_err(io::Error::other)?;
    let certificate = parameters.self_signed(&key).map_err(io::Error::other)?;
    for (ending, text) in [("key", key.serialize_pem()), ("crt", certificate.pem())] {
        let (new, path) = (
            directory.join("new"),
            directory.join(NAME).with_extension(ending),
        );
        fs::write(&new, text)?;
        fs::set_permissions(&new, fs::Permissions::from_mode(0o600))?;
        chown(&new, Some(USER), Some(USER))?;
        fs::rename(&new, &path)?;
    }
    Ok(certificate.der().to_vec())
}

fn remove(directory: &Path) -> io::Result<()> {
    for ending in ["crt", "key"] {
        match fs::remove_file(directory.join(NAME).with_extension(ending)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn unable(doing: &str, directory: &Path, error: &io::Error) -> Error {
    Error::failed(
        format!("can't {doing} {}: {error}", directory.display()),
        "run the suite as root, with --out in a directory that it may write to",
    )
}
