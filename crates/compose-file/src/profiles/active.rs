//! The profiles that are enabled.

use std::collections::HashSet;

use crate::options::LoadOptions;
use crate::yaml::{Node, Value};

/// Names the profiles, where the command line doesn't.
pub(crate) const VARIABLE: &str = "COMPOSE_PROFILES";

/// Enables all.
const ALL: &str = "*";

/// The profiles that are enabled.
#[derive(Debug, Default)]
pub(crate) struct Active {
    /// By the command line or the variable.
    given: HashSet<String>,
    /// Those of the services that are enabled by themselves.
    of_targets: HashSet<String>,
}

impl Active {
    /// `variable` is what `COMPOSE_PROFILES` says.
    pub(crate) fn new(options: &LoadOptions, root: &Node, variable: Option<&str>) -> Self {
        let given = if options.profiles.is_empty() {
            let names = variable.unwrap_or_default().split(',').map(str::trim);
            let names = names.filter(|name| !name.is_empty());
            names.map(str::to_owned).collect()
        } else {
            options.profiles.iter().cloned().collect()
        };
        let services = root.get("services");
        let targets = options.targets.iter();
        let profiles = targets.filter_map(|name| services?.get(name)?.get("profiles"));
        let items = profiles.flat_map(|profiles| match &profiles.value {
            Value::List(items) => &items[..],
            _ => &[],
        });
        let of_targets = items.filter_map(|it| it.text().map(str::to_owned));
        Self {
            given,
            of_targets: of_targets.collect(),
        }
    }

    /// Whether a service of these profiles is enabled, or would be as what an enabled one depends on.
    pub(crate) fn may_enable(&self, profiles: &[String]) -> bool {
        let mut all = profiles.iter();
        self.enables(profiles) || all.any(|it| self.of_targets.contains(it))
    }

    pub(super) fn enables(&self, profiles: &[String]) -> bool {
        let mut all = profiles.iter();
        profiles.is_empty() || self.given.contains(ALL) || all.any(|it| self.given.contains(it))
    }
}
