//! A control group with bounded memory (version 1 or 2), which takes root.

use std::fs;
use std::path::{Path, PathBuf};

use super::unique_name;

/// A group of its own, removed on drop, when its processes have to have ended.
#[derive(Debug)]
pub(crate) struct MemoryGroup {
    folder: PathBuf,
    version_2: bool,
}

impl MemoryGroup {
    /// A group whose processes get `bytes` of memory together, and are killed beyond.
    pub(crate) fn new(bytes: u64) -> Self {
        let root = Path::new("/sys/fs/cgroup");
        let version_2 = root.join("cgroup.controllers").exists();
        let folder = if version_2 {
            // Fails where it is so already, or where the next step will say why not.
            let _ = fs::write(root.join("cgroup.subtree_control"), "+memory");
            root.join(unique_name("memory"))
        } else {
            root.join("memory").join(unique_name("memory"))
        };
        fs::create_dir(&folder).expect("these tests make a control group, as root");
        let group = Self { folder, version_2 };
        let file = group.file("memory.max", "memory.limit_in_bytes");
        fs::write(file, bytes.to_string()).unwrap();
        group
    }

    /// The file that takes processes into the group.
    pub(crate) fn processes(&self) -> PathBuf {
        self.folder.join("cgroup.procs")
    }

    /// What they take now.
    pub(crate) fn usage(&self) -> u64 {
        Self::number(self.file("memory.current", "memory.usage_in_bytes"))
    }

    /// The most that they have taken.
    pub(crate) fn peak(&self) -> u64 {
        Self::number(self.file("memory.peak", "memory.max_usage_in_bytes"))
    }

    fn file(&self, version_2: &str, version_1: &str) -> PathBuf {
        let name = if self.version_2 { version_2 } else { version_1 };
        self.folder.join(name)
    }

    fn number(file: PathBuf) -> u64 {
        fs::read_to_string(file).unwrap().trim().parse().unwrap()
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        // Fails while a process is in it, and stays as a folder then.
        let _ = fs::remove_dir(&self.folder);
    }
}
