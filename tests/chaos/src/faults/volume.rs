//! The database's volume is full.
//!
//! A volume of Docker's own has no size. For this round the database gets one that has: an ext4
//! image, mounted over the volume's directory with the data copied into it; afterwards the data goes
//! back. (A tmpfs volume would be simpler, but loses the data whenever mongod ends, which is
//! exactly when it must not.)

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use async_trait::async_trait;
use engine::error::{EngineContext, Error, Result};
use engine::state::Container;
use tokio::task::JoinHandle;
use tokio::time::{Duration, interval, timeout};

use super::Injection;
use super::process::{start, stop};
use crate::host::run;
use crate::load::Load;
use crate::seed::Dice;
use crate::stack::{Service, Stack};

/// What the image holds beyond the data.
const ROOM: u64 = 256 << 20;
/// Takes the room.
const FILLER: &str = "filler";
/// How long the database may take to be healthy on its new volume.
const START: Duration = Duration::from_secs(60);
/// What stands in a line of mongod's log when its data could not be written: ENOSPC, told by the
/// storage engine (its diagnostics come to nothing without harm).
const REFUSED: [&str; 2] = ["WiredTiger error", "No space left on device"];
/// How long until it stands there.
const NOTICE: Duration = Duration::from_secs(30);
/// Names the stream of random bytes.
const VOLUME_FULL: &str = "volume-full";

/// Not a byte is free, until the end.
#[derive(Debug)]
pub(super) struct Full {
    stack: Stack,
    mongo: Container,
    /// The volume's directory on the engine's host.
    directory: PathBuf,
    /// For the image, and for mounting it on the side.
    scratch: PathBuf,
    /// The database was stopped, to be started again in the end.
    stopped: bool,
    /// The image is mounted over the volume's directory.
    mounted: bool,
    /// Asks for room again and again: MongoDB preallocates its journal, and may need none for a
    /// minute.
    appetite: Option<JoinHandle<()>>,
}

impl Full {
    pub(super) async fn new(stack: Stack) -> Result<Self> {
        let mongo = stack.victim(Service::Mongo, 0).await?;
        let inspected = stack.inspect(&mongo.id).await?;
        let name = inspected
            .mounts
            .unwrap_or_default()
            .into_iter()
            .find(|mount| mount.destination.as_deref() == Some("/data/db"))
            .and_then(|mount| mount.name)
            .ok_or_else(|| {
                Error::failed(
                    format!("{} has no volume at /data/db", mongo.name),
                    "leave this fault out with --only",
                )
            })?;
        let volume = stack.engine().inspect_volume(&name).await;
        let directory = volume
            .doing(|| format!("inspect volume {name}"))?
            .mountpoint;
        let scratch = std::env::temp_dir().join(format!("{}-volume", stack.project));
        Ok(Self {
            stack,
            mongo,
            directory: directory.into(),
            scratch,
            stopped: false,
            mounted: false,
            appetite: None,
        })
    }

    fn image(&self) -> PathBuf {
        self.scratch.join("image")
    }

    /// The new file system, before it goes over the volume; afterwards, the old one's place.
    fn side(&self) -> PathBuf {
        self.scratch.join("side")
    }

    /// An image that holds the data and [`ROOM`], mounted on the side.
    async fn make_image(&self) -> Result<()> {
        let used = run("du", [Path::new("-sb"), &self.directory]).await?;
        let used: u64 = used
            .split_whitespace()
            .next()
            .and_then(|bytes| bytes.parse().ok())
            .ok_or_else(|| Error::failed(format!("du said {used:?}"), "run the suite again"))?;
        let failed = |error: std::io::Error| {
            Error::failed(
                format!("can't make a volume in {}: {error}", self.scratch.display()),
                "see whether there is room, or set TMPDIR to where there is",
            )
        };
        tokio::fs::create_dir_all(self.side())
            .await
            .map_err(failed)?;
        let image = tokio::fs::File::create(self.image())
            .await
            .map_err(failed)?;
        image.set_len(used + ROOM).await.map_err(failed)?;
        // No blocks reserved for root: full is full for everybody.
        run("mkfs.ext4", [Path::new("-qm0"), &self.image()]).await?;
        run("mount", [Path::new("-oloop"), &self.image(), &self.side()])
            .await
            .map(drop)
    }

