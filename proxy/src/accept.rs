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

use std::path::Path;

use service::sockets::{ListenError, listen_for};
use tokio::sync::mpsc::unbounded_channel;

pub(crate) use acceptor::{Acceptor, Sockets};
pub(crate) use holder::{Accepting, Holder};

use crate::settings::Settings;

/// Where each worker's sockets come from, and what fetches them where it isn't this process.
pub(crate) fn open(
    settings: &Settings,
) -> Result<(Vec<Sockets>, Accepting, Option<Holder>), ListenError> {
    let Some(path) = &settings.listen_from else {
        let addresses = || {
            [
                ("PROXY_LISTEN", Some(settings.listen)),
                ("PROXY_TLS_LISTEN", settings.tls_listen),
            ]
        };
        let own = (0..settings.workers).map(|_| {
            let sockets = addresses().into_iter().filter_map(|(key, address)| {
                let address = address?;
                Some(listen_for(key, address, true))
            });
            sockets.collect::<Result<_, _>>().map(Sockets::Own)
        });
        return Ok((own.collect::<Result<_, _>>()?, Accepting::always(), None));
    };
    Ok(handed(path, settings.workers))
}

fn handed(path: &Path, workers: usize) -> (Vec<Sockets>, Accepting, Option<Holder>) {
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..workers).map(|_| unbounded_channel()).unzip();
    let holder = Holder::new(path.to_owned(), senders);
    let sockets = receivers.into_iter().map(Sockets::Handed).collect();
    (sockets, holder.accepting(), Some(holder))
}
