//! What a lesson needs of the engine, and why this engine can't serve it.

use bollard::Docker;
use bollard::models::{ContainerSummary, LocalNodeState, NetworkInspect, SystemInfo};
use bollard::query_parameters::{InspectNetworkOptions, ListContainersOptions};
use engine::error::{EngineContext, Result};
use serde::Serialize;

use super::labels;

/// The name of the network a container joins when none is asked for.
pub(super) const DEFAULT_BRIDGE: &str = "bridge";

/// Something that not every engine offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// The default bridge network exists; `"bridge": "none"` in `daemon.json` removes it.
    DefaultBridge,
    /// Containers on the default bridge may talk to each other (`icc`).
    InterContainer,
    /// What the engine calls its host is the machine itself: not a network namespace
    /// within it (rootless), nor a virtual machine (Docker Desktop).
    OwnHost,
    /// The engine is in a swarm, or may be put into one for a moment.
    Swarm,
}

/// The engine's circumstances, asked once per run.
#[derive(Debug, Clone, Serialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts, not states"
)]
pub struct Facts {
    /// The engine's version, `20.10.24`.
    pub version: String,
    /// The operating system it runs on, as it says: `Debian GNU/Linux 12`, `Docker Desktop`.
    pub system: String,
    /// Whether its containers are Linux containers.
    pub linux: bool,
    /// Whether it runs without root (`RootlessKit`).
    pub rootless: bool,
    /// Whether it runs in a virtual machine that Docker Desktop manages.
    pub desktop: bool,
    /// Whether it is in a swarm at present.
    pub swarm: bool,
    /// A running container of somebody else's on a user-defined network, if there is one. An
    /// engine that leaves a swarm stops to answer such containers' DNS until they are restarted
    /// (seen with 20.10), so the lab makes no swarm beside them.
    pub bystander: Option<String>,
    /// Whether it has the default bridge network.
    pub default_bridge: bool,
    /// Whether containers on the default bridge may talk to each other.
    pub inter_container: bool,
}

impl Facts {
    /// Asks the engine.
    pub async fn ask(docker: &Docker) -> Result<Self> {
        let info = docker
            .info()
            .await
            .doing(|| "ask the engine what it is".into())?;
        let bridge = docker
            .inspect_network(DEFAULT_BRIDGE, None::<InspectNetworkOptions>)
            .await
            .ok();
        let running = docker
            .list_containers(None::<ListContainersOptions>)
            .await
            .doing(|| "list the running containers".into())?;
        Ok(Self {
            bystander: running.into_iter().find_map(bystander),
            ..Self::from_engine(info, bridge.as_ref())
        })
    }

    fn from_engine(info: SystemInfo, bridge: Option<&NetworkInspect>) -> Self {
        let system = info.operating_system.unwrap_or_default();
        let icc = bridge
            .and_then(|network| network.options.as_ref())
            .and_then(|options| options.get("com.docker.network.bridge.enable_icc"));
        Self {
            version: info.server_version.unwrap_or_default(),
            linux: info.os_type.as_deref() == Some("linux"),
            rootless: info
                .security_options
                .iter()
                .flatten()
                .any(|option| option.split(',').any(|part| part == "name=rootless")),
            desktop: system == "Docker Desktop",
            swarm: info
                .swarm
                .and_then(|swarm| swarm.local_node_state)
                .is_some_and(|state| state == LocalNodeState::ACTIVE),
            bystander: None,
            default_bridge: bridge.is_some(),
            inter_container: icc.is_none_or(|value| value == "true"),
            system,
        }
    }

