//! A registry for the nodes' images, which may go away and come back.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use engine::error::{Error, Result};
use tokio::fs;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};

const PROGRAM: &str = "docker-registry";
/// Longest wait for one that starts.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(50);

/// Debian's, with what it stores in a folder.
#[derive(Debug)]
pub(super) struct Registry {
    /// Where the nodes reach it.
    pub(super) address: SocketAddr,
    config: PathBuf,
    process: Mutex<Option<Child>>,
}

impl Registry {
    /// Starts one at that address of this host, on any free port.
    pub(super) async fn start(ip: IpAddr, folder: &Path) -> Result<Self> {
        let failed = |error: std::io::Error| {
            Error::failed(
                format!("could not set up a registry at {ip}: {error}"),
                "run the suite again; `--only` with the other faults leaves this one out",
            )
        };
        let free = TcpListener::bind((ip, 0)).await.map_err(failed)?;
        let address = free.local_addr().map_err(failed)?;
        drop(free);
        let config = folder.join("registry.yml");
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n\
             http: {{addr: '{address}'}}\n",
            folder.join("registry").display()
        );
        fs::write(&config, text).await.map_err(failed)?;
        let registry = Self {
            address,
            config,
            process: Mutex::default(),
        };
        registry.come_back().await?;
        Ok(registry)
    }

    /// Ends as if killed.
    pub(super) async fn go_away(&self) {
        if let Some(mut process) = self.process.lock().await.take() {
            // One that has ended by itself is away, too.
            _ = process.kill().await;
        }
    }

    /// Starts again, with what it had stored.
    pub(super) async fn come_back(&self) -> Result<()> {
        let process = Command::new(PROGRAM)
            .arg("serve")
            .arg(&self.config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .process_group(0)
            .kill_on_drop(true)
            .spawn();
        let process = process.map_err(|error| {
            Error::failed(
                format!("could not run {PROGRAM}: {error}"),
                format!("install Debian's package {PROGRAM}"),
            )
        })?;
        *self.process.lock().await = Some(process);
        let answers = async {
            while TcpStream::connect(self.address).await.is_err() {
                sleep(PAUSE).await;
            }
        };
        timeout(PATIENCE, answers).await.map_err(|_| {
            Error::failed(
                format!("the registry at {} doesn't answer", self.address),
                "its message is above",
            )
        })
    }
}
