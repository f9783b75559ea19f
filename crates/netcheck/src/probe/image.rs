//! The probe's image: one file, this very executable, loaded into the engine without a build.
//!
//! It is named after the content of the executable, `causeway/probe:<hash>`, so that it is made
//! once for each build of `deploy` and reused from then on.

use std::env;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use elf::ElfBytes;
use elf::abi::{EM_AARCH64, EM_X86_64, PT_INTERP};
use elf::endian::AnyEndian;
use sha2::{Digest, Sha256};

use engine::Engine;
use engine::error::{EngineContext, Error, Result};

/// Label of the images and containers that are probes of ours.
pub const LABEL: &str = "dev.causeway.probe";
/// Names another executable than the running one.
pub const BINARY: &str = "CAUSEWAY_PROBE_BINARY";
/// Names an image that holds `deploy`, where the running one can't serve.
pub const IMAGE: &str = "CAUSEWAY_PROBE_IMAGE";

const REPOSITORY: &str = "causeway/probe";
/// An image of another build may be about to be used by a `deploy` that is running now.
const SPARED: Duration = Duration::from_secs(10 * 60);

/// An image on the engine whose entry point is `deploy probe`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    name: String,
}

impl Image {
    /// Finds or makes the image, and removes those of other builds.
    ///
    /// # Errors
    /// When the running executable can't run in a container of this engine, or the engine refuses.
    pub async fn ensure(engine: &Engine) -> Result<Self> {
        if let Some(name) = env::var(IMAGE).ok().filter(|name| !name.is_empty()) {
            engine.inspect_image(&name).await.map_err(|error| {
                Error::failed(
                    format!("{IMAGE}={name}: {error}"),
                    "pull or build that image first, or unset the variable",
                )
            })?;
            return Ok(Self { name });
        }
        Self::from_executable(engine, &executable()?).await
    }

    /// As [`ensure`](Self::ensure), of the executable at `path`.
    ///
    /// # Errors
    /// When it can't run in a container of this engine, or the engine refuses.
    pub async fn from_executable(engine: &Engine, path: &Path) -> Result<Self> {
        let path = path.to_owned();
        let executable = tokio::task::spawn_blocking(move || Executable::read(&path))
            .await
            .map_err(|error| Error::failed(error.to_string(), "run it again"))??;
        let image = Self {
            name: format!("{REPOSITORY}:{}", executable.hash),
        };
        if engine.inspect_image(&image.name).await.is_err() {
            executable.check(&architecture(engine).await?)?;
            load(engine, &executable).await?;
        }
        remove_others(engine, &image.name).await;
        Ok(image)
    }

    /// The same image by another name, as the nodes of a Swarm have it.
    #[must_use]
    pub fn known_as(self, name: String) -> Self {
        Self { name }
    }

    /// The name to create containers from.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// The file that becomes the image.
struct Executable {
    path: PathBuf,
    content: Vec<u8>,
    /// First half of the SHA-256 of the content.
    hash: String,
    /// Held until the image is there: two processes of the same build take turns.
    _lock: File,
}

impl Executable {
    fn read(path: &Path) -> Result<Self> {
        let failed = |error: std::io::Error| {
            Error::failed(
                format!(
                    "can't read the probe's executable {}: {error}",
                    path.display()
                ),
                format!("see that it exists, or set {BINARY} to a static build of deploy"),
            )
        };
        let mut file = File::open(path).map_err(failed)?;
        file.lock().map_err(failed)?;
        let mut content = Vec::new();
        file.read_to_end(&mut content).map_err(failed)?;
        let hash = hex::encode(Sha256::digest(&content).split_at(16).0);
        Ok(Self {
            path: path.to_owned(),
            content,
            hash,
            _lock: file,
        })
    }

    /// Whether it would run in an otherwise empty container on `architecture`.
    fn check(&self, architecture: &str) -> Result<()> {
        let unfit = |why: &str| {
            Error::failed(
                format!("{} can't run as a probe: {why}", self.path.display()),
                format!(
                    "build it with `make tool` and run target/deploy, or set {BINARY} to a static \
                     Linux build of deploy, or {IMAGE} to an image that holds one"
                ),
            )
        };
        let file = ElfBytes::<AnyEndian>::minimal_parse(&self.content)
            .map_err(|_| unfit("it is no Linux executable"))?;
        let built_for = match file.ehdr.e_machine {
            EM_X86_64 => "x86_64",
            EM_AARCH64 => "aarch64",
            _ => "another architecture",
        };
        if built_for != architecture {
            return Err(unfit(&format!(
                "it is built for {built_for}, the engine's host is {architecture}"
            )));
        }
        // A program interpreter is the dynamic linker, which an empty image doesn't hold.
        let dynamic = file
            .segments()
            .is_some_and(|table| table.iter().any(|s| s.p_type == PT_INTERP));
        if dynamic {
            Err(unfit(
                "it is linked dynamically, and the container holds no libraries",
            ))
        } else {
            Ok(())
        }
    }
}

fn executable() -> Result<PathBuf> {
    if let Some(path) = env::var_os(BINARY).filter(|path| !path.is_empty()) {
        return Ok(path.into());
    }
    env::current_exe().map_err(|error| {
        Error::failed(
            format!("can't find out which executable this is: {error}"),
            format!("set {BINARY} to its path"),
        )
    })
}

/// The engine's architecture as `uname -m` says it.
async fn architecture(engine: &Engine) -> Result<String> {
    let info = engine
        .info()
        .await
        .doing(|| "ask about its host".to_owned())?;
    Ok(match info.architecture.unwrap_or_default().as_str() {
        "amd64" => "x86_64".to_owned(),
        "arm64" => "aarch64".to_owned(),
        other => other.to_owned(),
    })
}

/// Imports a file system of one file (Engine API, `POST /images/create?fromSrc=-`).
async fn load(engine: &Engine, executable: &Executable) -> Result<()> {
    let mut archive = tar::Builder::new(Vec::with_capacity(executable.content.len() + 4_096));
    let mut header = tar::Header::new_gnu();
    header.set_size(executable.content.len() as u64);
    header.set_mode(0o755);
    let archive = archive
        .append_data(&mut header, "deploy", executable.content.as_slice())
        .and_then(|()| archive.into_inner())
        .map_err(|error| Error::failed(format!("can't pack the probe: {error}"), "run it again"))?;
    let changes = vec![
        r#"ENTRYPOINT ["/deploy", "probe"]"#.to_owned(),
        format!("LABEL {LABEL}=1"),
    ];
    engine
        .import_image(REPOSITORY, &executable.hash, changes, archive)
        .await
        .doing(|| "load the probe's image".to_owned())
}

/// Removes images of other builds. That it can't be done (a container still uses it) harms nobody
/// and is tried again next time.
async fn remove_others(engine: &Engine, current: &str) {
    let ours = [("label", LABEL)];
    let Ok(images) = engine.list_images(&ours).await else {
        return;
    };
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    for image in images {
        let age = now.saturating_sub(Duration::from_secs(image.created.try_into().unwrap_or(0)));
        // An image that somebody made from a probe's has its label too.
        let ours = |tag: &String| {
            let repository = tag.rsplit_once(':').map(|(repository, _)| repository);
            tag != current && repository == Some(REPOSITORY)
        };
        if image.repo_tags.is_empty() || !image.repo_tags.iter().all(ours) || age < SPARED {
            continue;
        }
        let _ = engine.remove_image(&image.id).await;
    }
}
