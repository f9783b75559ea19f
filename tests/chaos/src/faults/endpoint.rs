//! A container loses its endpoint on a network, and gets a new one at the end.

use async_trait::async_trait;
use engine::api::{EndpointSettings, NetworkConnectRequest, NetworkDisconnectRequest};
use engine::error::{EngineContext, Result};
use engine::state::Container;

use super::Injection;
use crate::load::Load;
use crate::stack::{Service, Stack};

/// `docker network disconnect`, and `connect` with the same aliases at the end. Its connections
/// don't break: their packets vanish.
#[derive(Debug)]
pub(super) struct Disconnect {
    stack: Stack,
    victim: Container,
    network: &'static str,
    /// The names that the endpoint answered to, while it is gone.
    aliases: Option<Vec<String>>,
}

impl Disconnect {
    pub(super) async fn new(
        stack: Stack,
        service: Service,
        network: &'static str,
        pick: u64,
    ) -> Result<Self> {
        let victim = stack.victim(service, pick).await?;
        Ok(Self {
            stack,
            victim,
            network,
            aliases: None,
        })
    }
}

#[async_trait]
impl Injection for Disconnect {
    fn victim(&self) -> String {
        self.victim.name.clone()
    }

    async fn inject(&mut self, _: &Load) -> Result<()> {
        let container = self.stack.inspect(&self.victim.id).await?;
        let aliases = container
            .network_settings
            .and_then(|settings| settings.networks?.remove(self.network)?.aliases)
            .unwrap_or_default();
        // The engine adds the container's short id by itself, and refuses nothing about it.
        let request = NetworkDisconnectRequest {
            container: self.victim.id.clone(),
            force: Some(false),
        };
        self.stack
            .engine()
            .disconnect_network(self.network, request)
            .await
            .doing(|| format!("disconnect {} from {}", self.victim.name, self.network))?;
        self.aliases = Some(aliases);
        Ok(())
    }

    async fn heal(&mut self) -> Result<()> {
        let Some(aliases) = self.aliases.take() else {
            return Ok(());
        };
        let request = NetworkConnectRequest {
            container: self.victim.id.clone(),
            endpoint_config: Some(EndpointSettings {
                aliases: Some(aliases),
                ..EndpointSettings::default()
            }),
        };
        self.stack
            .engine()
            .connect_network(self.network, request)
            .await
            .doing(|| format!("connect {} to {}", self.victim.name, self.network))
    }
}
