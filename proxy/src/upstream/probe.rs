//! Putting ejected backends back, and closing connections that have been idle for long.

use std::{sync::Arc, time::Duration};

use tokio::{
    net::TcpStream,
    time::{interval, timeout},
};

use super::{Backend, Upstream};
use crate::config::Settings;

/// Time between two probes of an ejected backend.
const PROBE_INTERVAL: Duration = Duration::from_millis(500);

/// Probes and sweeps until dropped.
pub(crate) async fn run(upstream: Arc<Upstream>, settings: Arc<Settings>) {
    let mut ticks = interval(PROBE_INTERVAL);
    loop {
        ticks.tick().await;
        for backend in upstream.backends().iter() {
            for idle in &backend.idle {
                idle.sweep(settings.upstream_idle_timeout);
            }
            if backend.is_ejected() {
                tokio::spawn(probe(Arc::clone(backend), settings.connect_timeout));
            }
        }
    }
}

/// An ejected backend is back when it accepts a connection.
async fn probe(backend: Arc<Backend>, limit: Duration) {
    if let Ok(Ok(_)) = timeout(limit, TcpStream::connect(backend.address)).await {
        backend.reinstate();
    }
}
