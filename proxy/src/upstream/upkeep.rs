//! Putting ejected backends back, closing connections that have been idle for long, and looking again
//! whether backends are far away.

use std::{sync::Arc, time::Duration};

use tokio::{
    net::TcpStream,
    time::{interval, timeout},
};

use super::{Backend, Upstream};
use crate::settings::Settings;

/// Time between two rounds.
const INTERVAL: Duration = Duration::from_millis(500);
/// Rounds between two looks at a backend that is far away and gets few requests, and so few connections.
const LOOK: u64 = 60;

/// Goes round all backends until dropped.
pub(crate) async fn run(upstream: Arc<Upstream>, settings: Arc<Settings>) {
    let mut ticks = interval(INTERVAL);
    for round in 1_u64.. {
        ticks.tick().await;
        for backend in upstream.backends().iter() {
            for idle in &backend.idle {
                idle.sweep(settings.upstream_idle_timeout);
            }
            if backend.is_ejected() {
                tokio::spawn(try_again(Arc::clone(backend), settings.connect_timeout));
            } else if backend.is_far() && round.is_multiple_of(LOOK) {
                let looked = look(Arc::clone(&upstream), Arc::clone(backend));
                tokio::spawn(timeout(settings.connect_timeout, looked));
            }
        }
    }
}

/// An ejected backend is back when it accepts a connection.
async fn try_again(backend: Arc<Backend>, limit: Duration) {
    if let Ok(Ok(_)) = timeout(limit, TcpStream::connect(backend.address)).await {
        backend.reinstate();
    }
}

/// Measures how far away a backend is once more.
async fn look(upstream: Arc<Upstream>, backend: Arc<Backend>) {
    if let Ok(connection) = TcpStream::connect(backend.address).await {
        upstream.measure(&backend, &connection);
    }
}
