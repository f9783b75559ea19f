//! Getting listening sockets from the process that holds them, over its Unix socket.
//!
//! While one proxy replaces another, both accept on the same sockets, and the queue of connections
//! outlives either. The connection to the holder stays open. Another message on it brings sockets
//! that take the place of those before, which somebody may have broken. Its end says that the holder
//! is gone, and with it perhaps the network that the sockets were on: then it is asked again and
//! again.

use std::{
    collections::BTreeMap,
    io,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use tokio::{
    io::Interest,
    net::UnixStream,
    sync::mpsc::UnboundedSender,
    time::{sleep, timeout},
};
use tracing::{info, warn};

/// Pause before the holder is asked again.
const RETRY: Duration = Duration::from_millis(100);
/// Longest wait for what the holder sends to whoever connects.
const TIME_LIMIT: Duration = Duration::from_secs(3);

/// Whether connections are accepted, and if not, why; shared.
#[derive(Debug, Clone)]
pub(crate) struct Accepting(Arc<RwLock<Result<(), String>>>);

impl Accepting {
    /// For sockets of this process.
    pub(crate) fn always() -> Self {
        Self(Arc::new(RwLock::new(Ok(()))))
    }

    /// Whether they are at this moment.
    ///
    /// # Errors
    /// What keeps the sockets away, for people.
    pub(crate) fn now(&self) -> Result<(), String> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set(&self, state: Result<(), String>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = state;
    }
}

/// The process that holds the sockets, as this one sees it: gives each worker its share of them.
#[derive(Debug)]
pub(crate) struct Holder {
    path: PathBuf,
    workers: Vec<UnboundedSender<Vec<TcpListener>>>,
    accepting: Accepting,
}

impl Holder {
    /// Will ask at `path`, and tell `workers`.
    pub(crate) fn new(path: PathBuf, workers: Vec<UnboundedSender<Vec<TcpListener>>>) -> Self {
        Self {
            accepting: Accepting(Arc::new(RwLock::new(Err(format!(
                "{} wasn't asked yet",
                path.display()
            ))))),
            path,
            workers,
        }
    }

    /// Whether there are sockets.
    pub(crate) fn accepting(&self) -> Accepting {
        self.accepting.clone()
    }

    /// Keeps the workers in sockets until dropped.
    pub(crate) async fn run(self) {
        let path = self.path.display();
        let mut failures = 0_u32;
        loop {
            match self.ask().await {
                Ok(holder) => {
                    info!(from = %path, failures, "listening sockets handed over");
                    failures = 0;
                    self.accepting.set(Ok(()));
                    let error = self.follow(&holder).await;
                    self.accepting.set(Err(format!("{path}: {error}")));
                    warn!(from = %path, %error, "holder of the listening sockets is gone");
                }
                Err(error) => {
                    if failures == 0 {
                        warn!(from = %path, %error, "PROXY_LISTEN_FROM: no listening sockets yet");
                    }
                    self.accepting.set(Err(format!("{path}: {error}")));
                    failures = failures.saturating_add(1);
                }
            }
            sleep(RETRY).await;
        }
    }

    /// Connects and takes the first sockets; the connection lasts as long as the holder.
    async fn ask(&self) -> io::Result<UnixStream> {
        let holder = UnixStream::connect(&self.path).await?;
        timeout(TIME_LIMIT, self.take(&holder)).await??;
        Ok(holder)
    }

    /// Takes whatever sockets come, and returns why no more do.
    async fn follow(&self, holder: &UnixStream) -> io::Error {
        loop {
            match self.take(holder).await {
                Ok(()) => warn!("listening sockets replaced: those before were broken"),
                Err(error) => return error,
            }
        }
    }

    /// Receives a set of sockets and deals it out to the workers.
    async fn take(&self, holder: &UnixStream) -> io::Result<()> {
        let sockets = holder
            .async_io(Interest::READABLE, || handover::receive(holder))
            .await?;
        let shares = shares(sockets, self.workers.len())?;
        for (worker, share) in self.workers.iter().zip(shares) {
            // Fails once the worker is draining: then it wants none.
            let _ = worker.send(share);
        }
        Ok(())
    }
}

/// Deals the sockets out. Every socket goes to some worker, since the kernel queues connections on
/// each; where there are fewer of an address than workers, several accept on one.
fn shares(sockets: Vec<TcpListener>, workers: usize) -> io::Result<Vec<Vec<TcpListener>>> {
    let mut addresses = BTreeMap::<SocketAddr, Vec<TcpListener>>::new();
    for socket in sockets {
        let address = socket.local_addr()?;
        addresses.entry(address).or_default().push(socket);
    }
    let mut shares: Vec<Vec<TcpListener>> = (0..workers).map(|_| Vec::new()).collect();
    for sockets in addresses.into_values() {
        for worker in sockets.len()..workers {
            shares[worker].push(sockets[worker % sockets.len()].try_clone()?);
        }
        for (index, socket) in sockets.into_iter().enumerate() {
            shares[index % workers].push(socket);
        }
    }
    Ok(shares)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use nix::sys::stat::fstat;
    use service::sockets::listen;

    use super::*;

    #[test]
    fn every_socket_is_served_and_every_worker_has_one() {
        let bound = |address: &str| listen(address.parse().unwrap(), true).unwrap().into();
        for (count, workers) in [(1, 1), (1, 3), (2, 3), (3, 3), (5, 2)] {
            let address = |socket: &TcpListener| socket.local_addr().unwrap();
            let mut sockets = Vec::new();
            for _ in 0..2 {
                let first: TcpListener = bound("127.0.0.1:0");
                let same = address(&first).to_string();
                sockets.push(first);
                sockets.extend((1..count).map(|_| bound(&same)));
            }
            // Those that are shared are others, of the same socket.
            let socket = |socket: &TcpListener| fstat(socket).unwrap().st_ino;
            let all: BTreeSet<_> = sockets.iter().map(socket).collect();
            let addresses: BTreeSet<_> = sockets.iter().map(address).collect();
            assert_eq!((all.len(), addresses.len()), (2 * count, 2));
            let shares = shares(sockets, workers).unwrap();
            assert_eq!(shares.len(), workers);
            for share in &shares {
                let served: BTreeSet<_> = share.iter().map(address).collect();
                assert_eq!(served, addresses);
            }
            let served: BTreeSet<_> = shares.iter().flatten().map(socket).collect();
            assert_eq!(served, all);
        }
    }
}
