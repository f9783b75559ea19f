//! What the admin listener tells of the proxy, and the thread that runs it.

use std::{net::TcpListener, sync::Arc};

use async_trait::async_trait;
use pingora_core::{
    server::{ListenFds, ShutdownWatch},
    services::Service,
};
use prometheus_client::registry::Registry;
use service::admin::{Status, serve};
use tracing::error;

use crate::{
    accept::{Accepting, Holder},
    edge::{Edge, acme::Acme, certificates::Watch},
    settings::Settings,
    upstream::{Upstream, upkeep},
    worker::drain::Drain,
};

/// The service that runs what isn't about requests: admin, upkeep of the backends; on one thread.
pub(crate) struct Control {
    /// Where the admin endpoints are served; taken when the service starts.
    pub(crate) listener: Option<TcpListener>,
    /// Who holds the listening sockets, where it isn't this process.
    pub(crate) holder: Option<Holder>,
    /// Who gets certificates, where there are names to get them for.
    pub(crate) acme: Option<Acme>,
    /// What keeps the certificates up to date, where there are any.
    pub(crate) certificates: Option<Watch>,
    /// What they tell.
    pub(crate) state: Arc<State>,
    pub(crate) settings: Arc<Settings>,
}

/// What the endpoints tell.
pub(crate) struct State {
    pub(crate) upstream: Arc<Upstream>,
    /// Whether the process is stopping.
    pub(crate) drain: Arc<Drain>,
    /// Whether there are sockets to accept on.
    pub(crate) accepting: Accepting,
    /// What TLS needs, where it is spoken.
    pub(crate) edge: Option<Arc<Edge>>,
    pub(crate) registry: Registry,
}

#[async_trait]
impl Service for Control {
    async fn start_service(&mut self, _: Option<ListenFds>, _: ShutdownWatch, _: usize) {
        let upstream = &self.state.upstream;
        if let Some(holder) = self.holder.take() {
            tokio::spawn(holder.run());
        }
        if let Some(acme) = self.acme.take()
            && let Err(error) = acme.start()
        {
            error!(%error, "no thread for orders of certificates");
        }
        if let Some(certificates) = self.certificates.take() {
            tokio::spawn(certificates.run());
        }
        tokio::spawn(upkeep::run(
            Arc::clone(upstream),
            Arc::clone(&self.settings),
        ));
        if let Some(listener) = self.listener.take()
            && let Err(error) = serve(listener, Arc::clone(&self.state)).await
        {
            error!(%error, "admin listener can't be served");
        }
    }

    fn name(&self) -> &'static str {
        "control"
    }

    fn threads(&self) -> Option<usize> {
        Some(1)
    }
}

impl Status for State {
    /// Whether clients get here: a container that they can't reach must not pass for one that may
    /// replace another. Whoever looks is told why not: most often the holder of the sockets is gone, or
    /// isn't where it is looked for.
    async fn alive(&self) -> Result<(), String> {
        let accepting = self.accepting.now();
        accepting.map_err(|reason| format!("no listening sockets: PROXY_LISTEN_FROM = {reason}"))
    }

    async fn ready(&self) -> Result<(), String> {
        if self.drain.has_started() {
            return Err("draining".to_owned());
        }
        self.alive().await?;
        if let Some(edge) = &self.edge {
            edge.ready()?;
        }
        if self.upstream.backends().is_empty() {
            return Err("upstream has no address".to_owned());
        }
        if !self.upstream.is_available() {
            return Err("no backend can be reached".to_owned());
        }
        Ok(())
    }

    fn registry(&self) -> &Registry {
        &self.registry
    }
}
