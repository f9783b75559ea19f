//! What an engine can't do though it speaks the API.

use bollard::models::SystemInfoCgroupDriverEnum as CgroupDriver;

use crate::compose::Project;
use crate::compose::model::Condition;
use crate::engine::Engine;
use crate::error::{EngineContext, Result};

/// Podman has systemd run its health checks. Without it none ever runs, and whoever waits for
/// `service_healthy` would wait for ever.
pub(super) async fn check(
    engine: &Engine,
    project: &Project,
    conflicts: &mut Vec<String>,
) -> Result<()> {
    let waiting: Vec<String> = project
        .services
        .iter()
        .flat_map(|(name, service)| {
            let healthy = service
                .depends_on
                .iter()
                .filter(|(_, it)| it.condition == Condition::ServiceHealthy);
            healthy.map(move |(dependency, _)| format!("{name} for {dependency}"))
        })
        .collect();
    if waiting.is_empty() {
        return Ok(());
    }
    let version = engine
        .docker()
        .version()
        .await
        .doing(|| "ask the engine's version".into())?;
    let components = version.components.into_iter().flatten();
    let Some(podman) = components
        .map(|it| format!("{} {}", it.name, it.version))
        .find(|it| it.contains("Podman"))
    else {
        return Ok(());
    };
    let info = engine
        .docker()
        .info()
        .await
        .doing(|| "ask what the engine can do".into())?;
    if info.cgroup_driver != Some(CgroupDriver::SYSTEMD) {
        conflicts.push(format!(
            "{podman} without systemd runs no health checks, and services wait for them ({}). Run it \
             where systemd runs, or use Docker's engine",
            waiting.join(", ")
        ));
    }
    Ok(())
}
