//! The end of who holds the sockets.

use std::{
    fs,
    io::{self, IoSlice},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::{
            fs::FileTypeExt as _,
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
    time::Instant,
};

use rustix::{
    cmsg_space,
    event::{PollFd, PollFlags, Timespec, poll},
    fs::Mode,
    io::Errno,
    net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg},
    process::umask,
};

use crate::MAX_SOCKETS;

/// Carries the descriptors: a stream's ancillary data needs a byte to go with.
const CARRIER: &[u8] = b"L";

/// Most connections that are kept. With one more, the oldest is ended: whoever lives asks again, and
/// nobody can use up the descriptors.
pub const MAX_RECEIVERS: usize = 32;

/// The Unix socket, and who has got sockets at it.
#[derive(Debug)]
pub struct Server {
    path: PathBuf,
    socket: UnixListener,
    /// Oldest first; open as long as the other side lives.
    receivers: Vec<UnixStream>,
}

/// What a wait ended with.
#[derive(Debug)]
pub enum Event {
    /// What stops the server is readable.
    Stop,
    /// Somebody has connected, and waits for [`Server::hand_over`].
    Connection,
    /// It is time, or a receiver is gone.
    Time,
}

impl Server {
    /// Opens the Unix socket at `path`, for its owner alone. A file that a killed process has left
    /// there is replaced.
    pub fn open(path: &Path) -> io::Result<Self> {
        if is_stale(path) {
            fs::remove_file(path)?;
        }
        // With the right mode from the first moment, rather than changed afterwards.
        let before = umask(Mode::RWXG | Mode::RWXO | Mode::XUSR);
        let socket = UnixListener::bind(path);
        umask(before);
        Ok(Self {
            path: path.to_owned(),
            socket: socket?,
            receivers: Vec::new(),
        })
    }

    /// Waits for anything to happen, or until `deadline`.
    pub fn wait(&mut self, stop: impl AsFd, deadline: Instant) -> io::Result<Event> {
        let mut watched = vec![
            PollFd::new(&stop, PollFlags::IN),
            PollFd::new(&self.socket, PollFlags::IN),
        ];
        // They have nothing to say: whatever comes is the end.
        let receivers = self.receivers.iter();
        watched.extend(receivers.map(|receiver| PollFd::new(receiver, PollFlags::IN)));
        let pause = deadline.saturating_duration_since(Instant::now());
        let pause = Timespec::try_from(pause).unwrap_or_default();
        match poll(&mut watched, Some(&pause)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let happened: Vec<_> = watched.iter().map(|fd| !fd.revents().is_empty()).collect();
        let mut gone = happened[2..].iter();
        self.receivers.retain(|_| gone.next() != Some(&true));
        Ok(match happened[..2] {
            [true, _] => Event::Stop,
            [_, true] => Event::Connection,
            _ => Event::Time,
        })
    }

    /// Gives `sockets` to the one who has connected; where there are none, the connection ends.
    pub fn hand_over(&mut self, sockets: &[BorrowedFd<'_>]) -> io::Result<()> {
        let (receiver, _) = self.socket.accept()?;
        if !sockets.is_empty() {
            send(&receiver, sockets)?;
            if self.receivers.len() == MAX_RECEIVERS {
                self.receivers.remove(0);
            }
            self.receivers.push(receiver);
        }
        Ok(())
    }

    /// Gives everybody `sockets` in place of those before. Who can't take them meets the end, and asks
    /// again.
    pub fn replace(&mut self, sockets: &[BorrowedFd<'_>]) {
        if !sockets.is_empty() {
            self.receivers
                .retain(|receiver| send(receiver, sockets).is_ok());
        }
    }

    /// Removes the file: the next one would find it stale; a health check needn't.
    pub fn close(self) -> io::Result<()> {
        fs::remove_file(&self.path)
    }

    #[cfg(test)]
    pub(crate) fn receivers(&self) -> usize {
        self.receivers.len()
    }
}

fn send(receiver: &UnixStream, sockets: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MAX_SOCKETS))];
    let mut message = SendAncillaryBuffer::new(&mut space);
    if !message.push(SendAncillaryMessage::ScmRights(sockets)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    sendmsg(receiver, &[IoSlice::new(CARRIER)], &mut message, flags)?;
    Ok(())
}

/// A process that was killed leaves its file behind, on which connecting is refused.
fn is_stale(path: &Path) -> bool {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    is_socket
        && UnixStream::connect(path)
            .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}
