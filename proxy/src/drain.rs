//! Shutting down without cutting anybody off.
//!
//! The first SIGTERM or SIGINT closes the listeners and the idle connections; requests in flight
//! finish. The process ends when none is left, after the drain timeout, or at a second signal.
//! Pingora's own graceful period always lasts its whole length; so the waiting is done here, in
//! front of its fast shutdown.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use pingora_core::server::{ShutdownSignal, ShutdownSignalWatch};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{Notify, futures::Notified},
    time::timeout,
};
use tracing::{error, info, warn};

use crate::limits::Connections;

/// Whether the process is stopping, and who has to know.
#[derive(Debug)]
pub struct Drain {
    started: AtomicBool,
    /// One per worker, so that waiting connections of different workers share no lock.
    workers: Box<[Notify]>,
}

impl Drain {
    /// Not draining yet.
    pub fn new(workers: usize) -> Self {
        Self {
            started: AtomicBool::new(false),
            workers: (0..workers).map(|_| Notify::new()).collect(),
        }
    }

    /// Whether it has begun.
    pub fn has_started(&self) -> bool {
        self.started.load(Ordering::Acquire)
    }

    /// Ready when it begins after this call; ask [`Self::has_started`] after making it.
    pub fn notified(&self, worker: usize) -> Notified<'_> {
        // Workers are numbered by whoever made this.
        self.workers[worker].notified()
    }

    fn start(&self) {
        self.started.store(true, Ordering::Release);
        self.workers.iter().for_each(Notify::notify_waiters);
    }
}

/// Tells pingora when to end the process: after draining.
pub struct DrainOnSignal {
    /// What to tell the workers.
    pub drain: Arc<Drain>,
    /// What to wait for.
    pub connections: Arc<Connections>,
    /// How long.
    pub limit: Duration,
}

#[async_trait]
impl ShutdownSignalWatch for DrainOnSignal {
    async fn recv(&self) -> ShutdownSignal {
        if let Err(error) = self.run().await {
            error!(%error, "signals can't be received; stopping");
        }
        ShutdownSignal::FastShutdown
    }
}

impl DrainOnSignal {
    async fn run(&self) -> io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let name = either(&mut terminate, &mut interrupt).await;
        info!(
            signal = name,
            connections = self.connections.open(),
            "draining"
        );
        self.drain.start();
        tokio::select! {
            drained = timeout(self.limit, self.connections.none_left()) => if drained.is_ok() {
                info!("drained");
            } else {
                warn!(cut = self.connections.open(), "drain timeout");
            },
            name = either(&mut terminate, &mut interrupt) => {
                warn!(signal = name, cut = self.connections.open(), "second signal");
            }
        }
        Ok(())
    }
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}
