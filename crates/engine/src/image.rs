//! Images: what is there, and how what is missing is built or pulled.

pub mod build;
pub mod context;
pub mod ignore;
pub mod pull;
pub mod push;
pub mod tag;
pub mod transfer;
pub mod withheld;

use std::collections::BTreeMap;

use bollard::models::ImageInspect;
use compose_file::Project;
use compose_file::model::{PullPolicy, Service};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::Engine;
use crate::error::{EngineContext, Error, Result, is_missing};
use crate::labels;
use crate::owner::Labels;
use withheld::Withheld;

/// The images of a project: what the engine has, and what has to be done about it.
#[derive(Debug, Default)]
pub struct Images(BTreeMap<String, ImageState>);

/// One image by its name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageState {
    /// What a container made from it would get; `None`: the engine doesn't have it.
    pub content: Option<String>,
    /// What has to be done before it can be used.
    pub need: Option<Need>,
    /// What containers are made from where the image's own name has moved on.
    pub pinned: Option<String>,
}

/// Why an image can't be used as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// It has to be built, for this reason; the hash becomes its label.
    Build {
        /// For the user.
        reason: &'static str,
        /// Value of [`labels::BUILD_HASH`] after the build.
        hash: String,
    },
    /// It has to be pulled, for this reason.
    Pull {
        /// For the user.
        reason: &'static str,
    },
}

/// An image as it was when a release was brought up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// A name that stays with it when the Compose file's name moves on.
    pub tag: String,
    /// What a container gets from it, see [`ImageState::content`].
    pub content: String,
}

/// Which images are made anew although they are there.
#[derive(Debug, Clone, Copy, Default)]
pub struct Refresh {
    /// Build even if nothing changed (`up --build`).
    pub build: bool,
    /// Pull even if the image is there (`up --pull`).
    pub pull: bool,
}

impl Images {
    /// Compares what the services need with what the engine has.
    pub async fn observe(engine: &Engine, project: &Project, refresh: Refresh) -> Result<Self> {
        let withheld = Withheld::of(project);
        let mut images = BTreeMap::new();
        for service in project.services.values() {
            if images.contains_key(&service.image) {
                continue;
            }
            let found = inspect(engine, &service.image).await?;
            let content = found.as_ref().map(content);
            let need = match &service.build {
                Some(_) => need_build(service, &withheld, found.as_ref(), refresh.build).await?,
                None => need_pull(service, found.is_some(), refresh.pull)?,
            };
            images.insert(
                service.image.clone(),
                ImageState {
                    content,
                    need,
                    pinned: None,
                },
            );
        }
        Ok(Self(images))
    }

    /// The images that the engine has, as they are: nothing is built or pulled.
    pub async fn present(engine: &Engine, project: &Project) -> Result<Self> {
        let mut images = BTreeMap::new();
        for service in project.services.values() {
            let state = ImageState {
                content: content_of(engine, &service.image).await?,
                ..ImageState::default()
            };
            images.insert(service.image.clone(), state);
        }
        Ok(Self(images))
    }

    /// The images of a release, none of which is built or pulled.
    ///
    /// # Errors
    /// When the engine doesn't have one any more.
    pub async fn of_release(engine: &Engine, pins: &BTreeMap<String, Pin>) -> Result<Self> {
        let mut images = BTreeMap::new();
        let mut missing = Vec::new();
        for (image, pin) in pins {
            let now = content_of(engine, image).await?;
            let pinned = if now.as_ref() == Some(&pin.content) {
                None
            } else {
                let kept = content_of(engine, &pin.tag).await?;
                if kept.as_ref() != Some(&pin.content) {
                    missing.push(format!("{image}, which was kept as {}", pin.tag));
                }
                Some(pin.tag.clone())
            };
            let content = Some(pin.content.clone());
            let state = ImageState {
                content,
                need: None,
                pinned,
            };
            images.insert(image.clone(), state);
        }
        if missing.is_empty() {
            return Ok(Self(images));
        }
        Err(Error::failed(
            "images of the release are gone from the engine; nothing was changed",
            "bring them back under these names (`docker load`, `docker pull` and `docker tag`), \
             or put the settings you want into the Compose file and run `deploy up`",
        )
        .with_details(missing))
    }

    /// What is known about an image of the project.
    pub fn get(&self, image: &str) -> ImageState {
        self.0.get(image).cloned().unwrap_or_default()
    }

