//! A worker's accept loop.
//!
//! Each worker has sockets of its own, on one address or two, and `SO_REUSEPORT` lets the kernel spread
//! connections over them. What is spoken on a socket, its port says. Pingora's own listening service can't
//! be used for that: services that listen on one address share one descriptor, and every worker is woken
//! for every connection.

use std::{
    io,
    net::{SocketAddr, TcpListener as StdListener},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use async_trait::async_trait;
use pingora_core::{
    server::{ListenFds, ShutdownWatch},
    services::Service,
};
use socket2::SockRef;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc::UnboundedReceiver,
    task::{JoinSet, unconstrained, yield_now},
    time::sleep,
};
use tracing::{error, warn};

use super::connection;
use crate::{
    edge::{self, Edge},
    worker::Worker,
};

/// Pause after an accept that failed for lack of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Most connections that are accepted before others on the worker have their turn.
const AT_A_TIME: usize = 1024;

#[derive(Debug)]
pub(crate) enum Sockets {
    /// Sockets of this process.
    Own(Vec<StdListener>),
    /// Sockets of another process. Each set that comes takes the place of the one before.
    Handed(UnboundedReceiver<Vec<StdListener>>),
}

/// A worker's accept loop, as a pingora service with a thread of its own.
pub(crate) struct Acceptor {
    name: String,
    door: Door,
    sockets: Option<Sockets>,
}

/// Where connections go.
#[derive(Clone)]
struct Door {
    worker: Arc<Worker>,
    /// Where TLS is spoken.
    edge: Option<Arc<Edge>>,
}

impl Acceptor {
    pub(crate) fn new(worker: Arc<Worker>, edge: Option<Arc<Edge>>, sockets: Sockets) -> Self {
        Self {
            name: format!("worker-{}", worker.index),
            door: Door { worker, edge },
            sockets: Some(sockets),
        }
    }

    async fn run(&self, sockets: Sockets) {
        match sockets {
            Sockets::Own(listeners) => self.run_own(listeners).await,
            Sockets::Handed(sets) => self.run_handed(sets).await,
        }
    }

    async fn run_own(&self, listeners: Vec<StdListener>) {
        let Worker { drain, index, .. } = &*self.door.worker;
        let draining = drain.notified(*index);
        let set = AcceptSet::start(&self.door, listeners);
        if !drain.has_started() {
            draining.await;
        }
        set.stop_and_take_in().await;
    }

    async fn run_handed(&self, mut sets: UnboundedReceiver<Vec<StdListener>>) {
        let Worker { drain, index, .. } = &*self.door.worker;
        let draining = drain.notified(*index);
        tokio::pin!(draining);
        let mut current = AcceptSet::default();
        while !drain.has_started() {
            tokio::select! {
                Some(set) = sets.recv() => {
                    let set = AcceptSet::start(&self.door, set);
                    let replaced = std::mem::replace(&mut current, set);
                    replaced.stop_and_take_in().await;
                }
                () = &mut draining => {}
            }
        }
        // What waits in the queues is for the process that goes on.
        current.stop().await;
    }
}

/// One set of sockets, and a task for each.
#[derive(Default)]
struct AcceptSet {
    listeners: Vec<Arc<Listener>>,
    tasks: JoinSet<()>,
}

/// A socket, and where its connections go.
struct Listener {
    socket: TcpListener,
    door: Door,
}

impl AcceptSet {
    fn start(door: &Door, sockets: Vec<StdListener>) -> Self {
        let mut set = Self::default();
        for socket in sockets {
            let listener = match Listener::new(door, socket) {
                Ok(listener) => Arc::new(listener),
                Err(error) => {
                    let worker = door.worker.index;
                    error!(%error, worker, "can't accept on a socket");
                    continue;
                }
            };
            set.listeners.push(Arc::clone(&listener));
            set.tasks.spawn(async move {
                loop {
                    // All that wait at one time, rather than as many as a task usually may: a queue
                    // that is full drops whoever knocks, who comes back a second later.
                    for _ in 0..AT_A_TIME {
                        let accepted = unconstrained(listener.socket.accept()).await;
                        let shut_down = accepted.as_ref().is_err_and(is_about_the_socket);
                        listener.note(accepted).await;
                        if shut_down {
                            // Its holder will notice, and replace it.
                            return;
                        }
                    }
                    yield_now().await;
                }
            });
        }
        set
    }

