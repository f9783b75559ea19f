//! What a lesson needs of the engine, and why this engine can't serve it.

use engine::Engine;
use engine::api::{NetworkInspect, SystemInfo};
use engine::error::{EngineContext, Result};
use serde::Serialize;

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
    /// Containers may be machines with an engine of their own, with all that takes.
    Machines,
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
    /// Whether it has the default bridge network.
    pub default_bridge: bool,
    /// Whether containers on the default bridge may talk to each other.
    pub inter_container: bool,
}

impl Facts {
    /// Asks the engine.
    pub async fn ask(engine: &Engine) -> Result<Self> {
        let info = engine
            .info()
            .await
            .doing(|| "ask the engine what it is".into())?;
        let bridge = engine.inspect_network(DEFAULT_BRIDGE).await.ok();
        Ok(Self::from_engine(info, bridge.as_ref()))
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
            Need::Machines if self.rootless => Some(
                "the engine is rootless, and gives no container what another engine in it needs".into(),
            ),
            Need::Machines if !allow_swarm => Some(
                "it takes two machines, which are containers with all rights of root, so they aren't made \
                 unasked: `make lab SWARM=1` teaches it on an engine of its own, and `deploy lab run \
                 --allow-swarm overlay` makes them on this one"
                    .into(),
            ),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
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
    fn an_ordinary_engine_serves_all_but_machines_unasked() {
        let every = [Need::DefaultBridge, Need::InterContainer, Need::OwnHost];
        assert_eq!(plain().reason_to_skip(&every, false), None);
        let reason = plain().reason_to_skip(&[Need::Machines], false).unwrap();
        assert!(reason.contains("--allow-swarm"));
        assert_eq!(plain().reason_to_skip(&[Need::Machines], true), None);
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
        assert!(reason(&facts, Need::Machines).contains("rootless"));
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
}
