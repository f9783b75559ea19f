//! The upstream: the set of backends behind one DNS name.
//!
//! [`resolver`] keeps the set in step with DNS, [`probe`] puts backends back that had failed,
//! [`balancer`] picks one for a request, [`slots`] limits how many it gets at a time, [`pool`] keeps
//! their idle connections. All share the
//! [`Backend`]s, whose state is atomics: a request takes no lock that another worker wants.

pub mod balancer;
pub mod pool;
pub mod probe;
pub mod resolver;
pub mod slots;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
};

use arc_swap::ArcSwap;
use tokio::{net::TcpStream, sync::Notify};
use tracing::{info, warn};

use crate::config::{Settings, UpstreamName};
use pool::IdleConnections;
use slots::Slots;

/// One address behind the upstream's name.
#[derive(Debug)]
pub struct Backend {
    /// Where it listens.
    pub address: SocketAddr,
    /// The same as text, for logs and metrics.
    pub label: String,
    /// Connecting failed; requests go elsewhere if there is an elsewhere.
    ejected: AtomicBool,
    /// It has left DNS: no new requests, no idle connections.
    retired: AtomicBool,
    /// Requests that are being answered.
    outstanding: AtomicU32,
    /// Counters for the metrics.
    pub counters: BackendCounters,
    /// Idle connections, one set per worker: a connection belongs to its worker's event loop.
    idle: Box<[IdleConnections]>,
    /// Places for requests, each worker's share.
    slots: Box<[Slots]>,
}

/// What has happened to a backend so far.
#[derive(Debug, Default)]
pub struct BackendCounters {
    /// Connections made.
    pub connects: AtomicU64,
    /// Connections that could not be made.
    pub connect_failures: AtomicU64,
    /// Times that it was taken out.
    pub ejections: AtomicU64,
}

impl Backend {
    fn new(address: SocketAddr, workers: usize, places: usize) -> Self {
        Self {
            address,
            label: address.to_string(),
            ejected: AtomicBool::new(false),
            retired: AtomicBool::new(false),
            outstanding: AtomicU32::new(0),
            counters: BackendCounters::default(),
            idle: (0..workers).map(|_| IdleConnections::default()).collect(),
            slots: (0..workers).map(|_| Slots::new(places / workers)).collect(),
        }
    }

    /// Whether it is out because connecting failed.
    pub fn is_ejected(&self) -> bool {
        self.ejected.load(Relaxed)
    }

    /// Whether it has left DNS.
    pub fn is_retired(&self) -> bool {
        self.retired.load(Relaxed)
    }

    /// Requests that are being answered.
    pub fn outstanding(&self) -> u32 {
        self.outstanding.load(Relaxed)
    }

    /// Idle connections of all workers.
    pub fn idle_connections(&self) -> usize {
        self.idle.iter().map(IdleConnections::len).sum()
    }

    /// The places of `worker`.
    pub fn slots(&self, worker: usize) -> Option<&Slots> {
        self.slots.get(worker)
    }

    /// An idle connection of `worker`.
    pub fn take_idle(&self, worker: usize) -> Option<TcpStream> {
        self.idle.get(worker)?.take()
    }

    /// Keeps a connection for the next request of `worker`, unless the backend has left DNS.
    pub fn keep_idle(&self, worker: usize, stream: TcpStream) {
        if let Some(idle) = self.idle.get(worker).filter(|_| !self.is_retired()) {
            idle.put(stream);
        }
    }

    /// Notes that a connection was made, which puts an ejected backend back.
    pub fn connected(&self) {
        self.counters.connects.fetch_add(1, Relaxed);
        self.reinstate();
    }

    /// Puts an ejected backend back.
    pub fn reinstate(&self) {
        if self.ejected.load(Relaxed) && self.ejected.swap(false, Relaxed) {
            info!(backend = self.label, "backend reinstated");
        }
    }

    /// Notes that a connection could not be made, and takes the backend out.
    pub fn connect_failed(&self, error: &dyn std::fmt::Display) {
        self.counters.connect_failures.fetch_add(1, Relaxed);
        if !self.ejected.swap(true, Relaxed) {
            self.counters.ejections.fetch_add(1, Relaxed);
            warn!(backend = self.label, %error, "backend ejected");
        }
    }

    fn retire(&self) {
        self.retired.store(true, Relaxed);
        self.idle.iter().for_each(IdleConnections::clear);
    }
}

/// What became of the resolutions so far.
#[derive(Debug, Default)]
pub struct ResolveCounters {
    /// Answered with addresses.
    pub resolved: AtomicU64,
    /// The name doesn't exist.
    pub not_found: AtomicU64,
    /// No usable answer.
    pub failed: AtomicU64,
}

/// The backends, and what is needed to reach them.
#[derive(Debug)]
pub struct Upstream {
    /// The name that is resolved.
    pub name: UpstreamName,
    backends: ArcSwap<Vec<Arc<Backend>>>,
    workers: usize,
    /// Requests that each backend gets at a time.
    places: usize,
    /// Asks for a resolution now.
    resolve: Notify,
    /// Tells that one is over.
    resolved: Notify,
    /// What became of the resolutions so far.
    pub resolutions: ResolveCounters,
}

impl Upstream {
    /// An upstream without backends yet.
    pub fn new(settings: &Settings) -> Self {
        Self {
            name: settings.upstream.clone(),
            backends: ArcSwap::default(),
            workers: settings.workers,
            places: settings.upstream_connections,
            resolve: Notify::new(),
            resolved: Notify::new(),
            resolutions: ResolveCounters::default(),
        }
    }

    /// The backends at this moment.
    pub fn backends(&self) -> Arc<Vec<Arc<Backend>>> {
        self.backends.load_full()
    }

    /// Whether any backend is in.
    pub fn is_available(&self) -> bool {
        self.backends
            .load()
            .iter()
            .any(|backend| !backend.is_ejected())
    }

    /// Resolves the name at the next opportunity rather than at the next interval.
    pub fn resolve_soon(&self) {
        self.resolve.notify_one();
    }

    /// Asks for a resolution and waits until one is over, whatever came of it. For ever if the
    /// upstream is an address: bound it.
    pub async fn resolved(&self) {
        let resolved = self.resolved.notified();
        self.resolve_soon();
        resolved.await;
    }

    /// Makes the set of backends the given addresses; those that stay keep their state.
    fn set_addresses(&self, addresses: &[SocketAddr]) {
        let before = self.backends();
        let same = before.len() == addresses.len()
            && before
                .iter()
                .all(|backend| addresses.contains(&backend.address));
        if same {
            return;
        }
        let after = addresses
            .iter()
            .map(|address| {
                before
                    .iter()
                    .find(|backend| backend.address == *address)
                    .map_or_else(
                        || {
                            info!(backend = %address, "backend added");
                            Arc::new(Backend::new(*address, self.workers, self.places))
                        },
                        Arc::clone,
                    )
            })
            .collect();
        self.backends.store(Arc::new(after));
        for backend in before
            .iter()
            .filter(|backend| !addresses.contains(&backend.address))
        {
            info!(backend = backend.label, "backend removed");
            backend.retire();
        }
    }
}
