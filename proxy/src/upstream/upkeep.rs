//! Putting ejected backends back, and closing connections that have been idle for long.

use std::{sync::Arc, time::Duration};

use tokio::{
    net::TcpStream,
    time::{interval, timeout},
};

use super::{Backend, Upstream};
use crate::settings::Settings;

/// Time between two rounds.
const INTERVAL: Duration = Duration::from_millis(500);

/// Goes round all backends until dropped.
pub(crate) async fn run(upstream: Arc<Upstream>, settings: Arc<Settings>) {
    let mut ticks = interval(INTERVAL);
    loop {
        ticks.tick().await;
        for backend in upstream.backends().iter() {
            for idle in &backend.idle {
                idle.sweep(settings.upstream_idle_timeout);
            }
            if backend.is_ejected() {
                tokio::spawn(try_again(Arc::clone(backend), settings.connect_timeout));
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
