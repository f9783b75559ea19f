//! The most memory that a container has used, and whether it lived.
//!
//! The kernel's own highest figure, which misses nothing between two looks: `memory.peak` of a
//! control group (version 2), `memory.max_usage_in_bytes` (version 1). A write sets it back, for the
//! file that is open (version 2, since Linux 6.12) or for all. An older kernel keeps what was highest
//! since the container's start, which is never too little.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use engine::error::{Error, Result};
use serde::Serialize;

use crate::stack::Stack;

/// Where Linux mounts control groups.
const CGROUPS: &str = "/sys/fs/cgroup";

/// A container, and the kernel's figure for it.
#[derive(Debug)]
pub(crate) struct Gauge {
    id: String,
    name: String,
    service: String,
    /// What it may use, in bytes.
    limit: u64,
    life: Life,
    file: File,
    /// The last figure that could be read: it is gone with the process.
    peak: u64,
}

/// By what one life of a container is told from the next.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Life {
    pid: i64,
    restarts: i64,
    out_of_memory: bool,
}

/// What a container used at most.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Peak {
    /// The container.
    pub(crate) container: String,
    /// Its service.
    pub(crate) service: String,
    /// The most bytes that it used.
    pub(crate) bytes: u64,
    /// Those that it may use.
    pub(crate) limit: u64,
    /// What became of it, if it didn't live.
    pub(crate) killed: Option<String>,
}

impl Peak {
    /// Of what it may use, in per cent.
    pub(crate) fn share(&self) -> u64 {
        (self.bytes * 100).checked_div(self.limit).unwrap_or(100)
    }
}

/// One gauge for each container of the stack that has a limit, set back to what is used now.
///
/// # Errors
/// When the engine doesn't answer, or the figures can't be read: they are on the engine's host.
pub(crate) async fn gauges(stack: &Stack) -> Result<Vec<Gauge>> {
    let mut gauges = Vec::new();
    for container in stack.containers().await? {
        let (life, limit) = life(stack, &container.id).await?;
        if limit == 0 {
            continue;
        }
        let file = open(life.pid).map_err(|error| {
            Error::failed(
                format!(
                    "can't read how much memory {} uses at most: {error}",
                    container.name
                ),
                "run the suite on the engine's host, as root",
            )
        })?;
        let mut gauge = Gauge {
            id: container.id,
            name: container.name,
            service: container.service,
            limit,
            life,
            file,
            peak: 0,
        };
        gauge.read();
        gauges.push(gauge);
    }
    Ok(gauges)
}

async fn life(stack: &Stack, container: &str) -> Result<(Life, u64)> {
    let seen = stack.inspect(container).await?;
    let state = seen.state.unwrap_or_default();
    let limit = seen.host_config.and_then(|config| config.memory);
    let life = Life {
        pid: state.pid.unwrap_or_default(),
        restarts: seen.restart_count.unwrap_or_default(),
        out_of_memory: state.oom_killed.unwrap_or_default(),
    };
    Ok((life, u64::try_from(limit.unwrap_or_default()).unwrap_or(0)))
}

impl Gauge {
    /// Looks again: what is read in time isn't lost with the process.
    pub(crate) fn read(&mut self) {
        let mut text = String::new();
        let read = self
            .file
            .rewind()
            .and_then(|()| self.file.read_to_string(&mut text));
        if let (Ok(_), Ok(peak)) = (read, text.trim().parse()) {
            self.peak = self.peak.max(peak);
        }
    }

    /// What it used at most, and whether it still is the same process.
    ///
    /// # Errors
    /// When the engine doesn't answer.
    pub(crate) async fn finish(mut self, stack: &Stack) -> Result<Peak> {
        self.read();
        let (now, _) = life(stack, &self.id).await?;
        let killed = (now != self.life).then(|| {
            let cause = if now.out_of_memory || self.peak >= self.limit {
                "out of memory"
            } else {
                "ended"
            };
            format!(
                "{cause}, {} restarts",
                now.restarts.saturating_sub(self.life.restarts)
            )
        });
        Ok(Peak {
            container: self.name,
            service: self.service,
            bytes: self.peak,
            limit: self.limit,
            killed,
        })
    }
}

/// The file of the process's control group, set back.
fn open(pid: i64) -> io::Result<File> {
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    let path = figure(&groups, Path::new(CGROUPS)).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::NotFound,
            format!("process {pid} is in no control group for memory: {groups:?}"),
        )
    })?;
    let written = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .and_then(|mut file| file.write_all(b"0").map(|()| file));
    written.or_else(|_| File::open(path))
}

/// The figure for the group of a process, by what `/proc/PID/cgroup` says (cgroups(7)).
fn figure(groups: &str, mount: &Path) -> Option<PathBuf> {
    let group = |mount: &Path, path: &str| mount.join(path.trim_start_matches('/'));
    let mut version_2 = None;
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        if controllers.split(',').any(|name| name == "memory") {
            let group = group(&mount.join("memory"), path);
            return Some(group.join("memory.max_usage_in_bytes"));
        }
        if controllers.is_empty() {
            version_2 = Some(group(mount, path).join("memory.peak"));
        }
    }
    version_2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figure_is_found_in_both_versions_of_control_groups() {
        let mount = Path::new("/sys/fs/cgroup");
        for (groups, expected) in [
            (
                "0::/docker/a\n",
                Some("/sys/fs/cgroup/docker/a/memory.peak"),
            ),
            (
                "9:pids:/x\n4:memory:/docker/a\n0::/y\n",
                Some("/sys/fs/cgroup/memory/docker/a/memory.max_usage_in_bytes"),
            ),
            ("4:cpu:/docker/a\n", None),
        ] {
            assert_eq!(
                figure(groups, mount),
                expected.map(PathBuf::from),
                "{groups:?}"
            );
        }
    }

    #[test]
    fn a_share_is_of_the_limit() {
        let peak = Peak {
            container: "x-api-1".to_owned(),
            service: "api".to_owned(),
            bytes: 64 << 20,
            limit: 256 << 20,
            killed: None,
        };
        assert_eq!(peak.share(), 25);
    }
}