    async fn copy(from: &Path, to: &Path) -> Result<()> {
        run("cp", [Path::new("-aT"), from, to]).await.map(drop)
    }
}

#[async_trait]
impl Injection for Full {
    fn victim(&self) -> String {
        self.mongo.name.clone()
    }

    async fn prepare(&mut self) -> Result<()> {
        self.stopped = true;
        stop(&self.stack, &self.mongo).await?;
        self.make_image().await?;
        Self::copy(&self.directory, &self.side()).await?;
        // Mounted anew rather than moved: under a shared mount, Linux moves none.
        run("umount", [&self.side()]).await?;
        run(
            "mount",
            [Path::new("-oloop"), &self.image(), &self.directory],
        )
        .await?;
        self.mounted = true;
        start(&self.stack, &self.mongo).await?;
        self.stack.settle(START).await?;
        // While there is room: a collection that can't be created harms nobody.
        let database = self.stack.database().await?;
        database.swell(&mut Dice::new(0, VOLUME_FULL)).await
    }

    async fn inject(&mut self, _: &Load) -> Result<()> {
        let filler = self.directory.join(FILLER);
        // Ends with "no space left on device", as it should.
        let written = run(
            "dd",
            [
                "if=/dev/zero".to_owned(),
                format!("of={}", filler.display()),
                "bs=64k".to_owned(),
            ],
        )
        .await;
        if written.is_ok() {
            return Err(Error::failed(
                format!("{} didn't get full", self.directory.display()),
                "run the suite again",
            ));
        }
        let since = SystemTime::now();
        let database = self.stack.database().await?;
        self.appetite = Some(tokio::spawn(async move {
            let mut dice = Dice::new(1, VOLUME_FULL);
            let mut seconds = interval(Duration::from_secs(1));
            loop {
                seconds.tick().await;
                // It may well fail: that is the fault.
                _ = timeout(Duration::from_secs(1), database.swell(&mut dice)).await;
            }
        }));
        if !self
            .stack
            .says(&self.mongo, &REFUSED, since, NOTICE)
            .await?
        {
            return Err(Error::failed(
                format!(
                    "{} is full, but {} was refused no write within {} s",
                    self.directory.display(),
                    self.mongo.name,
                    NOTICE.as_secs()
                ),
                "see `deploy logs mongo`",
            ));
        }
        Ok(())
    }

    async fn heal(&mut self) -> Result<()> {
        if let Some(appetite) = self.appetite.take() {
            appetite.abort();
        }
        if self.mounted {
            run("rm", [Path::new("-f"), &self.directory.join(FILLER)]).await?;
        }
        Ok(())
    }

    async fn restore(&mut self) -> Result<()> {
        if std::mem::take(&mut self.mounted) {
            stop(&self.stack, &self.mongo).await?;
            run(
                "mount",
                [Path::new("--bind"), &self.directory, &self.side()],
            )
            .await?;
            run("umount", [&self.directory]).await?;
            // What was there before the round is older than what comes back, file by file.
            let old = [
                self.directory.as_path(),
                Path::new("-mindepth"),
                Path::new("1"),
                Path::new("-delete"),
            ];
            run("find", old).await?;
            Self::copy(&self.side(), &self.directory).await?;
            run("umount", [&self.side()]).await?;
        }
        if std::mem::take(&mut self.stopped) {
            start(&self.stack, &self.mongo).await?;
        }
        // Still mounted on the side, if the preparation came no further.
        let scratch = [
            Path::new("-rf"),
            Path::new("--one-file-system"),
            &self.scratch,
        ];
        _ = run("umount", [&self.side()]).await;
        run("rm", scratch).await.map(drop)
    }
}
