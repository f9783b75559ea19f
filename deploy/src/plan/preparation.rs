//! The operations that come before the services' own: secrets, images, networks and volumes, and
//! taking away what stands in their way. And those of `down`.

use std::collections::BTreeMap;

use compose_file::Project;
use engine::image::Need as ImageNeed;
use engine::state::{Container, State};

use super::changes::{Changes, NetworkAction};
use super::graph::{Builder, Need};
use super::hooks::removal;
use super::operation::{NodeId, Operation, Target};
use super::order::waves;
use super::service;

/// What the services' operations go on from.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    /// All that has to be done before.
    pub(super) needs: Vec<Need>,
    /// The operations that come to the content of an image.
    pub(super) images: BTreeMap<String, NodeId>,
}

/// Adds what services need before they start. Each kind waits for the one before, so that a build
/// that fails leaves everything as it was.
pub(super) fn prepare(
    graph: &mut Builder,
    project: &Project,
    state: &State,
    changes: &Changes,
) -> Prepared {
    let mut front = Front::default();
    for name in &changes.secrets {
        front.step(graph, Operation::GenerateSecret { name: name.clone() });
    }
    let images = images(graph, changes, &mut front);

    let orphans = changes
        .orphans
        .iter()
        .map(|it| (&*it.name, &*it.id, &*it.reason));
    front.remove(graph, state, orphans);
    let going = changes.networks_to_go(project);
    let orphaned = |it: &&Container| changes.orphans.iter().any(|orphan| orphan.id == it.id);
    let evicted = state.containers.iter();
    let evicted = evicted.filter(|it| service::is_on(it, &going) && !orphaned(it));
    // They are made anew with it.
    front.remove_in_waves(graph, (project, state), evicted, "leaving its network");
    for action in &changes.networks {
        let (gone, made) = match action {
            NetworkAction::Create { key } => (None, Some(key)),
            NetworkAction::Recreate { key, .. } => (Some((None, key)), Some(key)),
            NetworkAction::Remove { name } => (
                Some((Some("not in the file any more".to_owned()), name)),
                None,
            ),
        };
        let named = |key: &String| {
            project
                .networks
                .get(key.as_str())
                .map_or(key, |it| &it.name)
                .clone()
        };
        if let Some((why, key)) = gone {
            front.step(
                graph,
                Operation::RemoveNetwork {
                    name: named(key),
                    why,
                },
            );
        }
        if let Some(key) = made {
            let (key, name) = (key.clone(), named(key));
            front.step(graph, Operation::CreateNetwork { key, name });
        }
    }
    for key in &changes.volumes {
        if let Some(volume) = project.volumes.get(key.as_str()) {
            let (key, name) = (key.clone(), volume.name.clone());
            front.step(graph, Operation::CreateVolume { key, name });
        }
    }
    Prepared {
        needs: front.0,
        images,
    }
}

/// Pulls are done side by side, builds one after the other (see [`engine::image::build`]).
fn images(graph: &mut Builder, changes: &Changes, front: &mut Front) -> BTreeMap<String, NodeId> {
    let mut images = BTreeMap::new();
    let mut building = front.0.clone();
    for (image, service, need) in &changes.images {
        let image = image.clone();
        let node = match need {
            ImageNeed::Pull { .. } => {
                let image = image.clone();
                graph.add(Operation::Pull { image }, front.0.iter().copied())
            }
            ImageNeed::Build { hash, .. } => {
                let (image, service, hash) = (image.clone(), service.clone(), hash.clone());
                let build = Operation::Build {
                    image,
                    service,
                    hash,
                };
                let node = graph.add(build, building);
                building = vec![Need::Done(node)];
                node
            }
        };
        images.insert(image, node);
    }
    front.advance(images.values().copied());
    images
}

/// Adds what takes the project down: its containers, then `networks`, then `volumes`.
pub(super) fn take_down(
    graph: &mut Builder,
    project: &Project,
    state: &State,
    networks: &[&str],
    volumes: &[&str],
) {
    let mut front = Front::default();
    front.remove_in_waves(graph, (project, state), &state.containers, "going down");
    let networks = networks.iter().map(|name| Operation::RemoveNetwork {
        name: (*name).to_owned(),
        why: Some("removing".to_owned()),
    });
    let volumes = volumes.iter().map(|name| Operation::RemoveVolume {
        name: (*name).to_owned(),
    });
    for operation in networks.chain(volumes) {
        front.step(graph, operation);
    }
}

/// What the next operation waits for.
#[derive(Debug, Default)]
struct Front(Vec<Need>);

impl Front {
    fn step(&mut self, graph: &mut Builder, operation: Operation) {
        let node = graph.add(operation, self.0.iter().copied());
        self.advance([node]);
    }

    /// To the end of all of these, if there are any.
    fn advance(&mut self, nodes: impl IntoIterator<Item = NodeId>) {
        let needs: Vec<Need> = nodes.into_iter().map(Need::Done).collect();
        if !needs.is_empty() {
            self.0 = needs;
        }
    }

    /// Removes containers side by side: name, id and why.
    fn remove<'a>(
        &mut self,
        graph: &mut Builder,
        state: &State,
        containers: impl IntoIterator<Item = (&'a str, &'a str, &'a str)>,
    ) {
        let removed: Vec<NodeId> = containers
            .into_iter()
            .map(|(name, id, why)| {
                let needs = self.0.iter().copied();
                let mut found = state.containers.iter();
                let acts = removal(found.find(|it| it.id == id), why);
                graph.act(&Target::known(name, id), needs, acts)
            })
            .collect();
        self.advance(removed);
    }

    fn remove_in_waves<'a>(
        &mut self,
        graph: &mut Builder,
        (project, state): (&Project, &State),
        containers: impl IntoIterator<Item = &'a Container>,
        why: &str,
    ) {
        for wave in waves(project, containers) {
            let wave = wave.into_iter().map(|it| (&*it.name, &*it.id, why));
            self.remove(graph, state, wave);
        }
    }
}
