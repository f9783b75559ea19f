//! The Engine API as the other crates use it: its data types, and a method of [`Engine`] for each call, with what we
//! always ask for. Filters are pairs of key and value: all keys have to fit, and of the values of one key, one
//! (labels: all).
//!
//! # Errors
//! Each call's is the client's own; [`EngineContext`](crate::error::EngineContext) says it to people.

use std::collections::HashMap;
use std::pin::Pin;
use std::time::Duration;

use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptionsBuilder, CreateImageOptions,
    InspectContainerOptions, InspectNetworkOptionsBuilder, ListContainersOptionsBuilder,
    ListImagesOptionsBuilder, ListNetworksOptionsBuilder, ListServicesOptionsBuilder, LogsOptions,
    RemoveContainerOptionsBuilder, RemoveImageOptions, RemoveVolumeOptions,
    RestartContainerOptions, StartContainerOptions, StatsOptionsBuilder, StopContainerOptions,
};
use futures_util::{Stream, StreamExt, TryStreamExt};
use hyper::body::Bytes;
use tokio::io::AsyncWrite;

pub use bollard::container::LogOutput;
pub use bollard::models::*;

use crate::connection::Engine;
use crate::error::EngineError;

/// What a call answers.
pub type Answer<T> = std::result::Result<T, EngineError>;

/// What a container prints, piece by piece.
pub type Printed = Pin<Box<dyn Stream<Item = Answer<LogOutput>> + Send>>;

/// Which part of a log.
#[derive(Debug, Default, Clone, Copy)]
pub struct LogOptions {
    /// Goes on with what is printed from now on.
    pub follow: bool,
    /// Begins each line with its time.
    pub timestamps: bool,
    /// The last so many lines of what there is; all of them where none is given.
    pub tail: Option<u32>,
    /// What was printed since, in seconds of Unix time.
    pub since: i32,
}

impl LogOptions {
    fn engine(self) -> LogsOptions {
        LogsOptions {
            follow: self.follow,
            stdout: true,
            stderr: true,
            timestamps: self.timestamps,
            since: self.since,
            tail: self
                .tail
                .map_or_else(|| "all".to_owned(), |it| it.to_string()),
            ..LogsOptions::default()
        }
    }
}

/// What a container printed until its end.
#[derive(Debug, Default)]
pub struct Said {
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// As the API takes them.
fn filters(pairs: &[(&str, &str)]) -> HashMap<String, Vec<String>> {
    let mut filters: HashMap<String, Vec<String>> = HashMap::new();
    for (key, value) in pairs {
        let values = filters.entry((*key).to_owned()).or_default();
        values.push((*value).to_owned());
    }
    filters
}

/// The engine.
impl Engine {
    /// `GET /info`.
    pub async fn info(&self) -> Answer<SystemInfo> {
        self.docker().info().await
    }

    /// `GET /version`.
    pub async fn version(&self) -> Answer<SystemVersion> {
        self.docker().version().await
    }
}

/// Containers, by id or name.
impl Engine {
    /// All that pass, running or not.
    pub async fn list_containers(&self, pass: &[(&str, &str)]) -> Answer<Vec<ContainerSummary>> {
        let options = ListContainersOptionsBuilder::new()
            .all(true)
            .filters(&filters(pass))
            .build();
        self.docker().list_containers(Some(options)).await
    }

    /// `GET /containers/{id}/json`.
    pub async fn inspect_container(&self, id: &str) -> Answer<ContainerInspectResponse> {
        self.docker()
            .inspect_container(id, None::<InspectContainerOptions>)
            .await
    }

    /// Without a name, the engine gives one.
    pub async fn create_container(
        &self,
        name: Option<&str>,
        body: ContainerCreateBody,
    ) -> Answer<ContainerCreateResponse> {
        let options = name.map(|it| CreateContainerOptionsBuilder::new().name(it).build());
        // It has the whole body in it, and so would all that await it.
        Box::pin(self.docker().create_container(options, body)).await
    }