    /// Ends the tasks, which is between two connections: an accepted one is admitted without a wait.
    async fn stop(mut self) -> Vec<Arc<Listener>> {
        self.tasks.shutdown().await;
        self.listeners
    }

    /// The same, for sockets that are to be closed.
    async fn stop_and_take_in(self) {
        for listener in self.stop().await {
            listener.take_in_all();
        }
    }
}

impl Listener {
    fn new(door: &Door, socket: StdListener) -> io::Result<Self> {
        let socket = TcpListener::from_std(socket)?;
        let mut door = door.clone();
        if let Some(edge) = &door.edge
            && !edge.is_for(&socket)?
        {
            door.edge = None;
        }
        Ok(Self { socket, door })
    }

    /// Admits what was accepted, or says why nothing was.
    async fn note(&self, accepted: io::Result<(TcpStream, SocketAddr)>) {
        match accepted {
            Ok((stream, peer)) => self.door.admit(stream, peer),
            Err(error) if is_about_the_connection(&error) => {}
            Err(error) => {
                warn!(%error, "accept failed");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }

    /// Takes in what the kernel has let in already: closing the socket would reset it. It is the kernel
    /// that is asked, since the runtime may not have heard of all of them yet.
    fn take_in_all(&self) {
        let socket = SockRef::from(&self.socket);
        loop {
            match socket.accept() {
                Ok((stream, peer)) => {
                    let adopted = stream
                        .set_nonblocking(true)
                        .and_then(|()| TcpStream::from_std(stream.into()));
                    if let (Ok(stream), Some(peer)) = (adopted, peer.as_socket()) {
                        self.door.admit(stream, peer);
                    }
                }
                Err(error) if is_about_the_connection(&error) => {}
                Err(_) => return,
            }
        }
    }
}

impl Door {
    fn admit(&self, stream: TcpStream, peer: SocketAddr) {
        let worker = Arc::clone(&self.worker);
        let Some(account) = worker.ledger.open(peer.ip()) else {
            // TLS has no words for it that would be worth a handshake.
            if self.edge.is_none() {
                tokio::spawn(connection::turn_away(stream, worker));
            } else {
                worker.metrics.turned_away.fetch_add(1, Relaxed);
            }
            return;
        };
        match &self.edge {
            None => tokio::spawn(connection::serve_plain(stream, peer, worker, account)),
            Some(edge) => {
                let edge = Arc::clone(edge);
                tokio::spawn(edge::serve(stream, peer, worker, edge, account))
            }
        };
    }
}

/// Errors of a connection that was gone before it was accepted; accept(2) passes them on.
fn is_about_the_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::Interrupted
    )
}

/// The error of a socket that doesn't listen any more (accept(2)): somebody has shut it down.
fn is_about_the_socket(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidInput
}

#[async_trait]
impl Service for Acceptor {
    async fn start_service(&mut self, _: Option<ListenFds>, _: ShutdownWatch, _: usize) {
        let Some(sockets) = self.sockets.take() else {
            return;
        };
        tokio::spawn(Arc::clone(&self.door.worker).keep_line_moving());
        self.run(sockets).await;
        // The tasks of those that were accepted last run before this one goes on, and are counted then:
        // the drain must not end without them.
        yield_now().await;
        self.door.worker.drain.accept_loop_ended();
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn threads(&self) -> Option<usize> {
        Some(1)
    }
}
