//! The services in the order of their dependencies.

use std::collections::BTreeMap;

use compose_file::Project;
use compose_file::model::{Condition, NetworkMode, Service, ServiceName};
use engine::state::Container;

/// Services so that each comes after those it depends on. The loader has refused cycles.
pub(crate) fn order(project: &Project) -> Vec<ServiceName> {
    fn visit(project: &Project, name: &ServiceName, sorted: &mut Vec<ServiceName>, depth: usize) {
        if sorted.contains(name) || depth > project.services.len() {
            return;
        }
        if let Some(service) = project.services.get(name) {
            for (dependency, _) in dependencies(service) {
                visit(project, &dependency, sorted, depth + 1);
            }
            sorted.push(name.clone());
            // Who waits for one of a replica set waits for all.
            let set = project.replica_set_of(name);
            for member in set.into_iter().flat_map(|set| &set.members) {
                visit(project, member, sorted, depth + 1);
            }
        }
    }
    let mut sorted = Vec::with_capacity(project.services.len());
    for name in project.services.keys() {
        visit(project, name, &mut sorted, 0);
    }
    sorted
}

/// What a service waits for before it starts.
pub(crate) fn dependencies(service: &Service) -> Vec<(ServiceName, Condition)> {
    let mut dependencies: Vec<(ServiceName, Condition)> = service
        .depends_on
        .iter()
        .map(|(name, it)| (name.clone(), it.condition))
        .collect();
    if let Some(NetworkMode::Service(host)) = &service.network_mode
        && !service.depends_on.contains_key(host)
    {
        dependencies.push((host.clone(), Condition::ServiceStarted));
    }
    dependencies
}

/// Containers that can go at the same time, in the order in which they do: what
/// depends on a service goes before it, and what the file doesn't know goes first.
pub(super) fn waves<'a>(
    project: &Project,
    containers: impl IntoIterator<Item = &'a Container>,
) -> Vec<Vec<&'a Container>> {
    let mut depth: BTreeMap<String, usize> = BTreeMap::new();
    for name in order(project) {
        let Some(service) = project.services.get(&name) else {
            continue;
        };
        let below = dependencies(service)
            .iter()
            .filter_map(|(dependency, _)| depth.get(dependency.as_str()))
            .max()
            .map_or(0, |depth| depth + 1);
        depth.insert(name.to_string(), below);
    }
    let mut waves: BTreeMap<usize, Vec<&Container>> = BTreeMap::new();
    for container in containers {
        let depth = depth.get(&container.service).copied().unwrap_or(usize::MAX);
        waves.entry(depth).or_default().push(container);
    }
    waves.into_values().rev().collect()
}
