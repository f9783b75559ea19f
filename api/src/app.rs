//! Putting the parts together, running them, and stopping them in the right order.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::web;
use service::sockets::{ListenError, listen_for, notice_vanished};
use service::trace::Tracer;

use crate::budget::{ADMIN_CONNECTIONS, Budget, BudgetError};
use crate::http::connections::{self, Connections};
use crate::http::routes::{self, Recorder};
use crate::http::server::Port;
use crate::observe::admin::{self, Admin};
use crate::observe::metrics::Metrics;
use crate::observe::trace::Traces;
use crate::record::proxy_token::ProxyTokens;
use crate::settings::Settings;
use crate::write::coalescer::{Coalescer, Limits};
use crate::write::store::{MongoStore, SetupError};

/// A client that acknowledges nothing for so long has vanished, and with it the proxy's machine: its
/// connections take places that others want. What is answered is short, and read at once.
const VANISHED: Duration = Duration::from_secs(15);

#[derive(Debug, thiserror::Error)]
pub enum StartupError {
    #[error(transparent)]
    Budget(#[from] BudgetError),
    #[error(transparent)]
    Store(#[from] SetupError),
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error("API_LISTEN: the socket can't be set up: {0}")]
    Socket(io::Error),
    #[error("traces can't be exported: {0}")]
    Traces(io::Error),
}

impl StartupError {
    /// Whether a setting is to blame.
    pub(crate) fn is_usage(&self) -> bool {
        matches!(self, Self::Budget(BudgetError::MaxBody { .. }))
    }
}

/// The API, listening but not yet serving.
#[derive(Debug)]
pub struct Application {
    listener: TcpListener,
    admin_listener: TcpListener,
    workers: usize,
    write_timeout: Duration,
    budget: Budget,
    connections: Arc<Connections>,
    admin_connections: Arc<Connections>,
    recorder: web::Data<Recorder>,
    admin: web::Data<Admin>,
    draining: Arc<AtomicBool>,
}

impl Application {
    /// Opens the ports and starts the write path on the current runtime. MongoDB may be away.
    pub async fn build(settings: Settings) -> Result<Self, StartupError> {
        let with_traces = settings.traces.is_some();
        let budget = Budget::of_this_process(settings.workers, settings.max_body, with_traces)?;
        let listener = listen_for("API_LISTEN", settings.listen, false)?;
        notice_vanished(&listener, VANISHED).map_err(StartupError::Socket)?;
        let admin_listener = listen_for("API_ADMIN_LISTEN", settings.admin_listen, false)?;
        let metrics = Metrics::default();
        let traces = start_traces(&settings, &metrics).map_err(StartupError::Traces)?;
        let store =
            MongoStore::new(&settings.mongo, settings.write_timeout, &metrics.mongo).await?;
        let store = Arc::new(store);
        let draining = Arc::new(AtomicBool::new(false));
        let writes = Coalescer::start(
            &store,
            settings.write_timeout,
            Limits::of(&budget),
            metrics.writes.clone(),
        );
        let admin = Admin::new(
            Arc::clone(&store),
            metrics.registry(&budget),
            Arc::clone(&draining),
        );
        let connections = Connections::new(
            connections::Limits {
                connections: budget.connections,
                heads: budget.heads,
                bodies: budget.bodies,
                large_bodies: budget.large_bodies,
                evict_working: false,
            },
            metrics.public.clone(),
        );
        // Whatever is asked here can be asked again: the next health check has to get in.
        let admin_connections = Connections::new(
            connections::Limits {
                connections: ADMIN_CONNECTIONS,
                heads: 1 << 20,
                bodies: 0,
                large_bodies: 0,
                evict_working: true,
            },
            metrics.admin.clone(),
        );
        let recorder = Recorder {
            writes: Arc::new(writes),
            store,
            local: listener.local_addr().map_err(BudgetError::Limit)?,
            max_body: settings.max_body,
            proxy: settings.proxy_tokens.map(ProxyTokens::new),
            redact_headers: settings.redact_headers,
            traces,
            metrics,
        };
        Ok(Self {
            listener,
            admin_listener,
            workers: settings.workers,
            write_timeout: settings.write_timeout,
            budget,
            connections,
            admin_connections,
            recorder: web::Data::new(recorder),
            admin: web::Data::new(admin),
            draining,
        })
    }

    /// Where requests are recorded.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Where health and metrics are.
    pub fn admin_address(&self) -> io::Result<SocketAddr> {
        self.admin_listener.local_addr()
    }

    /// Serves until `stop` is done; then readiness fails, new connections are refused, requests in
    /// flight are answered, and what was accepted is written.
    pub async fn run_until_stopped(self, stop: impl Future<Output = ()>) -> io::Result<()> {
        tracing::info!(
            listen = %self.address()?,
            admin = %self.admin_address()?,
            workers = self.workers,
            memory = self.budget.memory,
            open_files = self.budget.open_files,
            connections = self.budget.connections,
            head_bytes = self.budget.heads,
            body_bytes = self.budget.bodies,
            queue_bytes = self.budget.queue,
            batch_bytes = self.budget.batch,
            "ready for requests"
        );
        // Whatever is in flight is answered within a write timeout; a body may have to arrive first.
        let patience = self.write_timeout + Duration::from_secs(3);
        let (recorder, admin) = (self.recorder.clone(), self.admin);
        let server = Port {
            connections: Arc::clone(&self.connections),
            workers: self.workers,
            patience,
            routes: move |app: &mut web::ServiceConfig| {
                app.app_data(recorder.clone()).configure(routes::configure);
            },
        };
        let admin_server = Port {
            connections: self.admin_connections,
            workers: 1,
            patience,
            routes: move |app: &mut web::ServiceConfig| {
                app.app_data(admin.clone()).configure(admin::configure);
            },
        };
        let server = server.serve(self.listener)?;
        let admin_server = admin_server.serve(self.admin_listener)?;
        let (handle, admin_handle) = (server.handle(), admin_server.handle());
        let mut serving = tokio::spawn(server);
        let admin_serving = tokio::spawn(admin_server);

        tokio::select! {
            ended = &mut serving => return ended.map_err(io::Error::other)?,
            () = stop => {}
        }
        tracing::info!("stopping: answering what is in flight");
        self.draining.store(true, Ordering::Relaxed);
        self.connections.stop();
        handle.stop(true).await;
        self.recorder.writes.drain().await;
        admin_handle.stop(false).await;
        serving.await.map_err(io::Error::other)??;
        admin_serving.await.map_err(io::Error::other)??;
        if let Some(traces) = &self.recorder.traces {
            traces.tracer.finish();
        }
        tracing::info!("stopped");
        Ok(())
    }
}

/// What tells of requests, if traces are exported.
fn start_traces(settings: &Settings, metrics: &Metrics) -> io::Result<Option<Traces>> {
    let Some(exported) = &settings.traces else {
        return Ok(None);
    };
    let version = env!("CARGO_PKG_VERSION");
    let tracer = Tracer::start(exported, "api", version, metrics.spans.clone())?;
    Ok(Some(Traces::new(Arc::new(tracer), &settings.mongo)))
}
