//! Putting the parts together, running them, and stopping them in the right order.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::{App, HttpServer, web};

use crate::admin::Admin;
use crate::body::BodyBudget;
use crate::coalescer::{Coalescer, Limits};
use crate::configuration::{ConfigError, Settings};
use crate::metrics::Metrics;
use crate::proxy_token::ProxyTokens;
use crate::routes::{self, Recorder};
use crate::store::{MongoStore, SetupError};

/// Longest time for a request's head to arrive.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an idle connection is kept. Longer than any proxy in front keeps it, so that it is the
/// proxy that closes, and none of its requests meets a closing connection.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// How long what a client still sends is read after it was refused, so that it sees the answer.
const LINGER: Duration = Duration::from_secs(2);

/// Open connections, all workers together.
const MAX_CONNECTIONS: usize = 10_000;

/// Memory for the bodies of all requests that are being read.
const BODY_MEMORY: usize = 64 << 20;

/// Why the API can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartupError {
    /// A setting can't be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The store can't be set up.
    #[error(transparent)]
    Store(#[from] SetupError),
    /// A port can't be listened on.
    #[error("can't listen on {key} {address}: {source}")]
    Listen {
        /// The setting.
        key: &'static str,
        /// Its value.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

/// The API, listening but not yet serving.
#[derive(Debug)]
pub struct Application {
    listener: TcpListener,
    admin_listener: TcpListener,
    workers: usize,
    write_timeout: Duration,
    recorder: web::Data<Recorder>,
    admin: web::Data<Admin>,
    draining: Arc<AtomicBool>,
}

impl Application {
    /// Opens the ports and starts the write path on the current runtime. MongoDB may be away.
    pub async fn build(settings: Settings) -> Result<Self, StartupError> {
        let listener = listen("API_LISTEN", settings.listen)?;
        let admin_listener = listen("API_ADMIN_LISTEN", settings.admin_listen)?;
        let proxy = settings.proxy_token_file.as_deref();
        let proxy = proxy.map(ProxyTokens::read).transpose()?;
        let metrics = Metrics::default();
        let store =
            MongoStore::new(&settings.mongo, settings.write_timeout, &metrics.mongo).await?;
        let store = Arc::new(store);
        let draining = Arc::new(AtomicBool::new(false));
        let writes = Coalescer::start(
            &store,
            settings.write_timeout,
            Limits::default(),
            metrics.writes.clone(),
        );
        let admin = Admin::new(
            Arc::clone(&store),
            metrics.registry(),
            Arc::clone(&draining),
        );
        let recorder = Recorder {
            writes: Arc::new(writes),
            store,
            bodies: BodyBudget::new(BODY_MEMORY),
            max_body: settings.max_body,
            proxy,
            redact_headers: settings.redact_headers,
            metrics,
        };
        Ok(Self {
            listener,
            admin_listener,
            workers: settings.workers,
            write_timeout: settings.write_timeout,
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
            "ready for requests"
        );
        let server = serve(
            self.listener,
            self.recorder.clone(),
            self.workers,
            self.write_timeout,
        )?;
        let admin_server = serve_admin(self.admin_listener, self.admin)?;
        let (handle, admin_handle) = (server.handle(), admin_server.handle());
        let mut serving = tokio::spawn(server);
        let admin_serving = tokio::spawn(admin_server);

        tokio::select! {
            ended = &mut serving => return ended.map_err(io::Error::other)?,
            () = stop => {}
        }
        tracing::info!("stopping: answering what is in flight");
        self.draining.store(true, Ordering::Relaxed);
        handle.stop(true).await;
        self.recorder.writes.drain().await;
        admin_handle.stop(false).await;
        serving.await.map_err(io::Error::other)??;
        admin_serving.await.map_err(io::Error::other)??;
        tracing::info!("stopped");
        Ok(())
    }
}

/// The public server. It owns its listener, so that connections are refused once it has stopped.
fn serve(
    listener: TcpListener,
    recorder: web::Data<Recorder>,
    workers: usize,
    write_timeout: Duration,
) -> io::Result<Server> {
    // Whatever is in flight is answered within a write timeout; a body may have to arrive first.
    let patience = write_timeout + LINGER + Duration::from_secs(1);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(recorder.clone())
            .configure(routes::configure)
    })
    .workers(workers)
    .max_connections((MAX_CONNECTIONS / workers).max(1))
    .client_request_timeout(HEAD_TIMEOUT)
    .client_disconnect_timeout(LINGER)
    .keep_alive(KEEP_ALIVE)
    .shutdown_timeout(patience.as_secs())
    .disable_signals()
    .listen(listener)?;
    Ok(server.run())
}

/// The admin server: one thread is enough.
fn serve_admin(listener: TcpListener, admin: web::Data<Admin>) -> io::Result<Server> {
    let server = HttpServer::new(move || {
        App::new()
            .app_data(admin.clone())
            .configure(crate::admin::configure)
    })
    .workers(1)
    .max_connections(100)
    .client_request_timeout(HEAD_TIMEOUT)
    .disable_signals()
    .listen(listener)?;
    Ok(server.run())
}

fn listen(key: &'static str, address: SocketAddr) -> Result<TcpListener, StartupError> {
    TcpListener::bind(address).map_err(|source| StartupError::Listen {
        key,
        address,
        source,
    })
}
