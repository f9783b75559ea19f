//! A running container, as the engine describes it and as the kernel shows its processes.

use std::collections::{BTreeMap, BTreeSet};

use procfs::process::Process;
use serde_json::Value;

use crate::stack::Stack;

/// One container of the stack.
pub(crate) struct Container {
    /// The service in `compose.yaml` that it belongs to.
    pub(crate) service: String,
    pub(crate) id: String,
    /// What `docker inspect` says.
    pub(crate) settings: Value,
}

impl Container {
    /// Every container of the stack, whatever its service.
    pub(crate) fn all(stack: &Stack) -> Vec<Self> {
        let ids = stack.container_ids();
        let mut arguments = vec!["inspect"];
        arguments.extend(ids.lines());
        let described: Vec<Value> = serde_json::from_str(&stack.docker(&arguments)).unwrap();
        described
            .into_iter()
            .map(|settings| Self {
                service: text(&settings["Config"]["Labels"]["com.docker.compose.service"]),
                id: text(&settings["Id"]),
                settings,
            })
            .collect()
    }

    /// Its processes, by their numbers on the host; the first is the one that the engine started.
    pub(crate) fn processes(&self, stack: &Stack) -> Vec<Process> {
        let first = self.settings["State"]["Pid"].as_i64().unwrap();
        let table = stack.docker(&["top", &self.id, "-eo", "pid"]);
        let mut pids: Vec<i32> = table
            .lines()
            .filter_map(|line| line.trim().parse().ok())
            .collect();
        pids.sort_by_key(|pid| (i64::from(*pid) != first, *pid));
        assert_eq!(
            pids.first().copied().map(i64::from),
            Some(first),
            "{}: {table}",
            self.service
        );
        // One may have ended since: a health check, say.
        pids.into_iter()
            .filter_map(|pid| Process::new(pid).ok())
            .collect()
    }
}

/// The ids of the containers of each service.
pub(crate) type ByService = BTreeMap<String, BTreeSet<String>>;

/// The containers that there are, by service.
pub(crate) fn by_service(stack: &Stack) -> ByService {
    let mut services = ByService::new();
    for container in Container::all(stack) {
        services
            .entry(container.service)
            .or_default()
            .insert(container.id);
    }
    services
}

/// A service's containers are others than before, and those of all other services are the same.
pub(crate) fn assert_only_replaced(service: &str, before: &ByService, after: &ByService) {
    assert!(
        before[service].is_disjoint(&after[service])
            && before[service].len() == after[service].len(),
        "{service}: {before:?}, then {after:?}"
    );
    let others = |services: &ByService| {
        let mut services = services.clone();
        services.remove(service);
        services
    };
    assert_eq!(others(before), others(after), "beside {service}");
}

/// A JSON string, as text.
pub(crate) fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("not a string: {value}"))
        .to_owned()
}
