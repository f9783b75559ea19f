//! Putting the parts together, running them, and stopping them.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer, web};
use mongodb::error::Error;
use service::sockets::{ListenError, listen_for};

use crate::access::{Access, gateway};
use crate::live::Live;
use crate::observe::{self, Admin, Metrics};
use crate::replies::Replies;
use crate::settings::{Clients, Settings};
use crate::stack::Stack;
use crate::store::Store;
use crate::{access, api, pages, replies};

/// Threads that serve HTTP: one may be busy with a large page while the other answers.
const WORKERS: usize = 2;

/// Of each worker; more wait until one ends. The heads of all together have to fit the memory: 128 KiB of
/// each at most. Each that follows what is recorded holds one.
const CONNECTIONS: usize = 256;

/// Until a request's head is there, and between one and the next.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// How long answers may go on when it is told to stop. Those that follow never end by themselves.
const SHUTDOWN_SECONDS: u64 = 3;

#[derive(Debug, thiserror::Error)]
pub enum StartupError {
    #[error("MongoDB client: {0}")]
    Store(#[from] Error),
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error("CONSOLE_CLIENTS = gateway: {0}; with any, everybody may connect")]
    Gateway(io::Error),
}

/// What every handler has: `web::Data<Console>`.
#[derive(Debug)]
pub struct Console {
    pub access: Access,
    pub store: Store,
    pub live: Live,
    pub stack: Stack,
    pub metrics: Metrics,
    pub replies: Replies,
}

/// The console, listening but not yet serving.
#[derive(Debug)]
pub struct Application {
    listeners: Vec<TcpListener>,
    admin_listener: TcpListener,
    console: web::Data<Console>,
}

impl Application {
    /// Opens the ports. MongoDB and the other parts may be away.
    pub async fn build(settings: Settings) -> Result<Self, StartupError> {
        let clients = match settings.clients {
            Clients::Gateway => gateway::Clients::of_gateways().map_err(StartupError::Gateway)?,
            Clients::Any => gateway::Clients::All,
        };
        let listeners = clients.addresses(settings.listen).into_iter();
        let listeners: Vec<_> = listeners
            .map(|address| listen_for("CONSOLE_LISTEN", address, false))
            .collect::<Result<_, _>>()?;
        let admin_listener = listen_for("CONSOLE_ADMIN_LISTEN", settings.admin_listen, false)?;
        let metrics = Metrics::default();
        let store = Store::new(&settings.mongo, settings.query_timeout).await?;
        let live = Live::new(store.clone());
        let stack = Stack::start(&settings, &store, &metrics);
        let console = Console {
            access: Access::new(&settings, clients),
            store,
            live,
            stack,
            metrics,
            replies: Replies::default(),
        };
        Ok(Self {
            listeners,
            admin_listener,
            console: web::Data::from(Arc::new(console)),
        })
    }

    /// Where the pages are.
    pub fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.listeners.iter().map(TcpListener::local_addr).collect()
    }

    /// Where health and metrics are.
    pub fn admin_address(&self) -> io::Result<SocketAddr> {
        self.admin_listener.local_addr()
    }

    /// Serves until `stop` is done.
    pub async fn run_until_stopped(self, stop: impl Future<Output = ()>) -> io::Result<()> {
        tracing::info!(listen = ?self.addresses()?, admin = %self.admin_address()?, "ready");
        let console = self.console.clone();
        let admin = Arc::new(Admin::of(&console));
        let server = HttpServer::new(move || {
            App::new()
                .app_data(console.clone())
                .wrap(from_fn(replies::bound))
                .wrap(from_fn(access::guard))
                .wrap(from_fn(observe::count))
                .configure(access::configure)
                .configure(api::configure)
                .configure(pages::configure)
        })
        .workers(WORKERS)
        .max_connections(CONNECTIONS)
        .client_request_timeout(REQUEST_TIMEOUT)
        .keep_alive(KEEP_ALIVE)
        .shutdown_timeout(SHUTDOWN_SECONDS)
        // What a client waits for is given up when it goes, and not when it could be sent to it.
        .h1_allow_half_closed(false)
        .disable_signals();
        let mut listeners = self.listeners.into_iter();
        let server = listeners.try_fold(server, HttpServer::listen)?.run();
        let handle = server.handle();
        let mut serving = tokio::spawn(server);
        let admin = service::admin::serve(self.admin_listener, admin);
        tokio::select! {
            ended = &mut serving => return ended.map_err(io::Error::other)?,
            ended = admin => return ended,
            () = stop => {}
        }
        self.console.live.close();
        handle.stop(true).await;
        serving.await.map_err(io::Error::other)?
    }
}
