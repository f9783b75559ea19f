//! Shutting down without cutting anybody off.
//!
//! The first SIGTERM or SIGINT ends the accept loops, after taking in what the kernel has accepted
//! already, unless another process goes on with that. Requests in flight finish, each the last on
//! its connection; a connection that waits for a request is given a moment, since one may be on its
//! way, and is closed then. The process ends when none is left, after the drain timeout, or at a
//! second signal.
//! Pingora's own graceful period always lasts its whole length; so the waiting is done here, in
//! front of its fast shutdown.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use async_trait::async_trait;
use pingora_core::server::{ShutdownSignal, ShutdownSignalWatch};
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::Signals,
};
use tokio::{
    sync::{
        Mutex, Notify,
        futures::Notified,
        mpsc::{UnboundedReceiver, unbounded_channel},
    },
    time::timeout,
};
use tracing::{info, warn};

use super::open_connections::Connections;

/// Whether the process is stopping, and who has to know.
#[derive(Debug)]
pub(crate) struct Drain {
    started: AtomicBool,
    /// Accept loops that may still take connections in; one per worker.
    accepting: AtomicUsize,
    accept_loops_ended: Notify,
    /// One per worker, so that waiting connections of different workers share no lock.
    workers: Box<[Notify]>,
}

impl Drain {
    /// Not draining yet.
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            started: AtomicBool::new(false),
            accepting: AtomicUsize::new(workers),
            accept_loops_ended: Notify::new(),
            workers: (0..workers).map(|_| Notify::new()).collect(),
        }
    }

    pub(crate) fn has_started(&self) -> bool {
        self.started.load(Ordering::Acquire)
    }

    /// Ready when it begins after this call; ask [`Self::has_started`] after making it.
    pub(crate) fn notified(&self, worker: usize) -> Notified<'_> {
        // Workers are numbered by whoever made this.
        self.workers[worker].notified()
    }

    /// Notes that a worker's accept loop has ended.
    pub(crate) fn accept_loop_ended(&self) {
        if self.accepting.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.accept_loops_ended.notify_one();
        }
    }

    /// Waits until all are: only then is the number of connections final.
    async fn accept_loops_ended(&self) {
        while self.accepting.load(Ordering::Acquire) > 0 {
            self.accept_loops_ended.notified().await;
        }
    }

    fn start(&self) {
        self.started.store(true, Ordering::Release);
        self.workers.iter().for_each(Notify::notify_waiters);
    }
}

/// The signals that end the process, received from the moment that this is made.
///
/// It has to be made before anything answers a health check: as process 1 of a container, one
/// without a handler doesn't even die of SIGTERM. The runtime's own signals would come too late.
#[derive(Debug)]
pub(crate) struct StopSignals {
    receiver: UnboundedReceiver<&'static str>,
    /// One that has arrived and hasn't been received.
    next: Option<&'static str>,
}

impl StopSignals {
    pub(crate) fn install() -> io::Result<Self> {
        let mut signals = Signals::new([SIGTERM, SIGINT])?;
        let (sender, receiver) = unbounded_channel();
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                for signal in signals.forever() {
                    let name = if signal == SIGTERM {
                        "SIGTERM"
                    } else {
                        "SIGINT"
                    };
                    if sender.send(name).is_err() {
                        return;
                    }
                }
            })?;
        let next = None;
        Ok(Self { receiver, next })
    }

    /// Waits for one and leaves it to be received.
    pub(crate) async fn arrived(&mut self) -> &'static str {
        loop {
            if let Some(name) = self.next {
                return name;
            }
            match self.receiver.recv().await {
                Some(name) => self.next = Some(name),
                // The thread is gone, which it never is; better to stay than to stop.
                None => std::future::pending().await,
            }
        }
    }

    async fn recv(&mut self) -> &'static str {
        let name = self.arrived().await;
        self.next = None;
        name
    }
}

/// Tells pingora when to end the process: after draining.
pub(crate) struct DrainOnSignal {
    /// What starts it.
    pub(crate) signals: Mutex<StopSignals>,
    /// What to tell the workers.
    pub(crate) drain: Arc<Drain>,
    /// What to wait for.
    pub(crate) connections: Arc<Connections>,
    pub(crate) limit: Duration,
}

#[async_trait]
impl ShutdownSignalWatch for DrainOnSignal {
    async fn recv(&self) -> ShutdownSignal {
        let mut signals = self.signals.lock().await;
        let signal = signals.recv().await;
        info!(signal, connections = self.connections.open(), "draining");
        self.drain.start();
        let drained = async {
            self.drain.accept_loops_ended().await;
            self.connections.none_left().await;
        };
        tokio::select! {
            drained = timeout(self.limit, drained) => if drained.is_ok() {
                info!("drained");
            } else {
                warn!(cut = self.connections.open(), "drain timeout");
            },
            signal = signals.recv() => {
                warn!(signal, cut = self.connections.open(), "second signal");
            }
        }
        ShutdownSignal::FastShutdown
    }
}
