//! What a service finds in its file system: `volumes`, `tmpfs` and `secrets`.

use std::collections::BTreeMap;

use super::forms::{container_path, file_mode, host_path, is_name, parse_mode, parse_size, size};
use crate::cursor::Cursor;
use crate::fields::Fields;
use crate::model::{
    BindOptions, FileMount, Mount, SecretMount, SecretName, TmpfsOptions, VolumeKey, VolumeOptions,
};

/// `volumes` of a service.
pub(super) fn volumes(cursor: &Cursor<'_>) -> Vec<Mount> {
    let items = cursor.items().unwrap_or_default();
    items
        .iter()
        .filter_map(|item| {
            if item.is_scalar() {
                short(item)
            } else {
                long(item)
            }
        })
        .collect()
}

/// `[SOURCE:]TARGET[:OPTIONS]`. A source that begins as a path does is one; else it names a
/// volume.
fn short(item: &Cursor<'_>) -> Option<Mount> {
    let text = item.filled()?;
    let Some((source, target, options)) = parts(text) else {
        item.expected("[SOURCE:]TARGET[:ro]");
        return None;
    };
    if !target.starts_with('/') {
        item.expected("[SOURCE:]TARGET[:ro] with an absolute path in the container as target");
        return None;
    }
    let (mut read_only, mut nocopy) = (false, false);
    for option in options.split(',').filter(|_| !options.is_empty()) {
        match option {
            "ro" => read_only = true,
            "rw" => {}
            "nocopy" => nocopy = true,
            _ => item.problem(format!(
                "the mount option {option:?} isn't supported; ro, rw and nocopy are"
            )),
        }
    }
    let target = target.to_owned();
    match source {
        Some(path) if path.starts_with(['.', '/', '~']) => {
            if nocopy {
                item.problem("nocopy is for volumes, and this is a path of the host");
            }
            let source = item.context.absolute(path);
            let bind = BindOptions {
                create_host_path: true,
            };
            Some(Mount::Bind {
                source,
                target,
                read_only,
                bind,
            })
        }
        Some(name) if !is_name(name) => {
            item.problem(format!(
                "the source {name:?}: expected a volume's name, or a path that begins with ./, / or ~"
            ));
            None
        }
        name => {
            let source = name.map(|name| VolumeKey(name.to_owned()));
            Some(Mount::Volume {
                source,
                target,
                read_only,
                volume: VolumeOptions { nocopy },
            })
        }
    }
}

/// Source, target and options.
pub(super) fn parts(text: &str) -> Option<(Option<&str>, &str, &str)> {
    let parts: Vec<&str> = text.split(':').collect();
    match parts[..] {
        [target] => Some((None, target, "")),
        [source, target] => Some((Some(source), target, "")),
        [source, target, options] => Some((Some(source), target, options)),
        _ => None,
    }
}

#[derive(Clone, Copy)]
enum Type {
    Bind,
    Volume,
    Tmpfs,
}

fn long(item: &Cursor<'_>) -> Option<Mount> {
    let fields = Fields::of(item)?;
    let types = [
        ("bind", Type::Bind),
        ("volume", Type::Volume),
        ("tmpfs", Type::Tmpfs),
    ];
    let mount_type = fields.required("type").and_then(|c| c.choice(&types));
    let target = fields.required("target").and_then(|c| container_path(&c));
    let read_only = fields
        .get("read_only")
        .and_then(|c| c.boolean())
        .unwrap_or(false);
    // Keys of the other types aren't asked for, and so reported.
    let mount = match mount_type {
        None => {
            for key in ["source", "bind", "volume", "tmpfs"] {
                let _ = fields.nullable(key);
            }
            None
        }
        Some(Type::Bind) => {
            let source = fields.required("source").and_then(|c| host_path(&c));
            let create_host_path = fields
                .get("bind")
                .and_then(|c| bind_options(&c))
                .unwrap_or(true);
            let bind = BindOptions { create_host_path };
            source.zip(target).map(|(source, target)| Mount::Bind {
                source,
                target,
                read_only,
                bind,
            })
        }
        Some(Type::Volume) => {
            let source = fields.get("source").and_then(|c| c.filled());
            let source = source.map(|name| VolumeKey(name.to_owned()));
            let nocopy = fields
                .get("volume")
                .and_then(|c| volume_options(&c))
                .unwrap_or(false);
            let volume = VolumeOptions { nocopy };
            target.map(|target| Mount::Volume {
                source,
                target,
                read_only,
                volume,
            })
        }
        Some(Type::Tmpfs) => {
            if read_only {
                item.problem("read_only makes no sense for memory");
            }
            let tmpfs = fields
                .get("tmpfs")
                .and_then(|c| tmpfs_options(&c))
                .unwrap_or_default();
            target.map(|target| Mount::Tmpfs { target, tmpfs })
        }
    };
    fields.finish(&[("consistency", "it has no effect on Linux; remove it")]);
    mount
}

