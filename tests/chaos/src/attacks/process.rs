//! One attacking process: clients of one squad, behind one address, for a while.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use service::grants;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::client::{Client, SMALL_WINDOW};
use crate::load::carrier::{Carrier, secured};
use crate::seed::Dice;

/// Connections that are being opened at the same time.
const CONNECTING: usize = 256;
/// A client whose connection ended comes back after so long, and up to as long again.
const PAUSE: Duration = Duration::from_secs(4);
/// The same for one who asks for nothing but an answer: it comes back at once.
const PAUSE_EAGER: Duration = Duration::from_millis(100);
/// For the ends of the connections to reach the other side, before the address is gone.
const PARTING: Duration = Duration::from_millis(500);
/// Descriptors beside those of the connections.
const OWN_FILES: u64 = 64;

/// What a process is asked to do.
#[derive(Debug)]
pub(crate) struct Task {
    /// What each client does.
    pub(crate) client: Client,
    /// How many there are.
    pub(crate) clients: usize,
    /// Whom they attack.
    pub(crate) target: SocketAddr,
    /// What their connections are made of.
    pub(crate) carrier: Carrier,
    /// For how long.
    pub(crate) lasting: Duration,
    /// Says when each comes back.
    pub(crate) seed: u64,
}

/// What the clients of one process, or of all together, saw.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// Connections that were opened.
    pub(crate) opened: usize,
    /// Most at the same time.
    pub(crate) most: usize,
    /// Connections that were refused, or weren't open in time.
    pub(crate) refused: usize,
    /// Connections for which this process lacked a port, a descriptor or memory.
    pub(crate) lacking: usize,
    /// Responses, by status.
    pub(crate) statuses: BTreeMap<u16, usize>,
}

impl Seen {
    /// Adds what another process saw at the same time.
    pub(crate) fn add(&mut self, other: &Self) {
        self.opened += other.opened;
        self.most += other.most;
        self.refused += other.refused;
        self.lacking += other.lacking;
        for (status, count) in &other.statuses {
            *self.statuses.entry(*status).or_default() += count;
        }
    }
}

/// What the clients share.
struct Clients {
    task: Task,
    opening: Vec<u8>,
    connecting: Semaphore,
    tally: Mutex<Tally>,
}

#[derive(Default)]
struct Tally {
    open: usize,
    seen: Seen,
}

/// Attacks, tells `report` at its end what the clients saw, and stays for as long as that takes.
///
/// # Errors
/// This process may not open as many files as there are clients.
pub(crate) async fn run(task: Task, report: impl FnOnce(&Seen)) -> io::Result<()> {
    let wanted = task.clients as u64 + OWN_FILES;
    let granted = grants::open_files(wanted)?;
    if granted < wanted {
        return Err(io::Error::other(format!(
            "{granted} open files are allowed here, {wanted} are needed for {} clients",
            task.clients
        )));
    }
    let clients = Arc::new(Clients {
        opening: task.client.opening(),
        connecting: Semaphore::new(CONNECTING),
        tally: Mutex::default(),
        task,
    });
    let mut all = JoinSet::new();
    for number in 0..clients.task.clients {
        let dice = Dice::new(clients.task.seed, &format!("client {number}"));
        all.spawn(Arc::clone(&clients).attack(dice));
    }
    sleep(clients.task.lasting).await;
    all.shutdown().await;
    report(&clients.tally().seen);
    sleep(PARTING).await;
    Ok(())
}

impl Clients {
    async fn attack(self: Arc<Self>, mut dice: Dice) {
        let pause = if self.task.client.is_eager() {
            PAUSE_EAGER
        } else {
            PAUSE
        };
        loop {
            match self.connect().await {
                Ok(stream) => {
                    self.opened();
                    let answered = |status| {
                        *self.tally().seen.statuses.entry(status).or_default() += 1;
                    };
                    // However it ends: that the other side may end it is what this is about.
                    if let Ok(stream) = secured(stream, self.task.carrier).await {
                        let client = self.task.client;
                        _ = client.act(stream, &self.opening, answered).await;
                    }
                    self.tally().open -= 1;
                }
                Err(error) if is_lack(&error) => self.tally().seen.lacking += 1,
                Err(_) => self.tally().seen.refused += 1,
            }
            sleep(dice.between(pause, 2 * pause)).await;
        }
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        // Never closed.
        let _permit = self.connecting.acquire().await;
        let socket = TcpSocket::new_v4()?;
        if self.task.client.has_small_window() {
            socket.set_recv_buffer_size(SMALL_WINDOW)?;
        }
        socket.connect(self.task.target).await
    }

    fn opened(&self) {
        let mut tally = self.tally();
        tally.open += 1;
        tally.seen.opened += 1;
        tally.seen.most = tally.seen.most.max(tally.open);
    }

    // Each change is whole: a panic elsewhere can't leave one half made.
    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether it is this side that couldn't.
fn is_lack(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    [
        Errno::MFILE,
        Errno::NFILE,
        Errno::NOBUFS,
        Errno::NOMEM,
        Errno::ADDRNOTAVAIL,
    ]
    .into_iter()
    .any(|lack| errno == Some(lack))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::attacks::client::Body;

    #[tokio::test]
    async fn all_clients_are_there_at_once_and_what_they_saw_is_counted() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let mut held = Vec::new();
            loop {
                held.push(listener.accept().await.unwrap());
            }
        });
        let task = Task {
            client: Client::Unfinished {
                head: 100,
                body: Body::None,
                drips: false,
            },
            clients: 300,
            target,
            carrier: Carrier::Plain,
            lasting: Duration::from_secs(2),
            seed: 1,
        };
        let mut seen = Seen::default();
        run(task, |it| seen = it.clone()).await.unwrap();
        server.abort();
        let expected = Seen {
            opened: 300,
            most: 300,
            ..Seen::default()
        };
        assert_eq!(seen, expected);
    }

    #[test]
    fn lacks_of_this_side_are_told_from_refusals() {
        assert!(is_lack(&Errno::MFILE.into()));
        assert!(!is_lack(&Errno::CONNREFUSED.into()));
    }
}
