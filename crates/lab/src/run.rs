//! One run of the lab on an engine: its id and labels, the image and the keeper,
//! and the removal of everything it made.
//!
//! The keeper is a container on the host's network. Its standard input is held
//! open by this process and by nothing else, and it ends when that closes: however
//! the process dies, the engine notices, also when it is on another machine. So
//! the next run can tell a run that still works from one that was killed. The
//! host's side of the evidence is gathered in it too.

use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use engine::Engine;
use engine::api::{ContainerCreateBody, HostConfig, ImageConfig};
use engine::error::{EngineContext, Error, Result};
use engine::exec::{self, Within};
use netcheck::probe::image::{self, Image};
use netcheck::probe::{Report, Request};
use rand::distr::{Alphanumeric, SampleString};
use tokio::io::AsyncWrite;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{labels, sweep};

/// First word of the line that a guest prints once it serves.
pub(super) const READY: &str = "ready";

/// For starting a look and reading its report, beside what its questions take.
const LOOK_OVERHEAD: Duration = Duration::from_secs(20);
/// As many rounds of questions as a look has at most.
const LOOK_ROUNDS: u32 = 4;

/// One run, from its keeper's start to [`finish`](Run::finish).
pub(super) struct Run {
    id: String,
    engine: Engine,
    image: String,
    image_is_new: bool,
    /// The image's entry point, `/deploy probe`.
    probe: Vec<String>,
    keeper: String,
    /// The keeper's standard input; its end is the keeper's.
    lifeline: Option<Pin<Box<dyn AsyncWrite + Send>>>,
    /// Tells that the user has had enough.
    stop: CancellationToken,
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Run {
    /// Makes the image, where it is missing, and starts the keeper.
    ///
    /// `left` are images that killed runs brought along: if the run uses one of them, it
    /// counts as its own; the others are removed.
    pub(super) async fn start(
        engine: &Engine,
        left: Vec<String>,
        stop: CancellationToken,
    ) -> Result<Self> {
        let before = probe_images(engine).await?;
        let image = Image::ensure(engine).await?;
        let found = engine
            .inspect_image(image.name())
            .await
            .doing(|| format!("inspect the image {}", image.name()))?;
        let is_new = found.id.is_some_and(|id| {
            !before.contains(&id) && found.config.as_ref().is_some_and(made_by_us)
        });
        let probe = found
            .config
            .and_then(|config| config.entrypoint)
            .unwrap_or_default();
        let mut run = Self {
            id: Alphanumeric
                .sample_string(&mut rand::rng(), 6)
                .to_lowercase(),
            engine: engine.clone(),
            image: image.name().to_owned(),
            image_is_new: is_new || left.iter().any(|left| left == image.name()),
            probe,
            keeper: String::new(),
            lifeline: None,
            stop,
        };
        for image in left.iter().filter(|left| *left != &run.image) {
            sweep::remove_image(engine, image).await;
        }
        if let Err(error) = run.start_keeper().await {
            run.finish().await?;
            return Err(error);
        }
        Ok(run)
    }

    async fn start_keeper(&mut self) -> Result<()> {
        let mut body = self.guest(labels::KEEPER, &["--until-stdin-closes".to_owned()]);
        body.attach_stdin = Some(true);
        body.open_stdin = Some(true);
        // Closed for good when the one client that is attached goes away.
        body.stdin_once = Some(true);
        body.host_config.get_or_insert_default().network_mode = Some("host".to_owned());
        if self.image_is_new {
            let image = (labels::IMAGE.to_owned(), self.image.clone());
            body.labels.get_or_insert_default().extend([image]);
        }
        let name = format!("lab-{}-keeper", self.id);
        let doing = || "start the lab's keeper".to_owned();
        self.keeper = self
            .engine()
            .create_container(Some(&name), body)
            .await
            .doing(doing)?
            .id;
        let input = self
            .engine()
            .attach_input(&self.keeper)
            .await
            .doing(doing)?;
        self.lifeline = Some(input);
        self.engine()
            .start_container(&self.keeper)
            .await
            .doing(doing)
    }

    /// Removes everything that bears this run's label, and the image if the run brought it.
    ///
    /// # Errors
    /// Something couldn't be removed; it is named.
    pub(super) async fn finish(self) -> Result<()> {
        sweep::remove(self.engine(), &self.id).await?;
        if self.image_is_new {
            sweep::remove_image(self.engine(), &self.image).await;
        }
        Ok(())
    }

    /// Tells this run's objects from those of others.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The image that guests are made of.
    pub(super) fn image(&self) -> &str {
        &self.image
    }

    /// This program, in that image.
    pub(super) fn program(&self) -> &str {
        self.probe.first().map_or("/deploy", String::as_str)
    }

    pub(super) fn keeper(&self) -> &str {
        &self.keeper
    }

    /// The labels of everything made for `role`.
    pub(super) fn labels(&self, role: &str) -> HashMap<String, String> {
        HashMap::from([
            (labels::RUN.to_owned(), self.id.clone()),
            (labels::ROLE.to_owned(), role.to_owned()),
        ])
    }

    /// The body of a container that runs a [guest](super::guest).
    pub(super) fn guest(&self, role: &str, arguments: &[String]) -> ContainerCreateBody {
        let entrypoint = [self.program(), "lab", "guest"].map(str::to_owned).to_vec();
        guest_body(&self.image, entrypoint, arguments, self.labels(role))
    }

    /// # Errors
    /// The user has interrupted the run: nothing more is to be made.
    pub(super) fn may_go_on(&self) -> Result<()> {
        if self.stop.is_cancelled() {
            return Err(Error::failed("interrupted", "run the lesson again"));
        }
        Ok(())
    }

    /// Runs the probe inside a container of this run.
    pub(super) async fn look(&self, container: &str, request: &Request) -> Result<Report> {
        self.may_go_on()?;
        let longest =
            LOOK_OVERHEAD + Duration::from_millis(request.timeout_ms).saturating_mul(LOOK_ROUNDS);
        let no_report = |reason: &str| {
            Error::failed(
                format!("the probe in container {container} gave no report: {reason}"),
                "run the lesson again; if it stays, report it with this message",
            )
        };
        let request = serde_json::to_string(request).map_err(|err| no_report(&err.to_string()))?;
        let command = [&self.probe[..], &[request]].concat();
        let within = Within {
            id: container,
            name: container,
        };
        let said = timeout(longest, exec::read(self.engine(), within, &command))
            .await
            .map_err(|_| no_report("no answer in time"))??;
        serde_json::from_slice(&said).map_err(|err| no_report(&err.to_string()))
    }
}

/// A container of the run: this program in its own image, idle, with few rights.
fn guest_body(
    image: &str,
    entrypoint: Vec<String>,
    arguments: &[String],
    labels: HashMap<String, String>,
) -> ContainerCreateBody {
    ContainerCreateBody {
        image: Some(image.to_owned()),
        entrypoint: Some(entrypoint),
        cmd: Some(arguments.to_vec()),
        labels: Some(labels),
        host_config: Some(HostConfig {
            readonly_rootfs: Some(true),
            cap_drop: Some(vec!["ALL".to_owned()]),
            // For the probe's ICMP, and for port 53 of the DNS lesson.
            cap_add: Some(vec!["NET_RAW".to_owned(), "NET_BIND_SERVICE".to_owned()]),
            security_opt: Some(vec!["no-new-privileges=true".to_owned()]),
            memory: Some(64 * 1024 * 1024),
            pids_limit: Some(64),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

/// The ids of the probe images that are there.
async fn probe_images(engine: &Engine) -> Result<Vec<String>> {
    let ours = [("label", image::LABEL)];
    let images = engine
        .list_images(&ours)
        .await
        .doing(|| "list the images".into())?;
    Ok(images.into_iter().map(|image| image.id).collect())
}

/// An image that the user named (`CAUSEWAY_PROBE_IMAGE`) isn't ours to remove.
fn made_by_us(config: &ImageConfig) -> bool {
    std::env::var_os(image::IMAGE).is_none_or(|name| name.is_empty())
        && config
            .labels
            .iter()
            .flatten()
            .any(|(label, _)| label == image::LABEL)
}