    /// Why a lesson with these needs can't be taught here, if so.
    pub fn reason_to_skip(&self, needs: &[Need], allow_swarm: bool) -> Option<String> {
        if !self.linux {
            return Some("the engine runs Windows containers; the lessons look at Linux".into());
        }
        needs.iter().find_map(|need| match need {
            Need::DefaultBridge if !self.default_bridge => Some(
                "the engine has no default bridge network (\"bridge\": \"none\" in daemon.json)"
                    .into(),
            ),
            Need::InterContainer if !self.inter_container => Some(
                "the engine keeps containers on the default bridge apart (\"icc\": false in \
                 daemon.json)"
                    .into(),
            ),
            Need::OwnHost if self.rootless => Some(
                "the engine is rootless: what it calls the host is RootlessKit's own network \
                 namespace, not the machine"
                    .into(),
            ),
            Need::OwnHost if self.desktop => Some(
                "the engine runs in Docker Desktop's virtual machine: ports and interfaces of the \
                 machine in front of you are not those of the engine's host"
                    .into(),
            ),
            Need::Swarm if !self.swarm && self.rootless => {
                Some("a rootless engine has no overlay networks".into())
            }
            Need::Swarm if !self.swarm && !allow_swarm => Some(
                "the engine is not in a swarm, and making one changes the whole engine, so it isn't \
                 done unasked: `make lab SWARM=1` teaches it on an engine of its own, and `deploy \
                 lab run --allow-swarm overlay` makes a swarm of this one and leaves it again"
                    .into(),
            ),
            Need::Swarm if !self.swarm => self.bystander.as_ref().map(|name| {
                format!(
                    "container {name} runs on a user-defined network; making and leaving a swarm \
                     would cut it off from DNS until it is restarted: stop it first, or have \
                     `make lab SWARM=1` teach it on an engine of its own"
                )
            }),
            _ => None,
        })
    }
}

/// The name of a running container that isn't the lab's and is on a user-defined network.
fn bystander(container: ContainerSummary) -> Option<String> {
    let ours = container
        .labels
        .is_some_and(|labels| labels.contains_key(labels::RUN));
    let networks = container.network_settings?.networks?;
    let user_defined = networks
        .keys()
        .any(|network| !matches!(network.as_str(), "bridge" | "host" | "none"));
    let name = container.names?.into_iter().next()?;
    (user_defined && !ours).then(|| name.trim_start_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use bollard::models::SwarmInfo;

    use super::*;

    fn plain() -> Facts {
        let info = SystemInfo {
            os_type: Some("linux".into()),
            server_version: Some("20.10.24".into()),
            ..SystemInfo::default()
        };
        Facts::from_engine(info, Some(&NetworkInspect::default()))
    }

    #[test]
    fn an_ordinary_engine_serves_all_but_the_swarm() {
        let every = [Need::DefaultBridge, Need::InterContainer, Need::OwnHost];
        assert_eq!(plain().reason_to_skip(&every, false), None);
        assert!(
            plain()
                .reason_to_skip(&[Need::Swarm], false)
                .unwrap()
                .contains("--allow-swarm")
        );
        assert_eq!(plain().reason_to_skip(&[Need::Swarm], true), None);
        let beside_a_stack = Facts {
            bystander: Some("causeway-api-1".into()),
            ..plain()
        };
        let reason = beside_a_stack.reason_to_skip(&[Need::Swarm], true).unwrap();
        assert!(reason.contains("causeway-api-1"));
    }

    #[test]
    fn each_obstacle_is_named() {
        let info = SystemInfo {
            os_type: Some("linux".into()),
            security_options: Some(vec![
                "name=seccomp,profile=default".into(),
                "name=rootless".into(),
            ]),
            ..SystemInfo::default()
        };
        let options = [(
            "com.docker.network.bridge.enable_icc".to_owned(),
            "false".to_owned(),
        )];
        let bridge = NetworkInspect {
            options: Some(options.into()),
            ..NetworkInspect::default()
        };
        let facts = Facts::from_engine(info.clone(), Some(&bridge));
        let reason = |facts: &Facts, need| facts.reason_to_skip(&[need], true).unwrap();
        assert!(reason(&facts, Need::OwnHost).contains("rootless"));
        assert!(reason(&facts, Need::Swarm).contains("rootless"));
        assert!(reason(&facts, Need::InterContainer).contains("icc"));
        let desktop = SystemInfo {
            operating_system: Some("Docker Desktop".into()),
            security_options: None,
            ..info.clone()
        };
        let facts = Facts::from_engine(desktop, None);
        assert!(reason(&facts, Need::OwnHost).contains("virtual machine"));
        let facts = Facts::from_engine(info, None);
        assert!(reason(&facts, Need::DefaultBridge).contains("daemon.json"));
        let facts = Facts::from_engine(SystemInfo::default(), None);
        assert!(facts.reason_to_skip(&[], true).unwrap().contains("Windows"));
    }

    #[test]
    fn a_swarm_member_needs_no_permission() {
        let info = SystemInfo {
            os_type: Some("linux".into()),
            swarm: Some(SwarmInfo {
                local_node_state: Some(LocalNodeState::ACTIVE),
                ..SwarmInfo::default()
            }),
            ..SystemInfo::default()
        };
        let facts = Facts::from_engine(info, None);
        assert_eq!(facts.reason_to_skip(&[Need::Swarm], false), None);
    }
}
