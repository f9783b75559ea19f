//! Puts an engine into a swarm of its own for the overlay lesson, and takes it out
//! again. The swarm bears the run's label, so that a run that was killed leaves a
//! mark by which the next one knows that the swarm isn't anybody else's.

use std::collections::HashMap;

use bollard::Docker;
use bollard::models::{LocalNodeState, SwarmInfo, SwarmInitRequest, SwarmSpec};
use bollard::query_parameters::{InspectNetworkOptions, LeaveSwarmOptionsBuilder};
use engine::error::{EngineContext, Result};

use super::labels;

/// The bridge through which containers on overlay networks reach the outside. The
/// engine makes it with the swarm and keeps it when it leaves.
pub(super) const GATEWAY_BRIDGE: &str = "docker_gwbridge";

/// Makes a swarm of this engine alone, which listens on the loopback address only.
/// Does nothing where it is in a swarm already.
pub(super) async fn join(docker: &Docker, run: &str) -> Result<()> {
    if state(docker).await?.local_node_state == Some(LocalNodeState::ACTIVE) {
        return Ok(());
    }
    let bridge = docker
        .inspect_network(GATEWAY_BRIDGE, None::<InspectNetworkOptions>)
        .await;
    let mut marks = HashMap::from([(labels::RUN.to_owned(), run.to_owned())]);
    if bridge.is_err() {
        marks.insert(labels::GATEWAY_BRIDGE.to_owned(), "new".to_owned());
    }
    let request = SwarmInitRequest {
        listen_addr: Some("127.0.0.1:2377".to_owned()),
        advertise_addr: Some("127.0.0.1".to_owned()),
        spec: Some(SwarmSpec {
            name: Some("default".to_owned()),
            labels: Some(marks),
            ..SwarmSpec::default()
        }),
        ..SwarmInitRequest::default()
    };
    docker
        .init_swarm(request)
        .await
        .doing(|| "make a swarm".into())
        .map(drop)
}

/// The run that put this engine into its swarm, if one of ours did.
pub(super) async fn made_by(docker: &Docker) -> Result<Option<String>> {
    Ok(marks(docker).await?.remove(labels::RUN))
}

/// Takes the engine out of the swarm that `run` made, and out of no other.
pub(super) async fn leave_if_made_by(docker: &Docker, run: &str) -> Result<()> {
    let marks = marks(docker).await?;
    if marks.get(labels::RUN).is_none_or(|maker| maker != run) {
        return Ok(());
    }
    let options = LeaveSwarmOptionsBuilder::default().force(true).build();
    docker
        .leave_swarm(Some(options))
        .await
        .doing(|| "leave the lab's swarm".into())?;
    if marks.contains_key(labels::GATEWAY_BRIDGE) {
        docker
            .remove_network(GATEWAY_BRIDGE)
            .await
            .doing(|| format!("remove the network {GATEWAY_BRIDGE}"))?;
    }
    Ok(())
}

/// The labels of the swarm that the engine manages; none outside of one.
async fn marks(docker: &Docker) -> Result<HashMap<String, String>> {
    let state = state(docker).await?;
    let active = state.local_node_state == Some(LocalNodeState::ACTIVE);
    if !active || state.control_available != Some(true) {
        return Ok(HashMap::new());
    }
    let swarm = docker
        .inspect_swarm()
        .await
        .doing(|| "inspect the swarm".into())?;
    Ok(swarm.spec.and_then(|spec| spec.labels).unwrap_or_default())
}

async fn state(docker: &Docker) -> Result<SwarmInfo> {
    let info = docker
        .info()
        .await
        .doing(|| "ask the engine about its swarm".into())?;
    Ok(info.swarm.unwrap_or_default())
}
