//! The faults: what each does to the stack, and how it is undone. One file per family.

mod dns;
pub(crate) mod edge;
mod endpoint;
mod engine;
mod in_flight;
mod memory;
mod pause;
mod process;
mod restore;
mod upstream;
mod volume;

use std::fmt;

use ::engine::error::Result;
use async_trait::async_trait;

use crate::load::Load;
use crate::stack::{PRIVATE, PUBLIC, Service, Stack};
use crate::tool::Tool;
pub(crate) use pause::Pause;
pub(crate) use upstream::Manner;

/// A fault, as it is listed.
#[derive(Debug)]
pub(crate) struct Entry {
    /// What `--only` calls it.
    pub(crate) name: &'static str,
    /// What is done.
    pub(crate) about: &'static str,
    /// Whether not a single request may fail.
    pub(crate) costs_nothing: bool,
    kind: Kind,
}

impl Entry {
    /// Whether it is the round without a fault.
    pub(crate) const fn is_control(&self) -> bool {
        matches!(self.kind, Kind::Nothing)
    }

    /// The service that it hits, if it hits containers of one.
    const fn service(&self) -> Option<Service> {
        match self.kind {
            Kind::Kill(service)
            | Kind::Stop(service)
            | Kind::Restart(service)
            | Kind::Pause(service)
            | Kind::Disconnect(service, _)
            | Kind::MemoryLimit(service) => Some(service),
            _ => None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Nothing,
    Kill(Service),
    KillInFlight,
    Stop(Service),
    Restart(Service),
    Pause(Service),
    Disconnect(Service, &'static str),
    MemoryLimit(Service),
    VolumeFull,
    DnsSilent,
    DnsLate,
    Upstream(Manner),
    Redeploy(Service),
    Certificate(edge::Kind),
    EngineRestart,
    Restore,
}

const fn entry(name: &'static str, kind: Kind, about: &'static str) -> Entry {
    Entry {
        name,
        about,
        costs_nothing: false,
        kind,
    }
}

/// Where an API replica is left that the request can be sent to as well, or none is needed.
const fn free(name: &'static str, kind: Kind, about: &'static str) -> Entry {
    let mut entry = entry(name, kind, about);
    entry.costs_nothing = true;
    entry
}

/// Every fault.
pub(crate) const ALL: &[Entry] = &[
    free("none", Kind::Nothing, "no fault: the control"),
    entry(
        "kill-mongo",
        Kind::Kill(Service::Mongo),
        "SIGKILL to mongod",
    ),
    free(
        "kill-api",
        Kind::Kill(Service::Api),
        "SIGKILL to one of two API replicas",
    ),
    free(
        "kill-api-in-flight",
        Kind::KillInFlight,
        "SIGKILL to one of two API replicas with hundreds of writes in flight",
    ),
    entry(
        "kill-proxy",
        Kind::Kill(Service::Proxy),
        "SIGKILL to the proxy",
    ),
    entry(
        "kill-listener",
        Kind::Kill(Service::Listener),
        "SIGKILL to what holds the listening sockets",
    ),
    free(
        "kill-console",
        Kind::Kill(Service::Console),
        "SIGKILL to what shows recorded requests",
    ),
    entry(
        "stop-mongo",
        Kind::Stop(Service::Mongo),
        "docker stop mongo, later docker start",
    ),
    free(
        "stop-api",
        Kind::Stop(Service::Api),
        "docker stop of one of two API replicas, later docker start",
    ),
    entry(
        "stop-proxy",
        Kind::Stop(Service::Proxy),
        "docker stop of the proxy, later docker start",
    ),
    entry(
        "stop-listener",
        Kind::Stop(Service::Listener),
        "docker stop of the listener, later docker start",
    ),
    entry(
        "pause-mongo",
        Kind::Pause(Service::Mongo),
        "docker pause mongo, later docker unpause",
    ),
    entry(
        "pause-api",
        Kind::Pause(Service::Api),
        "docker pause of one of two API replicas, later docker unpause",
    ),
    entry(
        "pause-proxy",
        Kind::Pause(Service::Proxy),
        "docker pause of the proxy, later docker unpause",
    ),
    entry(
        "pause-listener",
        Kind::Pause(Service::Listener),
        "docker pause of the listener, later docker unpause",
    ),
    entry(
        "restart-mongo",
        Kind::Restart(Service::Mongo),
        "docker restart mongo in the middle of batches",
    ),
    entry(
        "disconnect-api-public",
        Kind::Disconnect(Service::Api, PUBLIC),
        "one API replica loses its endpoint on public-net-1",
    ),
    entry(
        "disconnect-api-private",
        Kind::Disconnect(Service::Api, PRIVATE),
        "one API replica loses its endpoint on private-net-1",
    ),
    entry(
        "disconnect-mongo",
        Kind::Disconnect(Service::Mongo, PRIVATE),
        "mongo loses its endpoint on private-net-1",
    ),
    entry(
        "volume-full",
        Kind::VolumeFull,
        "not a byte is free on the database's volume",
    ),
    entry(
        "memory-limit",
        Kind::MemoryLimit(Service::Api),
        "an API replica at its memory limit, under bodies of 1 MiB",
    ),
    entry(
        "dns-silent",
        Kind::DnsSilent,
        "Docker's DNS answers neither the proxy nor the API",
    ),
    entry(
        "dns-late",
        Kind::DnsLate,
        "Docker's DNS answers the proxy three seconds late",
    ),
    entry(
        "upstream-silent",
        Kind::Upstream(Manner::Silent),
        "a third flask-app accepts and never answers",
    ),
    entry(
        "upstream-half",
        Kind::Upstream(Manner::Half),
        "a third flask-app ends in the middle of its responses",
    ),
    free(
        "upstream-reset",
        Kind::Upstream(Manner::Reset),
        "a third flask-app resets once it has the request",
    ),
    free(
        "redeploy-proxy",
        Kind::Redeploy(Service::Proxy),
        "`deploy restart proxy`: the next one takes over while clients connect",
    ),
    free(
        "replace-certificate",
        Kind::Certificate(edge::Kind::Valid),
        "the certificate is replaced, three times in a row",
    ),
    free(
        "expired-certificate",
        Kind::Certificate(edge::Kind::Expired),
        "the certificate is replaced by one that has expired, which gives way to another of the name",
    ),
    free(
        "restore",
        Kind::Restore,
        "all data is gone, and restored into an empty stack by a restore that is killed half way and run again",
    ),
    entry(
        "engine-restart",
        Kind::EngineRestart,
        "the Docker engine stops, and starts again",
    ),
];

/// What surrounds the suite and decides what can be done.
#[derive(Debug, Clone)]
pub(crate) struct Surroundings {
    /// Whether the engine was started for this run, and may be stopped.
    pub(crate) own_engine: bool,
    /// `deploy`, where the stack is the suite's own, with nobody's data in it.
    pub(crate) tool: Option<Tool>,
    /// How many documents are lost and restored.
    pub(crate) documents: u64,
}

/// Something done to the stack.
#[async_trait]
pub(crate) trait Injection: fmt::Debug + Send {
    /// Whom it hits.
    fn victim(&self) -> String;

    /// Whether it goes on until it is healed. Otherwise it is over once it has happened, and the
    /// stack has to recover from it by itself.
    fn lasts(&self) -> bool {
        true
    }

    /// What has to be so before; no part of the fault.
    async fn prepare(&mut self) -> Result<()> {
        Ok(())
    }

    /// Begins it.
    async fn inject(&mut self, load: &Load) -> Result<()>;

    /// Ends it, also if it began only half way.
    async fn heal(&mut self) -> Result<()> {
        Ok(())
    }

    /// Undoes what [`prepare`](Self::prepare) did, once everything was looked at.
    async fn restore(&mut self) -> Result<()> {
        Ok(())
    }
}

/// The fault, ready to be injected; or why it can't be here.
///
/// # Errors
/// When the engine can't be asked.
pub(crate) async fn injection(
    entry: &Entry,
    stack: &Stack,
    pick: u64,
    surroundings: &Surroundings,
) -> Result<Result<Box<dyn Injection>, String>> {
    if let Some(service) = entry.service()
        && stack.service(service).await?.is_empty()
    {
        return Ok(Err(format!(
            "the stack has no service {:?}",
            service.name()
        )));
    }
    if entry.kind == Kind::EngineRestart && !surroundings.own_engine {
        return Ok(Err(
            "this engine wasn't started by the suite, and others may need it".to_owned(),
        ));
    }
    let stack = stack.clone();
    Ok(Ok(match (entry.kind, &surroundings.tool) {
        (Kind::VolumeFull | Kind::Redeploy(_) | Kind::Certificate(_) | Kind::Restore, None) => {
            let reason = "it changes what isn't the suite's own in this stack";
            return Ok(Err(reason.to_owned()));
        }
        (Kind::Restore, Some(tool)) => {
            Box::new(restore::Restore::new(stack, tool, surroundings.documents))
        }
        (Kind::Redeploy(service), Some(tool)) => Box::new(edge::Redeploy::new(tool, service)),
        (Kind::Certificate(kind), Some(tool)) => Box::new(edge::Certificate::new(tool, kind)),
        (Kind::Nothing, _) => Box::new(Nothing),
        (Kind::Kill(service), _) => Box::new(process::Kill::new(stack, service, pick).await?),
        (Kind::KillInFlight, _) => Box::new(in_flight::KillInFlight::new(stack, pick).await?),
        (Kind::Stop(service), _) => Box::new(process::Stop::new(stack, service, pick).await?),
        (Kind::Restart(service), _) => Box::new(process::Restart::new(stack, service, pick).await?),
        (Kind::Pause(service), _) => Box::new(pause::Pause::new(stack, service, pick).await?),
        (Kind::Disconnect(service, network), _) => {
            Box::new(endpoint::Disconnect::new(stack, service, network, pick).await?)
        }
        (Kind::MemoryLimit(service), _) => {
            Box::new(memory::Limit::new(stack, service, pick).await?)
        }
        (Kind::VolumeFull, _) => Box::new(volume::Full::new(stack).await?),
        (Kind::DnsSilent, _) => Box::new(dns::Silent::new(stack)),
        (Kind::DnsLate, _) => Box::new(dns::Late::new(stack)),
        (Kind::Upstream(manner), _) => Box::new(upstream::Faulty::new(stack, manner)),
        (Kind::EngineRestart, _) => Box::new(engine::Restart),
    }))
}

/// The control.
#[derive(Debug)]
struct Nothing;

#[async_trait]
impl Injection for Nothing {
    fn victim(&self) -> String {
        "nobody".to_owned()
    }

    async fn inject(&mut self, _: &Load) -> Result<()> {
        Ok(())
    }
}