    /// `POST /containers/{id}/start`.
    pub async fn start_container(&self, id: &str) -> Answer<()> {
        self.docker()
            .start_container(id, None::<StartContainerOptions>)
            .await
    }

    /// Waits for as long as the container's own grace lasts; `within` is longer than that.
    pub async fn stop_container(&self, id: &str, within: Duration) -> Answer<()> {
        self.patient(within)
            .stop_container(id, None::<StopContainerOptions>)
            .await
    }

    /// `POST /containers/{id}/restart`.
    pub async fn restart_container(&self, id: &str) -> Answer<()> {
        self.docker()
            .restart_container(id, None::<RestartContainerOptions>)
            .await
    }

    /// `POST /containers/{id}/pause`.
    pub async fn pause_container(&self, id: &str) -> Answer<()> {
        self.docker().pause_container(id).await
    }

    /// `POST /containers/{id}/unpause`.
    pub async fn unpause_container(&self, id: &str) -> Answer<()> {
        self.docker().unpause_container(id).await
    }

    /// `POST /containers/{id}/update`.
    pub async fn update_container(&self, id: &str, body: ContainerUpdateBody) -> Answer<()> {
        self.docker().update_container(id, body).await
    }

    /// Whether it runs or not, with its anonymous volumes.
    pub async fn remove_container(&self, id: &str) -> Answer<()> {
        let options = RemoveContainerOptionsBuilder::new()
            .force(true)
            .v(true)
            .build();
        self.docker().remove_container(id, Some(options)).await
    }

    /// `GET /containers/{id}/logs`.
    pub fn logs(&self, id: &str, options: LogOptions) -> Printed {
        self.docker().logs(id, Some(options.engine())).boxed()
    }

    /// Starts a container and reads what it prints until it ends. Attached before the start, so that
    /// nothing is missed and no log is needed.
    pub async fn run_container(&self, id: &str) -> Answer<Said> {
        let attach = AttachContainerOptionsBuilder::new()
            .stream(true)
            .stdout(true)
            .stderr(true)
            .build();
        let mut attached = self.docker().attach_container(id, Some(attach)).await?;
        self.start_container(id).await?;
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        while let Some(piece) = attached.output.try_next().await? {
            match piece {
                LogOutput::StdErr { message } => stderr.extend_from_slice(&message),
                LogOutput::StdOut { message } | LogOutput::Console { message } => {
                    stdout.extend_from_slice(&message);
                }
                LogOutput::StdIn { .. } => {}
            }
        }
        Ok(Said {
            stdout: String::from_utf8_lossy(&stdout).into_owned(),
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
        })
    }

    /// Its standard input.
    pub async fn attach_input(&self, id: &str) -> Answer<Pin<Box<dyn AsyncWrite + Send>>> {
        let attach = AttachContainerOptionsBuilder::new()
            .stream(true)
            .stdin(true)
            .build();
        Ok(self
            .docker()
            .attach_container(id, Some(attach))
            .await?
            .input)
    }

    /// What it uses now; `None` where it doesn't run.
    pub async fn stats(&self, id: &str) -> Option<Answer<ContainerStatsResponse>> {
        let options = StatsOptionsBuilder::new()
            .stream(false)
            .one_shot(true)
            .build();
        Box::pin(self.docker().stats(id, Some(options)))
            .next()
            .await
    }
}

/// Networks and volumes, by name.
impl Engine {
    /// `GET /networks`.
    pub async fn list_networks(&self, pass: &[(&str, &str)]) -> Answer<Vec<Network>> {
        let options = ListNetworksOptionsBuilder::new()
            .filters(&filters(pass))
            .build();
        self.docker().list_networks(Some(options)).await
    }

    /// `GET /networks/{name}`.
    pub async fn inspect_network(&self, name: &str) -> Answer<NetworkInspect> {
        self.docker().inspect_network(name, None).await
    }

