//! The upstream: the set of backends behind one name.
//!
//! [`resolver`] keeps the set in step with what the name service says of the name, [`upkeep`] puts
//! backends back that had failed, [`balancer`] picks one for a request, [`slots`] limits how many it
//! gets at a time, [`pool`] keeps their idle connections. All share the [`Backend`]s, whose state is
//! atomics: a request takes no lock that another worker wants.

pub(crate) mod balancer;
pub(crate) mod connection;
mod distance;
pub mod name;
pub(crate) mod name_service;
pub(crate) mod pool;
pub(crate) mod resolutions;
pub(crate) mod resolver;
pub(crate) mod slots;
pub(crate) mod upkeep;

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
};

use arc_swap::ArcSwap;
use tokio::net::TcpStream;
use tracing::{info, warn};

use crate::settings::Settings;
use distance::Distance;
use name::{Host, UpstreamName};
use name_service::AddressFamily;
use pool::IdleConnections;
use resolutions::Resolutions;
use slots::Slots;

/// One address behind the upstream's name.
#[derive(Debug)]
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    /// The same as text, for logs and metrics.
    pub(crate) label: String,
    /// Connecting failed, or it vanished; requests go elsewhere if there is an elsewhere.
    ejected: AtomicBool,
    /// Its name has it no more: no new requests, no idle connections.
    retired: AtomicBool,
    /// Requests that are being answered.
    outstanding: AtomicU32,
    distance: Distance,
    counters: Arc<Counters>,
    /// Idle connections, one set per worker: a connection belongs to its worker's event loop.
    idle: Box<[IdleConnections]>,
    /// Places for requests, each worker's share.
    slots: Box<[Slots]>,
}

/// What has happened to the backends so far, those included that are gone.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) connects: AtomicU64,
    /// Connections that could not be made.
    pub(crate) connect_failures: AtomicU64,
    /// Times that one was taken out.
    pub(crate) ejections: AtomicU64,
}

impl Backend {
    fn new(address: SocketAddr, workers: usize, places: usize, counters: Arc<Counters>) -> Self {
        Self {
            address,
            label: address.to_string(),
            ejected: AtomicBool::new(false),
            retired: AtomicBool::new(false),
            outstanding: AtomicU32::new(0),
            distance: Distance::default(),
            counters,
            idle: (0..workers).map(|_| IdleConnections::default()).collect(),
            slots: (0..workers).map(|_| Slots::new(places / workers)).collect(),
        }
    }

    /// Whether it is out because connecting failed, or it vanished.
    pub(crate) fn is_ejected(&self) -> bool {
        self.ejected.load(Relaxed)
    }

    /// Whether its name has it no more.
    pub(crate) fn is_retired(&self) -> bool {
        self.retired.load(Relaxed)
    }

    /// Requests that are being answered.
    pub(crate) fn outstanding(&self) -> u32 {
        self.outstanding.load(Relaxed)
    }

    /// Whether another one is clearly nearer.
    pub(crate) fn is_far(&self) -> bool {
        self.distance.is_far()
    }

    /// Idle connections of all workers.
    pub(crate) fn idle_connections(&self) -> usize {
        self.idle.iter().map(IdleConnections::len).sum()
    }

    pub(crate) fn slots(&self, worker: usize) -> Option<&Slots> {
        self.slots.get(worker)
    }

    /// An idle connection of `worker`.
    pub(crate) fn take_idle(&self, worker: usize) -> Option<TcpStream> {
        self.idle.get(worker)?.take()
    }

    /// Keeps a connection for the next request of `worker`, unless the backend is retired.
    pub(crate) fn keep_idle(&self, worker: usize, stream: TcpStream) {
        if let Some(idle) = self.idle.get(worker).filter(|_| !self.is_retired()) {
            idle.put(stream);
        }
    }

    /// Notes that a connection was made, which puts an ejected backend back.
    fn connected(&self) {
        self.counters.connects.fetch_add(1, Relaxed);
        self.reinstate();
    }

    pub(crate) fn reinstate(&self) {
        if self.ejected.load(Relaxed) && self.ejected.swap(false, Relaxed) {
            info!(backend = self.label, "backend reinstated");
        }
    }

    /// Notes that a connection could not be made, and takes the backend out.
    pub(crate) fn connect_failed(&self, error: &dyn std::fmt::Display) {
        self.counters.connect_failures.fetch_add(1, Relaxed);
        self.eject(error);
    }

