//! Containers of the suite's own that take part in a fault or an attack: a faulty backend, a late DNS
//! server, attacking clients.
//!
//! Their image is this very executable, loaded the way `deploy` loads its probe; what it does there
//! is a subcommand.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use engine::api::{
    ContainerCreateBody, EndpointSettings, HostConfig, LogOptions, NetworkingConfig,
};
use engine::error::{EngineContext, Error, Result};
use futures_util::StreamExt as _;
use netcheck::probe::image::Image;

use crate::faults::Manner;
use crate::stack::{PUBLIC, Stack};

/// The project whose suite a container takes part in.
const LABEL: &str = "dev.causeway.chaos";
/// What the backends of the proxy are called.
const ALIAS: &str = "flask-app";
/// Where the image has the executable.
const EXECUTABLE: &str = "/deploy";

/// What a helper does.
#[derive(Debug, Clone)]
pub(crate) enum Role {
    /// A backend that is faulty in some manner.
    Backend(Manner),
    /// A DNS server that passes questions on to the real one after `delay`.
    LateDns {
        /// The container whose network namespace it joins.
        network_of: String,
        /// Its user, by which its own packets are known.
        uid: u32,
        /// How late it is.
        delay: Duration,
    },
    /// Clients that attack, from an address of their own.
    Attackers {
        /// The attack.
        attack: &'static str,
        /// Which of its squads they are of.
        squad: usize,
        /// How many there are.
        clients: usize,
        /// Whom they attack.
        target: SocketAddr,
        /// For how long.
        lasting: Duration,
        /// Says when each comes back.
        seed: u64,
    },
}

/// A running helper.
#[derive(Debug)]
pub(crate) struct Helper {
    id: String,
}

impl Helper {
    /// Starts one.
    ///
    /// # Errors
    /// When this executable can't run in an empty container, or the engine refuses.
    pub(crate) async fn start(stack: &Stack, role: Role) -> Result<Self> {
        let image = image(stack).await?;
        let created = stack
            .engine()
            .create_container(None, body(stack, &image, role))
            .await
            .doing(|| "create a helper of the suite".to_owned())?;
        let helper = Self { id: created.id };
        stack
            .engine()
            .start_container(&helper.id)
            .await
            .doing(|| "start a helper of the suite".to_owned())?;
        Ok(helper)
    }

    /// The first line that it says, once it does.
    ///
    /// # Errors
    /// When the engine doesn't hand it over.
    pub(crate) async fn says(&self, stack: &Stack) -> Result<String> {
        let all = LogOptions {
            follow: true,
            ..LogOptions::default()
        };
        let mut lines = stack.engine().logs(&self.id, all);
        match lines.next().await {
            Some(line) => line
                .map(|line| line.to_string())
                .doing(|| "read what a helper of the suite says".to_owned()),
            None => Ok(String::new()),
        }
    }

    /// Ends it at once: its connections break.
    pub(crate) async fn remove(self, stack: &Stack) -> Result<()> {
        remove(stack, &self.id).await
    }
}

/// The image of every helper: this executable.
///
/// # Errors
/// When this executable can't run in an empty container, or the engine refuses.
pub(crate) async fn image(stack: &Stack) -> Result<Image> {
    let executable = std::env::current_exe().map_err(|error| {
        Error::failed(
            format!("can't find out which executable this is: {error}"),
            "run target/chaos by its path",
        )
    })?;
    Image::from_executable(stack.engine(), &executable).await
}

/// Removes the project's helpers, also those of a suite that was killed.
pub(crate) async fn remove_all(stack: &Stack) -> Result<()> {
    let label = format!("{LABEL}={}", stack.project);
    let helpers = stack
        .engine()
        .list_containers(&[("label", &label)])
        .await
        .doing(|| "list the helpers of the suite".to_owned())?;
    for id in helpers.into_iter().filter_map(|helper| helper.id) {
        remove(stack, &id).await?;
    }
    Ok(())
}

async fn remove(stack: &Stack, id: &str) -> Result<()> {
    stack
        .engine()
        .remove_container(id)
        .await
        .doing(|| "remove a helper of the suite".to_owned())
}

fn body(stack: &Stack, image: &Image, role: Role) -> ContainerCreateBody {
    let mut host = HostConfig {
        readonly_rootfs: Some(true),
        cap_drop: Some(vec!["ALL".to_owned()]),
        security_opt: Some(vec!["no-new-privileges=true".to_owned()]),
        memory: Some(512 << 20),
        ..HostConfig::default()
    };
    let mut body = ContainerCreateBody {
        image: Some(image.name().to_owned()),
        labels: Some(HashMap::from([(LABEL.to_owned(), stack.project.clone())])),
        ..ContainerCreateBody::default()
    };
    let arguments = match role {
        Role::Backend(manner) => {
            host.network_mode = Some(PUBLIC.to_owned());
            body.user = Some("65532:65532".to_owned());
            body.networking_config = Some(NetworkingConfig {
                endpoints_config: Some(HashMap::from([(
                    PUBLIC.to_owned(),
                    EndpointSettings {
                        aliases: Some(vec![ALIAS.to_owned()]),
                        ..EndpointSettings::default()
                    },
                )])),
            });
            vec!["backend".to_owned(), manner.name().to_owned()]
        }
        Role::LateDns {
            network_of,
            uid,
            delay,
        } => {
            host.network_mode = Some(format!("container:{network_of}"));
            body.user = Some(format!("{uid}:{uid}"));
            let delay = humantime::format_duration(delay).to_string();
            vec!["late-dns".to_owned(), uid.to_string(), delay]
        }
        Role::Attackers {
            attack,
            squad,
            clients,
            target,
            lasting,
            seed,
        } => {
            host.network_mode = Some(PUBLIC.to_owned());
            body.user = Some("65532:65532".to_owned());
            vec![
                "attack".to_owned(),
                attack.to_owned(),
                squad.to_string(),
                clients.to_string(),
                target.to_string(),
                humantime::format_duration(lasting).to_string(),
                seed.to_string(),
            ]
        }
    };
    body.entrypoint = Some(vec![EXECUTABLE.to_owned()]);
    body.cmd = Some(arguments);
    body.host_config = Some(host);
    body
}