    /// With what its nodes and services on other nodes are, too.
    pub async fn inspect_network_verbosely(&self, name: &str) -> Answer<NetworkInspect> {
        let options = InspectNetworkOptionsBuilder::new().verbose(true).build();
        self.docker().inspect_network(name, Some(options)).await
    }

    /// `POST /networks/create`.
    pub async fn create_network(
        &self,
        body: NetworkCreateRequest,
    ) -> Answer<NetworkCreateResponse> {
        self.docker().create_network(body).await
    }

    /// `DELETE /networks/{name}`.
    pub async fn remove_network(&self, name: &str) -> Answer<()> {
        self.docker().remove_network(name).await
    }

    /// `POST /networks/{name}/connect`.
    pub async fn connect_network(&self, name: &str, body: NetworkConnectRequest) -> Answer<()> {
        self.docker().connect_network(name, body).await
    }

    /// `POST /networks/{name}/disconnect`.
    pub async fn disconnect_network(
        &self,
        name: &str,
        body: NetworkDisconnectRequest,
    ) -> Answer<()> {
        self.docker().disconnect_network(name, body).await
    }

    /// `GET /volumes/{name}`.
    pub async fn inspect_volume(&self, name: &str) -> Answer<Volume> {
        self.docker().inspect_volume(name).await
    }

    /// `POST /volumes/create`.
    pub async fn create_volume(&self, body: VolumeCreateRequest) -> Answer<Volume> {
        self.docker().create_volume(body).await
    }

    /// `DELETE /volumes/{name}`.
    pub async fn remove_volume(&self, name: &str) -> Answer<()> {
        self.docker()
            .remove_volume(name, None::<RemoveVolumeOptions>)
            .await
    }
}

/// Images, by name or id.
impl Engine {
    /// `GET /images/json`.
    pub async fn list_images(&self, pass: &[(&str, &str)]) -> Answer<Vec<ImageSummary>> {
        let options = ListImagesOptionsBuilder::new()
            .filters(&filters(pass))
            .build();
        self.docker().list_images(Some(options)).await
    }

    /// `GET /images/{name}/json`.
    pub async fn inspect_image(&self, name: &str) -> Answer<ImageInspect> {
        self.docker().inspect_image(name).await
    }

    /// `DELETE /images/{name}`.
    pub async fn remove_image(&self, name: &str) -> Answer<()> {
        self.docker()
            .remove_image(name, None::<RemoveImageOptions>, None)
            .await
            .map(drop)
    }

    /// Makes an image of one layer, whose files `archive` (tar) has; `changes` are as a Dockerfile has them.
    pub async fn import_image(
        &self,
        repository: &str,
        tag: &str,
        changes: Vec<String>,
        archive: Vec<u8>,
    ) -> Answer<()> {
        let options = CreateImageOptions {
            from_src: Some("-".to_owned()),
            repo: Some(repository.to_owned()),
            tag: Some(tag.to_owned()),
            changes,
            ..CreateImageOptions::default()
        };
        let body = bollard::body_full(Bytes::from(archive));
        let created = self.docker().create_image(Some(options), Some(body), None);
        created.try_for_each(async |_| Ok(())).await
    }

    /// As `docker save` writes it.
    pub async fn export_image(&self, name: &str) -> Answer<Vec<u8>> {
        let pieces: Vec<Bytes> = self.docker().export_image(name).try_collect().await?;
        Ok(pieces.concat())
    }
}

/// A Swarm's services and tasks.
impl Engine {
    /// `GET /services`.
    pub async fn list_services(&self, pass: &[(&str, &str)]) -> Answer<Vec<Service>> {
        let options = ListServicesOptionsBuilder::new()
            .filters(&filters(pass))
            .build();
        self.docker().list_services(Some(options)).await
    }

    /// `GET /tasks/{id}/logs`.
    pub fn task_logs(&self, id: &str, options: LogOptions) -> Printed {
        self.docker().task_logs(id, Some(options.engine())).boxed()
    }
}
