//! `listener healthcheck`: asks for the sockets as everybody else does. For images without a shell.

use std::{
    io::{self, Read},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use crate::error::Error;

/// Longest wait for the answer.
const TIME_LIMIT: Duration = Duration::from_secs(3);

/// Connects to the Unix socket at `path` and waits for what carries the descriptors; they
/// themselves are closed unseen by a plain read.
pub fn run(path: &Path) -> Result<(), Error> {
    ask(path).map_err(|error| Error::Socket {
        path: path.to_owned(),
        error,
    })
}

fn ask(path: &Path) -> io::Result<()> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(TIME_LIMIT))?;
    stream.read_exact(&mut [0])
}
