//! Holding the sockets, and handing them to everybody who asks. One thread waits for everything.

use std::{
    io,
    os::{fd::BorrowedFd, unix::net::UnixStream},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use handover::{Event, Server};
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    low_level::pipe,
};

use crate::{error::Error, log::say, sockets::Sockets};

/// Pause between two looks at the sockets.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Pause after a connection that couldn't be accepted, for lack of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Becomes readable at the first SIGTERM or SIGINT.
pub(crate) fn stop_signals() -> io::Result<UnixStream> {
    let (stop, signalled) = UnixStream::pair()?;
    pipe::register(SIGTERM, signalled.try_clone()?)?;
    pipe::register(SIGINT, signalled)?;
    Ok(stop)
}

/// The sockets, and the Unix socket at which they are handed over.
#[derive(Debug)]
pub(crate) struct Holder {
    path: PathBuf,
    server: Server,
    /// Those of each address.
    sockets: Vec<Sockets>,
    stop: UnixStream,
}

impl Holder {
    pub(crate) fn open(
        path: &Path,
        sockets: Vec<Sockets>,
        stop: UnixStream,
    ) -> Result<Self, Error> {
        let path = path.to_owned();
        match Server::open(&path) {
            Ok(server) => Ok(Self {
                path,
                server,
                sockets,
                stop,
            }),
            Err(error) => Err(Error::Socket { path, error }),
        }
    }

    /// Serves until a signal comes.
    pub(crate) fn run(mut self) -> Result<(), Error> {
        let mut next_check = Instant::now();
        loop {
            match self.server.wait(&self.stop, next_check) {
                Ok(Event::Stop) => break,
                Ok(Event::Connection) => {
                    if let Err(error) = self.server.hand_over(&held(&self.sockets)) {
                        say(&format!("can't hand over: {error}"));
                        thread::sleep(ACCEPT_PAUSE);
                    }
                }
                Ok(Event::Time) => {}
                Err(error) => return Err(Error::Wait(error)),
            }
            if Instant::now() >= next_check {
                let mut changed = false;
                for sockets in &mut self.sockets {
                    changed |= sockets.check();
                }
                if changed {
                    self.server.replace(&held(&self.sockets));
                }
                next_check = Instant::now() + CHECK_INTERVAL;
            }
        }
        let path = self.path;
        let closed = self.server.close();
        closed.map_err(|error| Error::Socket { path, error })
    }
}

/// All of them, as they are handed over.
fn held(sockets: &[Sockets]) -> Vec<BorrowedFd<'_>> {
    sockets.iter().flat_map(Sockets::held).collect()
}
