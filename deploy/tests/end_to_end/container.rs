//! A running container, as the engine describes it and as the kernel shows its processes.

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

/// A JSON string, as text.
pub(crate) fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("not a string: {value}"))
        .to_owned()
}
