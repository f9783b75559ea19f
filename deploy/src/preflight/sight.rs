//! Bind mounts and secrets are paths of the engine's machine: does it see those that are meant?
//!
//! An engine elsewhere (`DOCKER_HOST`), in a container, or in a mount namespace of its own doesn't.
//! It is asked in a way that makes nothing: to create a container with these mounts from an image
//! that can't exist. It looks at the mounts first.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use compose_file::Project;
use compose_file::model::Mount;
use engine::Engine;
use engine::api::{ContainerCreateBody, HostConfig, Mount as EngineMount, MountType};
use engine::error::{EngineContext, Result, is_missing, refused};

use crate::secrets;

/// `.invalid` never resolves (RFC 6761), so nobody can have pulled from there.
const NO_IMAGE: &str = "deploy.invalid/asks-what-the-engine-sees:none";

pub(super) async fn check(
    engine: &Engine,
    project: &Project,
    conflicts: &mut Vec<String>,
) -> Result<()> {
    let paths: Vec<PathBuf> = needed(project).into_iter().collect();
    if paths.is_empty() || sees(engine, &paths).await? {
        return Ok(());
    }
    let mut unseen = Vec::new();
    for path in paths {
        if sees(engine, std::slice::from_ref(&path)).await? {
            continue;
        }
        if path.exists() {
            unseen.push(path.display().to_string());
        } else {
            conflicts.push(format!(
                "{} does not exist, and a service mounts it. Create it, or correct the path",
                path.display()
            ));
        }
    }
    if !unseen.is_empty() {
        conflicts.push(format!(
            "the engine at {} doesn't see {}: it runs on another machine, in a container, or with a \
             file system of its own. Run `deploy` where the engine runs, or have this directory there \
             under the same path",
            engine.address(),
            unseen.join(", ")
        ));
    }
    Ok(())
}

/// What containers are given of the file system: paths that are here, and those that have to be
/// there all the same. In the place of a file that is yet to be made, the directory it goes into.
fn needed(project: &Project) -> BTreeSet<PathBuf> {
    let binds = project.services.values().flat_map(|it| &it.volumes);
    let binds = binds.filter_map(|mount| match mount {
        Mount::Bind { source, bind, .. } if source.exists() || !bind.create_host_path => {
            Some(source.clone())
        }
        _ => None,
    });
    let here = |file: &Path| {
        let existing = file.ancestors().find(|it| it.exists());
        existing.map(Path::to_path_buf)
    };
    let files = secrets::used(project).filter_map(|(_, secret)| here(&secret.file));
    binds.chain(files).collect()
}

async fn sees(engine: &Engine, paths: &[PathBuf]) -> Result<bool> {
    let mount = |(number, path): (usize, &PathBuf)| EngineMount {
        typ: Some(MountType::BIND),
        source: Some(path.display().to_string()),
        target: Some(format!("/mnt/{number}")),
        read_only: Some(true),
        ..EngineMount::default()
    };
    let body = ContainerCreateBody {
        image: Some(NO_IMAGE.to_owned()),
        host_config: Some(HostConfig {
            mounts: Some(paths.iter().enumerate().map(mount).collect()),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    };
    let doing = || "ask the engine which paths it sees".to_owned();
    match engine.create_container(None, body).await {
        Err(err) if is_missing(&err) => Ok(true),
        Err(err) if matches!(refused(&err), Some((400, why)) if engine::said::is_not_there(why)) => {
            Ok(false)
        }
        Err(err) => Err(err).doing(doing),
        // Somebody gave an image this name.
        Ok(created) => {
            let removed = engine.remove_container(&created.id);
            removed.await.doing(doing)?;
            Ok(true)
        }
    }
}
