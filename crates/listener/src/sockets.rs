//! The listening sockets of an address: all on the same, so that the kernel spreads connections over them.
//!
//! Whoever has got them may do to them what it likes, on purpose or not, and what it does to them
//! stays when it is gone. So they are looked at all the time, and those that are broken are replaced:
//!
//! | what somebody may have done | what shows it | what is done |
//! |---|---|---|
//! | set options that accepted sockets inherit, blocking, a short queue | nothing | set again each time |
//! | a filter that drops connections | it can be removed | removed |
//! | a filter that can't be removed (`SO_LOCK_FILTER`) | it can't | replaced |
//! | shut down (shutdown(2), or connect(2) to `AF_UNSPEC`) | `SO_ACCEPTCONN` | replaced |
//! | bound to one network device | `SO_BINDTODEVICE` | replaced |
//! | anything else that keeps connections out | a connection of our own isn't taken in | all are replaced |

use std::{
    io,
    net::{Shutdown, SocketAddr, TcpStream},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::{getsockname, sockopt::socket_acceptconn},
};
use service::sockets::{listen, reachable, restore};
use socket2::SockRef;

use crate::log::say;

/// Pause between two connections of our own.
const CONNECTION_INTERVAL: Duration = Duration::from_secs(5);
/// Longest wait for one, which the kernel of this machine completes at once.
const CONNECTION_TIME_LIMIT: Duration = Duration::from_secs(1);

/// The sockets that are held.
#[derive(Debug)]
pub(crate) struct Sockets {
    address: SocketAddr,
    count: usize,
    held: Vec<OwnedFd>,
    /// Those replaced at the last check. Holders take in what waits in them until the next one.
    replaced: Vec<OwnedFd>,
    /// When a connection of our own is next tried.
    next_connection: Instant,
    /// Whether one was taken in by the sockets as they are. If none ever was, it isn't the sockets
    /// that keep it out.
    proven: bool,
    /// Whether the last attempt to bind has failed.
    failing: bool,
}

impl Sockets {
    /// Binds `count` sockets to `address`.
    pub(crate) fn bind(address: SocketAddr, count: usize) -> io::Result<Self> {
        Ok(Self {
            address,
            count,
            held: (0..count)
                .map(|_| listen(address, true))
                .collect::<io::Result<_>>()?,
            replaced: Vec::new(),
            next_connection: Instant::now(),
            proven: false,
            failing: false,
        })
    }

    /// Where they listen: not what was asked for where `[::]` had to become `0.0.0.0`.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        let socket = self.held.first().ok_or(io::ErrorKind::NotConnected)?;
        Ok(getsockname(socket)?.try_into()?)
    }

    /// The sockets, as they are handed over. Fewer than there should be, or none, while broken ones
    /// can't be replaced.
    pub(crate) fn held(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.held.iter().map(AsFd::as_fd)
    }

    /// Looks at each socket, and replaces those that are broken. Returns whether there are others
    /// now than before.
    pub(crate) fn check(&mut self) -> bool {
        for socket in self.replaced.drain(..) {
            // However many others have it: it mustn't get its share of the connections.
            let _ = SockRef::from(&socket).shutdown(Shutdown::Both);
        }
        let mut broken = Vec::new();
        for socket in std::mem::take(&mut self.held) {
            match damage(&socket) {
                None => self.held.push(socket),
                Some(what) => {
                    say(&format!("a listening socket {what}"));
                    broken.push(socket);
                }
            }
        }
        if broken.is_empty() && self.keeps_connections_out() {
            say("the listening sockets take no connection in");
            broken.append(&mut self.held);
        }
        let bound = self.bind_missing();
        let changed = bound > 0 || !broken.is_empty();
        if changed {
            self.proven = false;
        }
        self.replaced = broken;
        changed
    }

    /// Binds as many sockets as are missing, and returns how many could be.
    fn bind_missing(&mut self) -> usize {
        let before = self.held.len();
        while self.held.len() < self.count {
            match listen(self.address, true) {
                Ok(socket) => self.held.push(socket),
                Err(error) => {
                    if !self.failing {
                        say(&format!(
                            "error: can't bind {} again: {error}",
                            self.address
                        ));
                    }
                    self.failing = true;
                    return self.held.len() - before;
                }
            }
        }
        self.failing = false;
        let bound = self.held.len() - before;
        if bound > 0 {
            say(&format!(
                "bound {} again: {bound} new sockets",
                self.address
            ));
        }
        bound
    }

    /// Whether a connection that used to be taken in isn't any more.
    ///
    /// None is tried while others wait in a queue. They show that connections are taken in, and a
    /// full queue takes none; and where nobody accepts, ours is the last one to get there.
    fn keeps_connections_out(&mut self) -> bool {
        let now = Instant::now();
        if self.held.is_empty() || now < self.next_connection || self.somebody_waits() {
            return false;
        }
        self.next_connection = now + CONNECTION_INTERVAL;
        let address = reachable(self.address);
        match TcpStream::connect_timeout(&address, CONNECTION_TIME_LIMIT) {
            Ok(_) => {
                self.proven = true;
                false
            }
            Err(error) => {
                // Other errors are about the way there.
                self.proven
                    && matches!(
                        error.kind(),
                        io::ErrorKind::TimedOut | io::ErrorKind::ConnectionRefused
                    )
            }
        }
    }

    fn somebody_waits(&self) -> bool {
        let mut queues: Vec<_> = self
            .held
            .iter()
            .map(|socket| PollFd::new(socket, PollFlags::IN))
            .collect();
        // What can't be found out is as good as a yes: then nothing is tried.
        poll(&mut queues, Some(&Timespec::default())).map_or(true, |waiting| waiting > 0)
    }
}

/// What makes a socket useless, if anything does. What can be mended is mended.
fn damage(socket: &OwnedFd) -> Option<&'static str> {
    if !socket_acceptconn(socket).is_ok_and(|listens| listens) {
        return Some("was shut down");
    }
    let socket = SockRef::from(socket);
    if !socket.device().is_ok_and(|device| device.is_none()) {
        return Some("was bound to a network device");
    }
    match socket.detach_filter() {
        Ok(()) => say("removed a filter from a listening socket"),
        Err(error) if Errno::from_io_error(&error) == Some(Errno::NOENT) => {}
        Err(_) => return Some("has a filter that can't be removed"),
    }
    restore(&*socket)
        .is_err()
        .then_some("can't be set up again")
}
