//! From settings to a running process: bind, assemble, run until stopped.

use std::{io, sync::Arc};

use pingora_core::server::{RunArgs, Server, configuration::ServerConf};
use service::{
    sockets::{self, ListenError},
    trace::{SpanCounts, Tracer},
};
use thiserror::Error;
use tokio::{runtime::Builder, sync::Mutex};
use tracing::info;

use crate::{
    accept::{self, Acceptor},
    edge::acme::{Acme, progress::Progress},
    edge::{Edge, EdgeError},
    observe::{
        admin::{Control, State},
        log_sink::LogSink,
        metrics::Metrics,
    },
    rewrite::request_id::RequestId,
    settings::Settings,
    upstream::{Upstream, resolver},
    worker::{
        Worker,
        budget::{Budget, BudgetError},
        drain::{Drain, DrainOnSignal, StopSignals},
        ledger::Ledger,
        open_connections::Connections,
    },
};

#[derive(Debug, Error)]
pub(crate) enum StartupError {
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// What follows the upstream's name can't be started.
    #[error("resolver: {0}")]
    Resolver(io::Error),
    /// The machine grants too little.
    #[error(transparent)]
    Budget(#[from] BudgetError),
    /// Signals can't be received.
    #[error("signals: {0}")]
    Signals(io::Error),
    #[error(transparent)]
    Edge(#[from] EdgeError),
    /// What exports traces can't be started.
    #[error("traces: {0}")]
    Traces(io::Error),
    /// The system has no randomness.
    #[error("no randomness for request ids: {0}")]
    Randomness(#[from] getrandom::Error),
}

/// A proxy that has its sockets and everything else it needs.
pub(crate) struct Application {
    server: Server,
    stop: DrainOnSignal,
    tracer: Option<Arc<Tracer>>,
}

impl Application {
    /// Looks the upstream up, binds the sockets and assembles the parts. Nothing is served yet;
    /// connections wait, and so does a signal.
    pub(crate) fn build(settings: Settings, log: Arc<LogSink>) -> Result<Self, StartupError> {
        let mut signals = StopSignals::install().map_err(StartupError::Signals)?;
        RequestId::init()?;
        let budget = Budget::of_this_machine(&settings)?;
        let settings = Arc::new(settings);
        let upstream = Arc::new(Upstream::new(&settings));
        look_up(&upstream, &settings, &mut signals).map_err(StartupError::Resolver)?;
        let connections = Arc::new(Connections::default());
        let (max_connections, max_held) = budget.share(settings.workers);
        let drain = Arc::new(Drain::new(settings.workers));
        let spans = SpanCounts::default();
        let tracer = start_tracer(&settings, &spans).map_err(StartupError::Traces)?;
        let mut server = Server::new_with_opt_and_conf(
            None,
            ServerConf {
                work_stealing: false,
                ..ServerConf::default()
            },
        );

        let (sockets, accepting, holder) = accept::open(&settings)?;
        let (edge, certificates) = Edge::new(&settings)?.unzip();
        let mut workers = Vec::new();
        for (index, sockets) in sockets.into_iter().enumerate() {
            let worker = Arc::new(Worker::new(
                index,
                Arc::clone(&settings),
                Arc::clone(&upstream),
                Arc::clone(&connections),
                Ledger::new(max_connections, max_held),
                Arc::clone(&drain),
                tracer.clone(),
            ));
            server.add_service(Acceptor::new(Arc::clone(&worker), edge.clone(), sockets));
            workers.push(worker);
        }
        let admin = sockets::listen_for("PROXY_ADMIN_LISTEN", settings.admin_listen, false)?;
        let progress = Arc::new(Progress::default());
        let acme = settings.acme.clone();
        let acme = acme.map(|acme| Acme::new(acme, Arc::clone(&drain), Arc::clone(&progress)));
        let metrics = Metrics {
            workers,
            acme: progress,
            upstream: Arc::clone(&upstream),
            connections: Arc::clone(&connections),
            budget,
            log,
            edge: edge.clone(),
            spans,
        };
        let state = State {
            upstream,
            drain: Arc::clone(&drain),
            accepting,
            edge,
            registry: metrics.into_registry(),
        };
        server.add_service(Control {
            listener: Some(admin),
            holder,
            acme,
            certificates,
            state: Arc::new(state),
            settings: Arc::clone(&settings),
        });

        info!(
            version = env!("CARGO_PKG_VERSION"),
            listen = %settings.listen,
            tls_listen = settings.tls_listen.map(display),
            admin = %settings.admin_listen,
            upstream = %settings.upstream,
            workers = settings.workers,
            memory = budget.memory,
            files = budget.files,
            connections = budget.connections,
            buffers = budget.buffers,
            upstream_connections = settings.upstream_connections,
            "listening"
        );
        let stop = DrainOnSignal {
            signals: Mutex::new(signals),
            drain,
            connections,
            limit: settings.drain_timeout,
        };
        Ok(Self {
            server,
            stop,
            tracer,
        })
    }

    /// Runs until a signal has ended it.
    pub(crate) fn run_until_stopped(self) {
        self.server.run(RunArgs {
            shutdown_signal: Box::new(self.stop),
        });
        if let Some(tracer) = self.tracer {
            tracer.finish();
        }
        info!("stopped");
    }
}

/// What exports traces, if they are exported.
fn start_tracer(settings: &Settings, counts: &SpanCounts) -> io::Result<Option<Arc<Tracer>>> {
    let traces = settings.traces.as_ref();
    let start = |traces| Tracer::start(traces, "proxy", env!("CARGO_PKG_VERSION"), counts.clone());
    Ok(traces.map(start).transpose()?.map(Arc::new))
}

/// Begins to follow the upstream's name, and waits for what is known of it at first or for a signal.
fn look_up(
    upstream: &Arc<Upstream>,
    settings: &Settings,
    signals: &mut StopSignals,
) -> io::Result<()> {
    resolver::start(upstream, settings.resolve_interval)?;
    let waiting = Builder::new_current_thread().enable_time().build()?;
    waiting.block_on(async {
        tokio::select! {
            () = resolver::first_answer(upstream) => {}
            _ = signals.arrived() => {}
        }
    });
    Ok(())
}
