//! What a service finds in its file system: volumes, directories of the host, memory, secrets.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Serialize, Serializer};

use super::values::optional_string;
use super::{FileMode, SecretName, VolumeKey, is_false};

/// An entry of a service's `volumes`. Targets are absolute paths in the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Mount {
    /// A file or directory of the host.
    Bind {
        /// Absolute path on the host.
        source: PathBuf,
        /// Path in the container.
        target: String,
        /// Not writable from the container.
        #[serde(skip_serializing_if = "is_false")]
        read_only: bool,
        /// Options of bind mounts.
        bind: BindOptions,
    },
    /// A volume of the engine.
    Volume {
        /// `None`: anonymous, made for each container.
        #[serde(skip_serializing_if = "Option::is_none")]
        source: Option<VolumeKey>,
        /// Path in the container.
        target: String,
        /// Not writable from the container.
        #[serde(skip_serializing_if = "is_false")]
        read_only: bool,
        /// Options of volume mounts.
        volume: VolumeOptions,
    },
    /// Memory.
    Tmpfs {
        /// Path in the container.
        target: String,
        /// Options of tmpfs mounts.
        tmpfs: TmpfsOptions,
    },
}

impl Mount {
    /// The path in the container.
    pub fn target(&self) -> &str {
        match self {
            Self::Bind { target, .. }
            | Self::Volume { target, .. }
            | Self::Tmpfs { target, .. } => target,
        }
    }
}

/// `bind` of a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct BindOptions {
    /// Make the directory on the host if there is nothing at the source.
    pub create_host_path: bool,
}

/// `volume` of a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct VolumeOptions {
    /// Don't fill a new volume with what the image has at the target.
    pub nocopy: bool,
}

/// `tmpfs` of a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct TmpfsOptions {
    /// In bytes; `None`: unlimited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Permissions of the mount point.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<FileMode>,
}

/// A secret as a service sees it; at `/run/secrets/<source>` by default.
pub type SecretMount = FileMount<SecretName>;

/// A secret or config as a service sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileMount<Name> {
    /// Which.
    pub source: Name,
    /// Absolute path in the container.
    pub target: String,
    /// Owner of the file in the container.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "optional_string"
    )]
    pub uid: Option<u32>,
    /// Group of the file in the container.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "optional_string"
    )]
    pub gid: Option<u32>,
    /// Permissions of the file in the container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<FileMode>,
}

/// The short form, `path` or `path:options`.
pub(super) fn tmpfs_list<S: Serializer>(
    mounts: &BTreeMap<String, String>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(mounts.iter().map(|(path, options)| {
        if options.is_empty() {
            path.clone()
        } else {
            format!("{path}:{options}")
        }
    }))
}
