//! Putting the parts together, running them, and stopping them.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};

use mongodb::error::Error;
use service::sockets::{ListenError, listen_for};

use crate::metrics::{Admin, Metrics};
use crate::retention::Retention;
use crate::settings::Settings;
use crate::store::Store;
use crate::watch::{self, Board};

#[derive(Debug, thiserror::Error)]
pub enum StartupError {
    #[error("MongoDB client: {0}")]
    Store(#[from] Error),
    #[error(transparent)]
    Listen(#[from] ListenError),
}

/// The keeper, listening but not yet at work.
#[derive(Debug)]
pub struct Application {
    admin_listener: TcpListener,
    settings: Settings,
    store: Store,
}

impl Application {
    /// Opens the port. MongoDB may be away.
    pub async fn build(settings: Settings) -> Result<Self, StartupError> {
        Ok(Self {
            admin_listener: listen_for("KEEPER_ADMIN_LISTEN", settings.admin_listen, false)?,
            store: Store::new(&settings.mongo).await?,
            settings,
        })
    }

    /// Where health and metrics are.
    pub fn admin_address(&self) -> io::Result<SocketAddr> {
        self.admin_listener.local_addr()
    }

    /// Works until `stop` is done.
    pub async fn run_until_stopped(self, stop: impl Future<Output = ()>) -> io::Result<()> {
        tracing::info!(
            admin = %self.admin_address()?,
            retention = self.settings.retention.map(|it| tracing::field::display(humantime::format_duration(it))),
            max_size = self.settings.max_size,
            "ready"
        );
        let (metrics, board) = (Metrics::default(), Board::default());
        let admin = Admin::new(&self.settings, &metrics, &board);
        tokio::select! {
            ended = service::admin::serve(self.admin_listener, admin) => ended?,
            () = Retention::new(&self.settings, &self.store, &metrics).run() => {}
            () = watch::run(self.store.clone(), board, self.settings.interval) => {}
            () = stop => {}
        }
        tracing::info!("stopped");
        Ok(())
    }
}
