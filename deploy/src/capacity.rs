//! How many containers of a service there may be: what only one of them can have, and the memory
//! that all of them may take.

use std::fmt::Display;

use compose_file::Project;
use compose_file::model::{Mount, Service, ServiceName};
use engine::Engine;
use engine::error::{EngineContext, Error, Result};
use engine::state::State;

/// Refuses a second container where there can only be one: `name` is to have `count`. Several that
/// write to one place can be forced.
///
/// # Errors
/// Of usage; it says what stands in the way.
pub(crate) fn check_count(name: &str, service: &Service, count: u32, force: bool) -> Result<()> {
    if count < 2 {
        return Ok(());
    }
    let (obstacle, next) = if let Some(port) = service.ports.iter().find_map(|it| it.published) {
        let obstacle = format!("publishes host port {port}, which one container can hold");
        (
            obstacle,
            "remove that from the service, or put a proxy in front of it",
        )
    } else if let Some(name) = &service.container_name {
        let obstacle = format!("has the fixed container_name {name}");
        (obstacle, "remove that from the service")
    } else if let Some(network) = fixed_address(service) {
        let obstacle = format!("has a fixed address on {network}");
        (obstacle, "remove that from the service")
    } else if let Some(mount) = service.shared_places().next().filter(|_| !force) {
        let obstacle = format!("writes to {}, and {DESTRUCTIVE}", place(mount));
        (obstacle, MADE_TO_SHARE)
    } else {
        return Ok(());
    };
    Err(Error::usage(
        format!("can't run {count} containers of {name}: it {obstacle}"),
        next,
    ))
}

const DESTRUCTIVE: &str = "two that write to one place may destroy what is there";
const MADE_TO_SHARE: &str =
    "mount it read-only, or say --force if its containers are made to share it";

fn fixed_address(service: &Service) -> Option<impl Display> {
    let mut attachments = service.networks.iter();
    attachments
        .find(|(_, it)| it.ipv4_address.is_some() || it.ipv6_address.is_some())
        .map(|(network, _)| network)
}

fn place(mount: &Mount) -> String {
    match mount {
        Mount::Volume {
            source: Some(key), ..
        } => format!("volume {key}"),
        Mount::Bind { source, .. } => format!("{} of the host", source.display()),
        _ => mount.target().to_owned(),
    }
}

/// What to tell of services that are given another container which writes where one does already.
pub(crate) fn contended<'a>(
    project: &'a Project,
    growing: impl Iterator<Item = &'a ServiceName>,
) -> impl Iterator<Item = String> {
    growing.filter_map(|it| {
        let (line, sharing) = several_writers(project, it)?;
        Some(format!("{line}{sharing}: {DESTRUCTIVE}; {MADE_TO_SHARE}"))
    })
}

/// A note for each service whose containers were let write to one place.
pub(crate) fn sharing<'a>(
    project: &Project,
    steady: impl Iterator<Item = &'a ServiceName>,
) -> Vec<String> {
    let sharing = steady.filter_map(|it| several_writers(project, it));
    sharing
        .map(|(line, sharing)| {
            format!("{line}{sharing} at once; most databases destroy their data that way")
        })
        .collect()
}

/// Where in the file it is said, if it is; and which containers write to which place.
fn several_writers(project: &Project, name: &ServiceName) -> Option<(String, String)> {
    let service = project.services.get(name)?;
    let count = service.deploy.replicas;
    let mount = service.shared_places().next().filter(|_| count > 1)?;
    let at = project.shared_places.get(name);
    let line = at.map(|at| format!("{}: ", project.place(*at)));
    let sharing = format!(
        "services.{name}: {count} containers write to {}",
        place(mount)
    );
    Some((line.unwrap_or_default(), sharing))
}

/// What to tell where the memory limits of all containers are more than the engine's machine has.
///
/// # Errors
/// When the engine doesn't say how much it has.
pub(crate) async fn lack(
    engine: &Engine,
    project: &Project,
    state: &State,
    only: Option<&[ServiceName]>,
) -> Result<Option<String>> {
    let info = engine
        .info()
        .await
        .doing(|| "ask how much memory the engine's machine has".into())?;
    let memory = info.mem_total.and_then(|bytes| u64::try_from(bytes).ok());
    let excess = memory.and_then(|memory| excess(project, state, only, memory));
    Ok(excess.map(|excess| {
        format!(
            "{excess}. Run fewer containers, lower deploy.resources.limits.memory, or say --force if \
             they never need all of it at once"
        )
    }))
}

