//! The listening TCP sockets of the sandbox, from its own `/proc/net`.

use procfs::net::{TcpNetEntry, TcpState, tcp as tcp4, tcp6};
use procfs::{ProcError, ProcResult};

use super::super::report::Listener;

/// All of them, by port.
pub(super) fn tcp() -> ProcResult<Vec<Listener>> {
    let mut listeners: Vec<Listener> = tcp4()?
        .into_iter()
        .chain(where_enabled(tcp6())?)
        .filter(|socket| socket.state == TcpState::Listen)
        .map(|socket| Listener {
            address: socket.local_address.ip(),
            port: socket.local_address.port(),
        })
        .collect();
    listeners.sort_by_key(|listener| (listener.port, listener.address));
    listeners.dedup();
    Ok(listeners)
}

/// A kernel without IPv6 has no table of it.
fn where_enabled(sockets: ProcResult<Vec<TcpNetEntry>>) -> ProcResult<Vec<TcpNetEntry>> {
    match sockets {
        Err(ProcError::NotFound(_)) => Ok(Vec::new()),
        other => other,
    }
}
