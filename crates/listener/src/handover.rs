//! Handing the sockets over: all of them, to everybody who connects to the Unix socket.
//!
//! A message of one byte carries them as `SCM_RIGHTS`. The connection then stays open: another such
//! message brings sockets that take the place of those before, and its end tells either side that
//! the other is gone. Who connects while there are no sockets meets the end at once. One thread waits
//! for everything.

use std::{
    fs,
    io::{self, IoSlice},
    mem::MaybeUninit,
    os::{
        fd::BorrowedFd,
        unix::{
            fs::FileTypeExt,
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::Mode,
    io::Errno,
    net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg},
    process::umask,
};
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    low_level::pipe,
};

use crate::{cli::say, config::MAX_COUNT, error::Error, sockets::Sockets};

/// Carries the descriptors: a stream's ancillary data needs a byte to go with.
const CARRIER: &[u8] = b"L";
/// Most connections that are kept. With one more, the oldest is ended: whoever lives asks again, and
/// nobody can use up the descriptors.
pub const MAX_HOLDERS: usize = 32;
/// Pause between two looks at the sockets.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Pause after a connection that couldn't be accepted, for lack of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Becomes readable at the first SIGTERM or SIGINT.
pub fn stop_signals() -> io::Result<UnixStream> {
    let (stop, signalled) = UnixStream::pair()?;
    pipe::register(SIGTERM, signalled.try_clone()?)?;
    pipe::register(SIGINT, signalled)?;
    Ok(stop)
}

/// The Unix socket, what is handed over at it, and who has it.
#[derive(Debug)]
pub struct Handover {
    path: PathBuf,
    socket: UnixListener,
    sockets: Sockets,
    next_check: Instant,
    stop: UnixStream,
    /// Connections of those who have the sockets, oldest first; open as long as they live.
    holders: Vec<UnixStream>,
}

impl Handover {
    /// Opens the Unix socket at `path`, for its owner alone. A file that a killed process has left
    /// there is replaced.
    pub fn open(path: &Path, sockets: Sockets, stop: UnixStream) -> Result<Self, Error> {
        let fail = |error| Error::Socket {
            path: path.to_owned(),
            error,
        };
        if is_stale(path) {
            fs::remove_file(path).map_err(fail)?;
        }
        // With the right mode from the first moment, rather than changed afterwards.
        let before = umask(Mode::RWXG | Mode::RWXO | Mode::XUSR);
        let socket = UnixListener::bind(path);
        umask(before);
        Ok(Self {
            path: path.to_owned(),
            socket: socket.map_err(fail)?,
            sockets,
            next_check: Instant::now(),
            stop,
            holders: Vec::new(),
        })
    }

    /// Serves until a signal comes.
    pub fn run(mut self) -> Result<(), Error> {
        while let Some(ready) = self.wait().map_err(Error::Wait)? {
            for gone in ready.gone.into_iter().rev() {
                self.holders.remove(gone);
            }
            if ready.connection
                && let Err(error) = self.hand_over()
            {
                say(&format!("can't hand over: {error}"));
                thread::sleep(ACCEPT_PAUSE);
            }
            if Instant::now() >= self.next_check {
                if self.sockets.check() {
                    self.tell_holders();
                }
                self.next_check = Instant::now() + CHECK_INTERVAL;
            }
        }
        // The next one would find it stale; a health check needn't.
        fs::remove_file(&self.path).map_err(|error| Error::Socket {
            path: self.path,
            error,
        })
    }

    /// Waits for anything to happen, or until the sockets are to be looked at; `None` for a signal.
    fn wait(&self) -> io::Result<Option<Ready>> {
        let mut watched = vec![
            PollFd::new(&self.stop, PollFlags::IN),
            PollFd::new(&self.socket, PollFlags::IN),
        ];
        // They have nothing to say: whatever comes is the end.
        let holders = self.holders.iter();
        watched.extend(holders.map(|holder| PollFd::new(holder, PollFlags::IN)));
        let pause = self.next_check.saturating_duration_since(Instant::now());
        let pause = Timespec::try_from(pause).unwrap_or_default();
        match poll(&mut watched, Some(&pause)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let happened = |fd: &PollFd<'_>| !fd.revents().is_empty();
        if happened(&watched[0]) {
            return Ok(None);
        }
        let holders = watched[2..].iter().enumerate();
        Ok(Some(Ready {
            connection: happened(&watched[1]),
            gone: holders
                .filter(|(_, fd)| happened(fd))
                .map(|(index, _)| index)
                .collect(),
        }))
    }

    fn hand_over(&mut self) -> io::Result<()> {
        let (holder, _) = self.socket.accept()?;
        let sockets = self.sockets.held();
        if !sockets.is_empty() {
            send(&holder, &sockets)?;
            if self.holders.len() == MAX_HOLDERS {
                self.holders.remove(0);
            }
            self.holders.push(holder);
        }
        Ok(())
    }

    /// Gives everybody the sockets as they are now. Who can't take them meets the end, and asks
    /// again.
    fn tell_holders(&mut self) {
        let sockets = self.sockets.held();
        if !sockets.is_empty() {
            self.holders.retain(|holder| send(holder, &sockets).is_ok());
        }
    }
}

fn send(holder: &UnixStream, sockets: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_COUNT))];
    let mut message = SendAncillaryBuffer::new(&mut space);
    // There is room for as many as there can be.
    message.push(SendAncillaryMessage::ScmRights(sockets));
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    sendmsg(holder, &[IoSlice::new(CARRIER)], &mut message, flags)?;
    Ok(())
}

/// What a wait has found.
struct Ready {
    /// Somebody has connected.
    connection: bool,
    /// The holders that are gone, by index in ascending order.
    gone: Vec<usize>,
}

/// A process that was killed leaves its file behind, on which connecting is refused.
fn is_stale(path: &Path) -> bool {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    is_socket
        && UnixStream::connect(path)
            .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}
