//! From settings to a running process: bind, assemble, run until stopped.

use std::{io, net::SocketAddr, sync::Arc};

use pingora_core::server::{RunArgs, Server, configuration::ServerConf};
use service::sockets;
use thiserror::Error;
use tokio::sync::Mutex;
use tracing::info;

use crate::{
    admin::{Control, State},
    config::Settings,
    drain::{Drain, DrainOnSignal, StopSignals},
    limits::{Connections, connections_that_fit},
    listener::{self, Acceptor},
    log_sink::LogSink,
    metrics::Metrics,
    request_id::RequestId,
    upstream::{Upstream, resolver},
    worker::Worker,
};

/// Why the proxy can't start.
#[derive(Debug, Error)]
pub enum StartupError {
    /// An address can't be listened on.
    #[error("{key} = {address}: {error}")]
    Bind {
        /// The key that holds the address.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
    /// The upstream can't be looked up.
    #[error("resolver: {0}")]
    Resolver(io::Error),
    /// Signals can't be received.
    #[error("signals: {0}")]
    Signals(io::Error),
    /// The system has no randomness.
    #[error("no randomness for request ids: {0}")]
    Randomness(#[from] getrandom::Error),
}

/// A proxy that has its sockets and everything else it needs.
pub struct Application {
    server: Server,
    stop: DrainOnSignal,
}

impl Application {
    /// Resolves the upstream, binds the sockets and assembles the parts. Nothing runs yet;
    /// connections wait.
    pub fn build(settings: Settings, log: Arc<LogSink>) -> Result<Self, StartupError> {
        let signals = StopSignals::install().map_err(StartupError::Signals)?;
        RequestId::init()?;
        let settings = Arc::new(settings);
        let upstream = Arc::new(Upstream::new(&settings));
        resolver::resolve_first(&upstream).map_err(StartupError::Resolver)?;
        let connections = Connections::new(connections_that_fit(settings.max_connections));
        let drain = Arc::new(Drain::new(settings.workers));
        let mut server = Server::new_with_opt_and_conf(
            None,
            ServerConf {
                work_stealing: false,
                ..ServerConf::default()
            },
        );

        let (sockets, accepting, handover) =
            listener::open(&settings).map_err(|error| StartupError::Bind {
                key: "PROXY_LISTEN",
                address: settings.listen,
                error,
            })?;
        let mut workers = Vec::new();
        for (index, sockets) in sockets.into_iter().enumerate() {
            let worker = Arc::new(Worker::new(
                index,
                Arc::clone(&settings),
                Arc::clone(&upstream),
                Arc::clone(&connections),
                Arc::clone(&drain),
            ));
            server.add_service(Acceptor::new(Arc::clone(&worker), sockets));
            workers.push(worker);
        }
        let admin =
            sockets::listen(settings.admin_listen, false).map_err(|error| StartupError::Bind {
                key: "PROXY_ADMIN_LISTEN",
                address: settings.admin_listen,
                error,
            })?;
        let metrics = Metrics {
            workers,
            upstream: Arc::clone(&upstream),
            connections: Arc::clone(&connections),
            log,
        };
        let state = State {
            upstream,
            drain: Arc::clone(&drain),
            accepting,
            registry: metrics.into_registry(),
        };
        server.add_service(Control {
            listener: Some(admin.into()),
            handover,
            state: Arc::new(state),
            settings: Arc::clone(&settings),
        });

        info!(
            version = env!("CARGO_PKG_VERSION"),
            listen = %settings.listen,
            admin = %settings.admin_listen,
            upstream = %settings.upstream,
            workers = settings.workers,
            "listening"
        );
        let stop = DrainOnSignal {
            signals: Mutex::new(signals),
            drain,
            connections,
            limit: settings.drain_timeout,
        };
        Ok(Self { server, stop })
    }

    /// Runs until a signal has ended it.
    pub fn run_until_stopped(self) {
        self.server.run(RunArgs {
            shutdown_signal: Box::new(self.stop),
        });
        info!("stopped");
    }
}
