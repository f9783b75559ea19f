//! Listening sockets, and the workers' loops that accept on them.
//!
//! The sockets are the process's own, one per worker, or come from a process that holds
//! them for this one and its successor alike ([`Holder`]). The [`Acceptor`]s don't care, but at
//! the end: what waits in the queue of an own socket has to be taken in before the socket is closed,
//! what waits in that of another's is for the next process.

mod acceptor;
pub(crate) mod arrival;
pub(crate) mod connection;
mod holder;

use std::{io, path::Path};

use service::sockets::listen;
use tokio::sync::mpsc::unbounded_channel;

pub(crate) use acceptor::{Acceptor, Sockets};
pub(crate) use holder::{Accepting, Holder};

use crate::settings::Settings;

/// Where each worker's sockets come from, and what fetches them where it isn't this process.
pub(crate) fn open(settings: &Settings) -> io::Result<(Vec<Sockets>, Accepting, Option<Holder>)> {
    let Some(path) = &settings.listen_from else {
        let own = (0..settings.workers)
            .map(|_| listen(settings.listen, true).map(|socket| Sockets::Own(socket.into())));
        return Ok((own.collect::<io::Result<_>>()?, Accepting::always(), None));
    };
    Ok(handed(path, settings.workers))
}

fn handed(path: &Path, workers: usize) -> (Vec<Sockets>, Accepting, Option<Holder>) {
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..workers).map(|_| unbounded_channel()).unzip();
    let holder = Holder::new(path.to_owned(), senders);
    let sockets = receivers.into_iter().map(Sockets::Handed).collect();
    (sockets, holder.accepting(), Some(holder))
}
