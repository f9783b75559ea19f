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
/// themselves are closed unseen by a plain read. Whether the sockets work is what the listener looks
/// at by itself: it has none to hand over where they don't and can't be replaced.
pub fn run(path: &Path) -> Result<(), Error> {
    ask(path).map_err(|error| Error::Socket {
        path: path.to_owned(),
        error,
    })
}

fn ask(path: &Path) -> io::Result<()> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(TIME_LIMIT))?;
    match stream.read(&mut [0])? {
        0 => Err(io::Error::other("no listening sockets that work")),
        _ => Ok(()),
    }
}
