//! Docker Swarm, through one of its managers: a stack's services and their tasks, the networks, secrets
//! and configs that they use, and the nodes that they run on.
//!
//! The engine schedules, updates, restarts and rolls back; nothing here does.

pub mod attachment;
pub mod here;
pub mod job;
pub mod lock;
pub mod node;
pub mod object;
pub mod settings;
pub mod spec;
pub mod stack;
pub mod task;

use bollard::models::LocalNodeState;

use crate::Engine;
use crate::error::{EngineContext, Error, Result};

/// So many times a change is tried when the managers change the same object meanwhile.
const UPDATES: u32 = 5;

/// The id of the node that the engine is, which is a manager.
///
/// # Errors
/// When it isn't.
pub async fn manager(engine: &Engine) -> Result<String> {
    let info = engine.docker().info().await;
    let info = info.doing(|| "ask whether the engine is a Swarm manager".into())?;
    let swarm = info.swarm.unwrap_or_default();
    match (swarm.node_id, swarm.local_node_state) {
        (Some(id), Some(LocalNodeState::ACTIVE)) if swarm.control_available == Some(true) => Ok(id),
        (_, Some(LocalNodeState::ACTIVE)) => Err(Error::failed(
            format!(
                "the engine at {} is a worker of its Swarm, and the file describes a stack for one",
                engine.address()
            ),
            "run this where a manager is (DOCKER_HOST), or make this node one: `docker node promote`",
        )),
        (_, Some(LocalNodeState::LOCKED)) => Err(Error::failed(
            format!("the engine at {} has its Swarm locked", engine.address()),
            "`docker swarm unlock`, then run again",
        )),
        _ => Err(Error::failed(
            format!(
                "the engine at {} is in no Swarm, and the file describes a stack for one (it has an overlay network)",
                engine.address()
            ),
            "`docker swarm init --advertise-addr ADDRESS`, and `docker swarm join` on the other nodes \
             (docs/swarm.md); for this machine alone, leave the Swarm's file out",
        )),
    }
}

/// The id of the node that the engine is; none: it is in no Swarm.
///
/// # Errors
/// When it doesn't answer.
pub async fn node_id(engine: &Engine) -> Result<Option<String>> {
    let info = engine.docker().info().await;
    let info = info.doing(|| "ask which node the engine is".into())?;
    Ok(info.swarm.and_then(|it| it.node_id))
}

/// Whether the engine can be asked for a Swarm's services.
///
/// # Errors
/// When it doesn't answer.
pub async fn is_manager(engine: &Engine) -> Result<bool> {
    let info = engine.docker().info().await;
    let info = info.doing(|| "ask whether the engine is a Swarm manager".into())?;
    Ok(info.swarm.and_then(|it| it.control_available) == Some(true))
}