    /// Notes that a connection had no end that would acknowledge anything: the others don't either.
    pub(crate) fn vanished(&self) {
        self.eject(&"vanished");
        self.close_idle();
    }

    fn eject(&self, error: &dyn std::fmt::Display) {
        if !self.ejected.swap(true, Relaxed) {
            self.counters.ejections.fetch_add(1, Relaxed);
            warn!(backend = self.label, %error, "backend ejected");
        }
    }

    fn retire(&self) {
        self.retired.store(true, Relaxed);
        self.close_idle();
    }

    fn close_idle(&self) {
        self.idle.iter().for_each(IdleConnections::clear);
    }
}

/// The backends, and what is needed to reach them.
#[derive(Debug)]
pub(crate) struct Upstream {
    /// The name that is looked up, or the address of the one backend.
    pub(crate) name: UpstreamName,
    backends: ArcSwap<Vec<Arc<Backend>>>,
    workers: usize,
    /// Requests that each backend gets at a time.
    places: usize,
    /// What has happened to the backends.
    pub(crate) counters: Arc<Counters>,
    /// The look-ups of the name so far.
    pub(crate) resolutions: Resolutions,
}

impl Upstream {
    /// An upstream whose backends are yet to be found, unless its name is an address.
    pub(crate) fn new(settings: &Settings) -> Self {
        let upstream = Self {
            name: settings.upstream.clone(),
            backends: ArcSwap::default(),
            workers: settings.workers,
            places: settings.upstream_connections,
            counters: Arc::default(),
            resolutions: Resolutions::default(),
        };
        if let Host::Address(address) = upstream.name.host {
            upstream.set_addresses(AddressFamily::of(address), &[address]);
        }
        upstream
    }

    pub(crate) fn backends(&self) -> Arc<Vec<Arc<Backend>>> {
        self.backends.load_full()
    }

    /// Whether any backend is in.
    pub(crate) fn is_available(&self) -> bool {
        self.backends
            .load()
            .iter()
            .any(|backend| !backend.is_ejected())
    }

    /// Has the name looked up at the next opportunity rather than at the next interval.
    pub(crate) fn resolve_soon(&self) {
        self.resolutions.ask();
    }

    /// Has the name looked up and waits until that is over, whatever came of it: bound it. An
    /// address needs no looking up.
    pub(crate) async fn resolved(&self) {
        if let Host::Name(_) = self.name.host {
            self.resolutions.ended_since(self.resolutions.ask()).await;
        }
    }

    /// Notes that a connection to `backend` was made.
    pub(crate) fn connected(&self, backend: &Backend, connection: &TcpStream) {
        backend.connected();
        self.measure(backend, connection);
    }

    /// Notes how far away `backend` is, by a connection that was just made.
    fn measure(&self, backend: &Backend, connection: &TcpStream) {
        if let Some(round_trip) = distance::round_trip(connection) {
            backend.distance.note(round_trip);
            self.compare_distances();
        }
    }

    fn compare_distances(&self) {
        let backends = self.backends.load();
        Distance::compare(backends.iter().map(|backend| &backend.distance));
    }

    /// Makes the given addresses the set of backends of one family, which all of them are of. Those
    /// that stay keep their state; those of the other family aren't touched.
    fn set_addresses(&self, family: AddressFamily, addresses: &[IpAddr]) {
        let before = self.backends();
        let (others, known): (Vec<_>, Vec<_>) = before
            .iter()
            .cloned()
            .partition(|backend| AddressFamily::of(backend.address.ip()) != family);
        let mut gone = known.clone();
        gone.retain(|backend| !addresses.contains(&backend.address.ip()));
        if gone.is_empty() && known.len() == addresses.len() {
            return;
        }
        let mut after = others;
        for address in addresses {
            let address = SocketAddr::new(*address, self.name.port);
            let same = known.iter().find(|backend| backend.address == address);
            after.push(same.map_or_else(
                || {
                    info!(backend = %address, "backend added");
                    let counters = Arc::clone(&self.counters);
                    Arc::new(Backend::new(address, self.workers, self.places, counters))
                },
                Arc::clone,
            ));
        }
        self.backends.store(Arc::new(after));
        self.compare_distances();
        for backend in gone {
            info!(backend = backend.label, "backend removed");
            backend.retire();
        }
    }
}