/// The sum of all limits, if it is more than `memory` bytes and a number of containers is to blame:
/// where the file has one of each, it says itself what they may take.
fn excess(
    project: &Project,
    state: &State,
    only: Option<&[ServiceName]>,
    memory: u64,
) -> Option<String> {
    let limits: Vec<(&ServiceName, u64, u64)> = project
        .services
        .iter()
        .filter_map(|(name, service)| {
            let limit = service.deploy.resources.limits.memory?;
            // What isn't touched may have been scaled before.
            let count = if only.is_none_or(|only| only.contains(name)) {
                u64::from(service.deploy.replicas)
            } else {
                state.of_service(name).count() as u64
            };
            (count > 0).then_some((name, count, limit))
        })
        .collect();
    let sum = limits.iter().fold(0_u64, |sum, (_, count, limit)| {
        sum.saturating_add(count.saturating_mul(*limit))
    });
    if sum <= memory || limits.iter().all(|(_, count, _)| *count == 1) {
        return None;
    }
    let terms: Vec<String> = limits
        .iter()
        .map(|(name, count, limit)| format!("{name} {count} × {}", size(*limit)))
        .collect();
    Some(format!(
        "the containers' memory limits don't fit the engine's machine: {} = {}, and it has {}",
        terms.join(" + "),
        size(sum),
        size(memory)
    ))
}

/// For people: `256 MiB`, `1.5 GiB`.
fn size(bytes: u64) -> String {
    const MIB: u64 = 1 << 20;
    if bytes < 1024 * MIB {
        return format!("{} MiB", bytes.div_ceil(MIB));
    }
    let tenths = bytes.saturating_mul(10) / (1024 * MIB);
    match tenths % 10 {
        0 => format!("{} GiB", tenths / 10),
        tenth => format!("{}.{tenth} GiB", tenths / 10),
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use compose_file::{self, LoadOptions};

    fn project(services: &str) -> Project {
        let options = LoadOptions {
            files: vec!["compose.yaml".into()],
            project_name: Some("test".to_owned()),
            ..LoadOptions::default()
        };
        let text = format!("services:\n{services}\nvolumes: {{data: }}\n");
        compose_file::load_text(&options, &text).expect("a valid file")
    }

    const TWO: &str = "
  api: {image: app, deploy: {replicas: 2, resources: {limits: {memory: 256M}}}}
  db: {image: app, deploy: {resources: {limits: {memory: 2560M}}}}
  free: {image: app, deploy: {replicas: 9}}";

    #[test]
    fn the_sum_counts_every_container_with_a_limit() {
        let (project, state) = (project(TWO), State::default());
        let fits = 3072 << 20;
        assert_eq!(excess(&project, &state, None, fits), None);
        let said = excess(&project, &state, None, fits - 1).expect("too much");
        assert!(
            said.contains("api 2 × 256 MiB + db 1 × 2.5 GiB = 3 GiB, and it has 2.9 GiB"),
            "{said}"
        );
        // Of what isn't touched, as many count as there are.
        let only: Vec<_> = project.services.keys().take(1).cloned().collect();
        assert_eq!(excess(&project, &state, Some(&only), 512 << 20), None);
    }

    #[test]
    fn one_of_each_is_what_the_file_asks_for() {
        let one = project(&TWO.replace("replicas: 2, ", ""));
        assert_eq!(excess(&one, &State::default(), None, 1), None);
    }

    #[test]
    fn a_second_container_needs_everything_for_itself() {
        let refused = |settings: &str, count| {
            let project = project(&format!("  it: {{image: app, {settings}}}"));
            let service = &project.services["it"];
            check_count("it", service, count, false)
                .err()
                .map(|it| it.message)
        };
        for (settings, obstacle) in [
            ("volumes: ['data:/data']", "writes to volume data"),
            ("volumes: ['/srv:/data']", "writes to /srv of the host"),
            ("ports: ['80:80']", "publishes host port 80"),
            ("container_name: me", "has the fixed container_name me"),
        ] {
            assert_eq!(refused(settings, 1), None);
            let said = refused(settings, 2).expect(settings);
            assert!(said.contains(obstacle), "{said}");
        }
        for settings in ["volumes: ['data:/data:ro', '/data2']", "ports: ['80']"] {
            assert_eq!(refused(settings, 3), None, "{settings}");
        }
    }
}
