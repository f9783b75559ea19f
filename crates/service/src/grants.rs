//! What the machine grants a process: memory and open files.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Where Linux mounts control groups.
const CGROUPS: &str = "/sys/fs/cgroup";

/// The bytes of memory that this process may take: the smallest limit of its control group and of
/// those above it (cgroups v1 and v2), and no more than the machine has.
///
/// `None` where nothing of that can be read.
pub fn memory() -> Option<u64> {
    let limits = fs::read_to_string("/proc/self/cgroup")
        .map(|groups| cgroup_limit(&groups, Path::new(CGROUPS)))
        .unwrap_or_default();
    let machine = fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|info| total_memory(&info));
    limits.into_iter().chain(machine).min()
}

/// The smallest limit on the way from the process's group to the root of the hierarchy.
///
/// In a container, the root is usually the container's own group, while `/proc/self/cgroup` still
/// tells the path on the host, which doesn't exist there: what can't be read doesn't count.
fn cgroup_limit(groups: &str, mount: &Path) -> Option<u64> {
    groups
        .lines()
        .filter_map(|line| {
            // hierarchy:controllers:path (cgroups(7))
            let mut parts = line.splitn(3, ':').skip(1);
            let (controllers, path) = (parts.next()?, parts.next()?);
            let (mount, files): (_, &[_]) = if controllers.is_empty() {
                (mount.to_owned(), &["memory.max", "memory.high"])
            } else if controllers.split(',').any(|name| name == "memory") {
                (mount.join("memory"), &["memory.limit_in_bytes"])
            } else {
                return None;
            };
            let group = mount.join(path.trim_start_matches('/'));
            group
                .ancestors()
                .take_while(|group| group.starts_with(&mount))
                .flat_map(|group| files.iter().map(|file| group.join(file)))
                .filter_map(read_limit)
                .min()
        })
        .min()
}

/// A limit in bytes; `max` is none.
fn read_limit(file: PathBuf) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// `MemTotal` in bytes (`proc_meminfo(5)`).
fn total_memory(info: &str) -> Option<u64> {
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// Raises the limit on open files as far as it goes towards `wanted`, and returns what it is then.
pub fn open_files(wanted: u64) -> io::Result<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // `None` is no limit.
    let (soft, hard) = (current.unwrap_or(u64::MAX), maximum.unwrap_or(u64::MAX));
    let granted = wanted.min(hard).max(soft);
    if granted > soft {
        setrlimit(
            Resource::Nofile,
            Rlimit {
                current: Some(granted),
                maximum,
            },
        )?;
    }
    Ok(granted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(root: &Path, path: &str, text: &str) {
        let file = root.join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    #[test]
    fn the_smallest_limit_on_the_way_up_counts() {
        let root = tempfile::tempdir().unwrap();
        written(root.path(), "a/b/memory.max", "max\n");
        written(root.path(), "a/b/memory.high", "3000\n");
        written(root.path(), "a/memory.max", "2000\n");
        written(
            root.path(),
            "memory/c/memory.limit_in_bytes",
            "9223372036854771712\n",
        );
        written(root.path(), "memory/memory.limit_in_bytes", "1000\n");
        for (groups, limit) in [
            ("0::/a/b\n", Some(2000)),
            ("0::/gone/x\n", None),
            ("4:cpu,memory:/c\n0::/a/b\n", Some(1000)),
            ("4:memory:/docker/0123\n", Some(1000)),
            ("4:cpu:/c\nnonsense\n", None),
            ("", None),
        ] {
            assert_eq!(cgroup_limit(groups, root.path()), limit, "{groups:?}");
        }
    }

    #[test]
    fn the_machine_has_some() {
        assert_eq!(
            total_memory("MemFree: 1 kB\nMemTotal:   24000 kB\n"),
            Some(24_576_000)
        );
        assert_eq!(total_memory("MemTotal: many\n"), None);
        assert!(memory().unwrap() > 1 << 20);
        assert!(open_files(64).unwrap() >= 64);
    }
}
