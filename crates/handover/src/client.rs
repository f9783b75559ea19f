//! The end of who accepts.

use std::{
    io::{self, IoSliceMut, Read as _},
    mem::MaybeUninit,
    net::TcpListener,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::Path,
    time::Duration,
};

use rustix::{
    cmsg_space,
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, recvmsg,
        sockopt::socket_acceptconn,
    },
};

use crate::MAX_SOCKETS;

/// Longest wait of [`check`] for the answer.
const TIME_LIMIT: Duration = Duration::from_secs(3);

/// Receives one set of sockets, which don't block. Blocks if `connection` does.
pub fn receive(connection: impl AsFd) -> io::Result<Vec<TcpListener>> {
    let mut carrier = [0];
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MAX_SOCKETS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let message = recvmsg(
        connection,
        &mut [IoSliceMut::new(&mut carrier)],
        &mut ancillary,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    if message.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut sockets = Vec::new();
    for part in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = part {
            for descriptor in descriptors {
                sockets.push(listening(descriptor)?);
            }
        }
    }
    // More are an error rather than connections that nobody accepts.
    if message.flags.contains(ReturnFlags::CTRUNC) {
        return Err(invalid("more than 64 sockets"));
    }
    if sockets.is_empty() {
        return Err(invalid("nothing was handed over"));
    }
    Ok(sockets)
}

fn listening(descriptor: OwnedFd) -> io::Result<TcpListener> {
    if !socket_acceptconn(&descriptor)? {
        return Err(invalid("a socket that doesn't listen"));
    }
    let socket = TcpListener::from(descriptor);
    // Shared with everybody who has the socket, and so better not left to others.
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Asks at `path` as everybody else does, and waits for what carries the descriptors; they themselves
/// are closed unseen by a plain read. Whether the sockets work is what their holder looks at: it has
/// none to hand over where they don't and can't be replaced.
pub fn check(path: &Path) -> io::Result<()> {
    let mut connection = UnixStream::connect(path)?;
    connection.set_read_timeout(Some(TIME_LIMIT))?;
    match connection.read(&mut [0])? {
        0 => Err(io::Error::other("no listening sockets that work")),
        _ => Ok(()),
    }
}
