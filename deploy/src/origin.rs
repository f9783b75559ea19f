//! Whether this file may go on with a stack that another one, or Docker Compose, brought up, and what
//! the user is told of it.

use std::collections::{BTreeMap, BTreeSet};

use compose_file::model::Service;
use compose_file::{Files, Project};
pub(crate) use engine::origin::{Origin, Reach};
use engine::origin::{are_among, of_newest};
use engine::owner::{Kind, Owner};
use engine::state::{Aside, Container, State};

/// What forbids a change of the stack because it is somebody else's: `taken_over` is where the one that
/// would be changed comes from.
pub(crate) fn conflicts(
    project: &Project,
    state: &State,
    taken_over: Option<&Origin>,
) -> Vec<String> {
    let refusal = taken_over.and_then(|origin| refusal(project, origin));
    refusal
        .into_iter()
        .chain(run_by_compose(project, state))
        .collect()
}

/// What is in the way of changing the stack from `project`'s file, if anything is.
fn refusal(project: &Project, origin: &Origin) -> Option<String> {
    (!origin.may_take_over).then(|| {
        format!(
            "project {} was brought up from {}, and this is {}. Go on there; or give this one a \
             name of its own (-p); or take the stack over, with --take-over",
            project.name, origin.files, project.files
        )
    })
}

/// A stack of this name that Docker Compose runs: two tools would undo each other's work.
pub(crate) fn run_by_compose(project: &Project, state: &State) -> Option<String> {
    let containers = state.run_by_compose(&project.name);
    let networks = project.networks.values().filter_map(|network| {
        let (name, owner) = state.foreign.networks.get_key_value(&network.name)?;
        owner
            .is_compose(&project.name)
            .then_some((name.as_str(), owner))
    });
    let parts: Vec<(&str, &Owner)> = containers.chain(networks).collect();
    let (first, owner) = parts.first()?;
    let names: Vec<&str> = parts.iter().map(|(name, _)| *name).collect();
    Some(format!(
        "project {} was brought up by Docker Compose ({}): {} takes that down and keeps the \
         volumes, with which `deploy up` goes on; or choose another project name (-p)",
        project.name,
        names.join(", "),
        owner.removal(Kind::Network, first),
    ))
}

/// That the stack was brought up with other files merged over the first than there are now: one that was
/// left out by mistake takes its settings along.
pub(crate) fn merged_otherwise(project: &Project, state: &State) -> Option<String> {
    let files = of_newest(project, &state.containers)?;
    let otherwise = files != &project.files && state.origin.is_none();
    otherwise.then(|| {
        format!(
            "project {} was brought up from {} last, and this is {}",
            project.name, files, project.files
        )
    })
}

/// Why a container goes whose service the files don't have.
pub(crate) fn departure(project: &Project, container: &Container) -> String {
    match &container.files {
        Some(files) if !are_among(files, &project.files) => {
            let these = if project.files.overrides().is_empty() {
                "this file"
            } else {
                "these files"
            };
            format!("of {files}, which isn't {these}")
        }
        _ => "not in the file any more".to_owned(),
    }
}

/// What other files brought into the project, a note for each file.
pub(crate) fn kept(elsewhere: &Aside) -> Vec<String> {
    let containers = elsewhere.containers.iter();
    let containers = containers.map(|it| (&it.files, format!("container {}", it.name)));
    let networks = elsewhere.networks.iter();
    let networks = networks.map(|it| (&it.files, format!("network {}", it.name)));
    let mut by_files: BTreeMap<&Option<Files>, Vec<String>> = BTreeMap::new();
    for (files, what) in containers.chain(networks) {
        by_files.entry(files).or_default().push(what);
    }
    let named = |files: &Option<Files>| match files {
        Some(files) => files.to_string(),
        None => "a file that isn't recorded".to_owned(),
    };
    let removable = by_files.into_iter().map(|(files, what)| {
        let (what, files) = (what.join(", "), named(files));
        format!("{what}: brought up from {files}, so it stays (--remove-orphans removes it)")
    });
    let volumes = elsewhere.volumes.iter().map(|it| {
        let maker = if it.by_compose {
            "Docker Compose".to_owned()
        } else {
            named(&it.files)
        };
        format!("volume {}: of {maker}, so it stays", it.name)
    });
    removable.chain(volumes).collect()
}

/// What runs of services whose profiles aren't enabled.
pub(crate) fn not_enabled(project: &Project, state: &State) -> Option<String> {
    let containers = &state.disabled.containers;
    let names: Vec<&str> = containers.iter().map(|it| it.name.as_str()).collect();
    let services = containers.iter();
    let services = services.filter_map(|it| project.disabled.services.get(&*it.service));
    let profiles = profiles(services);
    (!names.is_empty()).then(|| {
        format!(
            "{}: of a profile that isn't enabled ({}), and left as it is",
            names.join(", "),
            profiles
        )
    })
}

/// The profiles of services, each once.
pub(crate) fn profiles<'a>(services: impl Iterator<Item = &'a Service>) -> String {
    let all = services.flat_map(|it| &it.profiles).map(String::as_str);
    let all: Vec<&str> = all.collect::<BTreeSet<_>>().into_iter().collect();
    all.join(", ")
}

/// The file's volumes that Docker Compose made.
pub(crate) fn made_by_compose(project: &Project, state: &State) -> Option<String> {
    let names: Vec<&str> = state
        .volumes
        .iter()
        .filter(|it| it.by_compose && project.volumes.values().any(|own| own.name == it.name))
        .map(|it| it.name.as_str())
        .collect();
    (!names.is_empty()).then(|| {
        format!(
            "volume {}: made by Docker Compose for this project; its data is used, and \
             `deploy down --volumes` will leave it",
            names.join(", ")
        )
    })
}