fn bind_options(cursor: &Cursor<'_>) -> Option<bool> {
    let fields = Fields::of(cursor)?;
    let create_host_path = fields.get("create_host_path").and_then(|c| c.boolean());
    fields.finish(&[]);
    create_host_path
}

fn volume_options(cursor: &Cursor<'_>) -> Option<bool> {
    let fields = Fields::of(cursor)?;
    let nocopy = fields.get("nocopy").and_then(|c| c.boolean());
    fields.finish(&[]);
    nocopy
}

fn tmpfs_options(cursor: &Cursor<'_>) -> Option<TmpfsOptions> {
    let fields = Fields::of(cursor)?;
    let options = TmpfsOptions {
        size: fields.get("size").and_then(|c| size(&c)),
        mode: fields.get("mode").and_then(|c| file_mode(&c)),
    };
    fields.finish(&[]);
    Some(options)
}

/// `tmpfs` of a service: `PATH[:OPTIONS]`, one or a list.
pub(super) fn tmpfs(cursor: &Cursor<'_>) -> BTreeMap<String, String> {
    let mut mounts = BTreeMap::new();
    for item in cursor.one_or_more().unwrap_or_default() {
        let Some(text) = item.filled() else { continue };
        let (path, options) = text.split_once(':').unwrap_or((text, ""));
        if !path.starts_with('/') {
            item.expected("PATH[:OPTIONS] with an absolute path");
            continue;
        }
        for option in options.split(',').filter(|_| !options.is_empty()) {
            if !is_tmpfs_option(option) {
                item.problem(format!(
                    "the tmpfs option {option:?}: expected size=64m, mode=1777, uid=, gid=, \
                     nr_inodes=, or a flag such as noexec"
                ));
            }
        }
        if mounts.insert(path.to_owned(), options.to_owned()).is_some() {
            item.problem(format!("{path} is in the list already"));
        }
    }
    mounts
}

/// What tmpfs(5) and the engine's tmpfs mounts take.
fn is_tmpfs_option(option: &str) -> bool {
    let number = |text: &str| text.parse::<u32>().is_ok();
    match option.split_once('=') {
        Some(("size", value)) => {
            let percent = value.strip_suffix('%').is_some_and(number);
            percent || parse_size(value).is_some()
        }
        Some(("mode", value)) => parse_mode(value).is_some(),
        Some(("uid" | "gid", value)) => number(value),
        Some(("nr_inodes" | "nr_blocks", value)) => parse_size(value).is_some(),
        Some(_) => false,
        None => matches!(
            option,
            "ro" | "rw"
                | "exec"
                | "noexec"
                | "suid"
                | "nosuid"
                | "dev"
                | "nodev"
                | "sync"
                | "async"
                | "dirsync"
                | "atime"
                | "noatime"
                | "diratime"
                | "nodiratime"
                | "relatime"
                | "norelatime"
                | "strictatime"
                | "nostrictatime"
        ),
    }
}

/// `secrets` of a service: names, or mappings with where and how the secret is seen.
pub(super) fn secrets(cursor: &Cursor<'_>) -> Vec<SecretMount> {
    let items = cursor.items().unwrap_or_default();
    let secret = |item| file_mount(item, SecretName, secret_path);
    items.iter().filter_map(secret).collect()
}

/// A name, or a mapping with where and how the file is seen; `place` is where that is in the container.
pub(super) fn file_mount<Name>(
    item: &Cursor<'_>,
    name: fn(String) -> Name,
    place: fn(&str) -> String,
) -> Option<FileMount<Name>> {
    if item.is_scalar() {
        let source = item.filled()?.to_owned();
        return Some(FileMount {
            target: place(&source),
            source: name(source),
            uid: None,
            gid: None,
            mode: None,
        });
    }
    let fields = Fields::of(item)?;
    let source = fields.required("source").and_then(|c| c.filled());
    let target = fields.get("target").and_then(|c| c.filled());
    let uid = fields.get("uid").and_then(|c| c.unsigned(0));
    let gid = fields.get("gid").and_then(|c| c.unsigned(0));
    let mode = fields.get("mode").and_then(|c| file_mode(&c));
    fields.finish(&[]);
    let source = source?;
    Some(FileMount {
        target: place(target.unwrap_or(source)),
        source: name(source.to_owned()),
        uid,
        gid,
        mode,
    })
}

/// Where a secret is in the container.
pub(super) fn secret_path(target: &str) -> String {
    if target.starts_with('/') {
        target.to_owned()
    } else {
        format!("/run/secrets/{target}")
    }
}
