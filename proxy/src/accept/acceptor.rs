//! A worker's accept loop.
//!
//! Each worker has sockets of its own, on one address, and `SO_REUSEPORT` lets the kernel spread
//! connections over them. Pingora's own listening service can't be used for that: services that
//! listen on one address share one descriptor, and every worker is woken for every connection.

use std::{
    io,
    net::{SocketAddr, TcpListener as StdListener},
    sync::Arc,
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

use super::{arrival::Arrival, connection};
use crate::worker::Worker;

/// Pause after an accept that failed for lack of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Most connections that are accepted before others on the worker have their turn.
const AT_A_TIME: usize = 1024;

#[derive(Debug)]
pub(crate) enum Sockets {
    /// A socket of this process.
    Own(StdListener),
    /// Sockets of another process. Each set that comes takes the place of the one before.
    Handed(UnboundedReceiver<Vec<StdListener>>),
}

/// A worker's accept loop, as a pingora service with a thread of its own.
pub(crate) struct Acceptor {
    name: String,
    worker: Arc<Worker>,
    sockets: Option<Sockets>,
}

impl Acceptor {
    pub(crate) fn new(worker: Arc<Worker>, sockets: Sockets) -> Self {
        Self {
            name: format!("worker-{}", worker.index),
            worker,
            sockets: Some(sockets),
        }
    }

    async fn run(&self, sockets: Sockets) -> io::Result<()> {
        match sockets {
            Sockets::Own(listener) => self.run_own(listener).await,
            Sockets::Handed(sets) => {
                self.run_handed(sets).await;
                Ok(())
            }
        }
    }

    async fn run_own(&self, listener: StdListener) -> io::Result<()> {
        let listener = TcpListener::from_std(listener)?;
        let draining = self.worker.drain.notified(self.worker.index);
        tokio::pin!(draining);
        while !self.worker.drain.has_started() {
            tokio::select! {
                accepted = listener.accept() => note(&self.worker, accepted).await,
                () = &mut draining => {}
            }
        }
        take_in_all(&self.worker, &listener);
        Ok(())
    }

    async fn run_handed(&self, mut sets: UnboundedReceiver<Vec<StdListener>>) {
        let draining = self.worker.drain.notified(self.worker.index);
        tokio::pin!(draining);
        let mut current = AcceptSet::default();
        while !self.worker.drain.has_started() {
            tokio::select! {
                Some(set) = sets.recv() => {
                    let set = AcceptSet::start(&self.worker, set);
                    let replaced = std::mem::replace(&mut current, set);
                    for listener in replaced.stop().await {
                        take_in_all(&self.worker, &listener);
                    }
                }
                () = &mut draining => {}
            }
        }
        // What waits in the queues is for the process that goes on.
        current.stop().await;
    }
}

/// One set of handed sockets, and a task for each.
#[derive(Default)]
struct AcceptSet {
    listeners: Vec<Arc<TcpListener>>,
    tasks: JoinSet<()>,
}

impl AcceptSet {
    fn start(worker: &Arc<Worker>, sockets: Vec<StdListener>) -> Self {
        let mut set = Self::default();
        for socket in sockets {
            let listener = match TcpListener::from_std(socket) {
                Ok(listener) => Arc::new(listener),
                Err(error) => {
                    error!(%error, worker = worker.index, "can't accept on a socket");
                    continue;
                }
            };
            set.listeners.push(Arc::clone(&listener));
            let worker = Arc::clone(worker);
            set.tasks.spawn(async move {
                loop {
                    // All that wait at one time, rather than as many as a task usually may: a queue
                    // that is full drops whoever knocks, who comes back a second later.
                    for _ in 0..AT_A_TIME {
                        let accepted = unconstrained(listener.accept()).await;
                        let shut_down = accepted.as_ref().is_err_and(is_about_the_socket);
                        note(&worker, accepted).await;
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
    async fn stop(mut self) -> Vec<Arc<TcpListener>> {
        self.tasks.shutdown().await;
        self.listeners
    }
}

/// Admits what was accepted, or says why nothing was.
async fn note(worker: &Arc<Worker>, accepted: io::Result<(TcpStream, SocketAddr)>) {
    match accepted {
        Ok((stream, peer)) => admit(worker, stream, peer),
        Err(error) if is_about_the_connection(&error) => {}
        Err(error) => {
            warn!(%error, "accept failed");
            sleep(ACCEPT_PAUSE).await;
        }
    }
}

/// Takes in what the kernel has let in already: closing the socket would reset it. It is the kernel
/// that is asked, since the runtime may not have heard of all of them yet.
fn take_in_all(worker: &Arc<Worker>, listener: &TcpListener) {
    let socket = SockRef::from(listener);
    loop {
        match socket.accept() {
            Ok((stream, peer)) => {
                let adopted = stream
                    .set_nonblocking(true)
                    .and_then(|()| TcpStream::from_std(stream.into()));
                if let (Ok(stream), Some(peer)) = (adopted, peer.as_socket()) {
                    admit(worker, stream, peer);
                }
            }
            Err(error) if is_about_the_connection(&error) => {}
            Err(_) => return,
        }
    }
}

fn admit(worker: &Arc<Worker>, stream: TcpStream, peer: SocketAddr) {
    let worker = Arc::clone(worker);
    match worker.ledger.open(peer.ip()) {
        Some(account) => tokio::spawn(connection::serve(
            stream,
            Arrival::plain(peer),
            worker,
            account,
        )),
        None => tokio::spawn(connection::turn_away(stream, worker)),
    };
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
        tokio::spawn(Arc::clone(&self.worker).keep_line_moving());
        if let Err(error) = self.run(sockets).await {
            error!(%error, worker = self.name, "worker can't accept connections");
        }
        // The tasks of those that were accepted last run before this one goes on, and are counted then:
        // the drain must not end without them.
        yield_now().await;
        self.worker.drain.accept_loop_ended();
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn threads(&self) -> Option<usize> {
        Some(1)
    }
}