    /// What a build or a pull came to.
    pub fn learn(&mut self, image: &str, content: &str) {
        let state = self.0.entry(image.to_owned()).or_default();
        state.content = Some(content.to_owned());
        state.need = None;
    }

    /// As if the engine had these.
    pub fn with(entries: impl IntoIterator<Item = (&'static str, ImageState)>) -> Self {
        Self(
            entries
                .into_iter()
                .map(|(name, state)| (name.to_owned(), state))
                .collect(),
        )
    }
}

/// Asks the engine for an image; `None` when it doesn't have it.
pub async fn inspect(engine: &Engine, image: &str) -> Result<Option<ImageInspect>> {
    match engine.docker().inspect_image(image).await {
        Ok(found) => Ok(Some(found)),
        Err(err) if is_missing(&err) => Ok(None),
        Err(err) => Err(err).doing(|| format!("inspect image {image}")),
    }
}

/// What a container made from an image would get; `None`: the engine doesn't have it.
pub async fn content_of(engine: &Engine, image: &str) -> Result<Option<String>> {
    Ok(inspect(engine, image).await?.as_ref().map(content))
}

/// The labels that an image brings; none where it is gone.
pub async fn labels_of(engine: &Engine, id: &str) -> Result<Labels> {
    let image = inspect(engine, id).await?;
    let labels = image.and_then(|it| it.config).and_then(|it| it.labels);
    Ok(labels.unwrap_or_default())
}

/// A digest of what a container would get from the image: file system layers and
/// settings. Unlike the image's id it stays the same when a rebuild came to the same
/// result, so that an edited README rebuilds an image and restarts nothing.
pub fn content(image: &ImageInspect) -> String {
    let layers = image
        .root_fs
        .as_ref()
        .and_then(|root| root.layers.clone())
        .unwrap_or_default();
    let config = image.config.clone().unwrap_or_default();
    let labels: BTreeMap<String, String> = config
        .labels
        .clone()
        .unwrap_or_default()
        .into_iter()
        .filter(|(name, _)| name != labels::BUILD_HASH)
        .collect();
    // Sets to the engine, which reach us in any order.
    let sorted = |set: &Option<Vec<String>>| {
        let mut set = set.clone().unwrap_or_default();
        set.sort();
        set
    };
    let settings = serde_json::json!({
        "layers": layers,
        "labels": labels,
        "user": config.user,
        "env": config.env,
        "cmd": config.cmd,
        "entrypoint": config.entrypoint,
        "working_dir": config.working_dir,
        "volumes": sorted(&config.volumes),
        "ports": sorted(&config.exposed_ports),
        "healthcheck": config.healthcheck,
        "stop_signal": config.stop_signal,
        "platform": [&image.os, &image.architecture],
    });
    let mut digest = hex::encode(Sha256::digest(settings.to_string()));
    digest.truncate(16);
    digest
}

async fn need_build(
    service: &Service,
    withheld: &Withheld,
    found: Option<&ImageInspect>,
    always: bool,
) -> Result<Option<Need>> {
    let Some(build) = &service.build else {
        return Ok(None);
    };
    let hash = build::hash(build, withheld).await?;
    let label = found.and_then(|image| {
        image
            .config
            .as_ref()?
            .labels
            .as_ref()?
            .get(labels::BUILD_HASH)
    });
    let reason = match (found, label) {
        _ if always => "--build",
        (None, _) => "not built yet",
        (Some(_), None) => "not built by deploy",
        (Some(_), Some(label)) if *label != hash => "its sources changed",
        _ => return Ok(None),
    };
    Ok(Some(Need::Build { reason, hash }))
}

fn need_pull(service: &Service, present: bool, always: bool) -> Result<Option<Need>> {
    let image = &service.image;
    let reason = match (service.pull_policy, present) {
        (PullPolicy::Never, false) => {
            return Err(Error::failed(
                format!(
                    "image {image} is not on the engine and `pull_policy: never` forbids pulling"
                ),
                format!(
                    "provide it (`docker load`, `docker build -t {image} …`), or change pull_policy"
                ),
            ));
        }
        (PullPolicy::Always, _) => "pull_policy: always",
        (PullPolicy::Missing, false) => "not on the engine yet",
        (PullPolicy::Missing, true) if always => "--pull",
        (PullPolicy::Never | PullPolicy::Missing, true) => return Ok(None),
    };
    Ok(Some(Need::Pull { reason }))
}
