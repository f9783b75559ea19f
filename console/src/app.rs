//! Putting the parts together, running them, and stopping them.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use actix_web::{App, HttpServer, web};
use mongodb::error::Error;
use service::sockets::ListenError;

use crate::live::Live;
use crate::settings::Settings;
use crate::stack::Stack;
use crate::store::Store;
use crate::{access, api, pages};

/// Threads that serve HTTP: one may be busy with a large page while the other answers.
const WORKERS: usize = 2;

#[derive(Debug, thiserror::Error)]
pub enum StartupError {
    #[error("MongoDB client: {0}")]
    Store(#[from] Error),
    #[error(transparent)]
    Listen(#[from] ListenError),
}

/// What every handler has: `web::Data<Console>`.
#[derive(Debug)]
pub struct Console {
    pub settings: Settings,
    pub store: Store,
    pub live: Live,
    pub stack: Stack,
}

/// The console, listening but not yet serving.
#[derive(Debug)]
pub struct Application {
    listener: TcpListener,
    console: web::Data<Console>,
}

impl Application {
    /// Opens the ports. MongoDB and the other parts may be away.
    pub async fn build(settings: Settings) -> Result<Self, StartupError> {
        let listener = listen("CONSOLE_LISTEN", settings.listen)?;
        let store = Store::new(&settings.mongo, settings.query_timeout).await?;
        let live = Live::new(store.clone());
        let stack = Stack::new(&settings);
        let console = Console {
            settings,
            store,
            live,
            stack,
        };
        Ok(Self {
            listener,
            console: web::Data::from(Arc::new(console)),
        })
    }

    /// Where the pages are.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop` is done.
    pub async fn run_until_stopped(self, stop: impl Future<Output = ()>) -> io::Result<()> {
        tracing::info!(listen = %self.address()?, "ready");
        let console = self.console.clone();
        let server = HttpServer::new(move || {
            App::new()
                .app_data(console.clone())
                .wrap(actix_web::middleware::from_fn(access::guard))
                .configure(access::configure)
                .configure(api::configure)
                .configure(pages::configure)
        })
        .workers(WORKERS)
        .disable_signals()
        // Who has gone needs no answer: its streams and its queries end.
        .h1_allow_half_closed(false)
        .listen(self.listener)?
        .run();
        let handle = server.handle();
        let mut serving = tokio::spawn(server);
        tokio::select! {
            ended = &mut serving => return ended.map_err(io::Error::other)?,
            () = stop => {}
        }
        self.console.live.close();
        handle.stop(true).await;
        serving.await.map_err(io::Error::other)?
    }
}

fn listen(key: &'static str, address: SocketAddr) -> Result<TcpListener, ListenError> {
    let listening = service::sockets::listen(address, false);
    let listening = listening.map_err(|error| ListenError {
        key,
        address,
        error,
    });
    Ok(listening?.into())
}
