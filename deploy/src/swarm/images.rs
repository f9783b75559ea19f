//! How images get to the nodes. What a registry has under its own name, each node pulls, by its digest.
//! What was built or loaded here gets there by one of these ways (`x-swarm`):
//!
//! - `registry`: it is pushed there, and nodes pull it, by its digest;
//! - `ssh`: it is copied into each node that may run it, where the node doesn't have it;
//! - neither: somebody loads it into each node, and each runs what it has under the name.
//!
//! On the first two ways the tag says the content, so that no node runs another version under the same
//! name, and a rebuild that came to the same result starts nothing anew.

mod nodes;
mod tidy;

use std::collections::BTreeMap;

use compose_file::Project;
use compose_file::model::{Service, ServiceName};
use engine::Engine;
use engine::error::Result;
use engine::image::{self, Images, push, tag};
use engine::labels;
use engine::swarm::node::Node;
use engine::swarm::spec::Image;
use engine::swarm::stack::Stack;

use crate::output::Output;
use nodes::Lack;
pub(super) use tidy::tidy;

/// Begins the names of images that are in no registry. Nodes ask the registry of a name before they take
/// what they have; under this name there never is one (RFC 6761), so they neither wait for one nor get
/// somebody else's image.
const LOADED: &str = "loaded.invalid";

/// An image that nodes are to have.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    /// As the file has it.
    pub(crate) name: &'a str,
    /// Its name on this engine, where that is another one.
    pub(crate) pinned: Option<String>,
    /// Who may run it.
    pub(crate) nodes: Vec<&'a Node>,
}

/// By which references nodes get images, and what has to be done first.
#[derive(Debug, Default)]
pub(super) struct Outlook {
    /// By the names in the file.
    pub(super) references: BTreeMap<String, Image>,
    pushes: Vec<Push>,
    lacks: Vec<Lack>,
    /// For the user.
    pub(super) notes: Vec<String>,
}

#[derive(Debug)]
struct Push {
    name: String,
    source: String,
    repository: String,
    tag: String,
}

/// Has these images get to their nodes, and returns by which references tasks are made from them. `here`
/// is the id of the node that the engine is.
///
/// # Errors
/// When the registry or a node doesn't take one.
pub(super) async fn distribute(
    engine: &Engine,
    output: &Output,
    project: &Project,
    stack: &Stack,
    here: &str,
    wanted: &[Wanted<'_>],
) -> Result<BTreeMap<String, Image>> {
    let outlook = look(engine, project, stack, here, wanted).await?;
    outlook.carry_out(engine, output).await
}

/// What the project's services are made from, and which nodes may run it. What is yet to be built or
/// pulled isn't among it.
pub(super) fn of_project<'a>(
    project: &'a Project,
    images: &Images,
    stack: &'a Stack,
    homes: &BTreeMap<ServiceName, String>,
) -> Vec<Wanted<'a>> {
    let mut wanted: BTreeMap<&str, Wanted<'_>> = BTreeMap::new();
    for (name, service) in &project.services {
        let state = images.get(&service.image);
        if state.need.is_some() {
            continue;
        }
        let entry = wanted.entry(&service.image).or_insert_with(|| Wanted {
            name: &service.image,
            pinned: state.pinned,
            nodes: Vec::new(),
        });
        for node in fitting(stack, service, homes.get(name)) {
            if entry.nodes.iter().all(|it| it.id != node.id) {
                entry.nodes.push(node);
            }
        }
    }
    wanted.into_values().collect()
}

/// The nodes that may run a service once they are ready and take tasks.
fn fitting<'a>(
    stack: &'a Stack,
    service: &Service,
    home: Option<&String>,
) -> impl Iterator<Item = &'a Node> {
    let is_home = move |node: &&Node| home.is_none_or(|id| *id == node.id);
    let constraints = &service.deploy.placement.constraints;
    let nodes = stack.nodes.iter().filter(is_home);
    nodes.filter(move |node| node.satisfies(constraints))
}

/// Finds out by which references nodes get the images, and what has to be done for it. Changes nothing.
///
/// # Errors
/// When this engine or a node's doesn't answer.
pub(super) async fn look(
    engine: &Engine,
    project: &Project,
    stack: &Stack,
    here: &str,
    wanted: &[Wanted<'_>],
) -> Result<Outlook> {
    let mut outlook = Outlook::default();
    let swarm = project.swarm.clone().unwrap_or_default();
    let mut to_nodes = Vec::new();
    for image in wanted {
        let source = image.pinned.as_deref().unwrap_or(image.name);
        let Some(found) = image::inspect(engine, source).await? else {
            let reference = Image {
                reference: image.name.to_owned(),
                content: None,
            };
            outlook.references.insert(image.name.to_owned(), reference);
            continue;
        };
        let content = image::content(&found);
        let digests = found.repo_digests.unwrap_or_default();
        let own = tag::digest(tag::repository(image.name), &digests);
        let tag = format!("{}-{content}", project.name);
        let path = tag::path(image.name);
        let at = |host: &str| (format!("{host}/{path}"), format!("{host}/{path}:{tag}"));
        let by_name = |reference: String| Image {
            reference,
            content: None,
        };
        let reference = match (own, &swarm.registry, &swarm.ssh) {
            _ if image.name.contains('@') => by_name(image.name.to_owned()),
            (Some(digest), _, _) => by_name(format!("{}@{digest}", image.name)),
            (None, Some(registry), _) => {
                let (repository, name) = at(registry);
                let pushed = tag::digest(&repository, &digests).map(str::to_owned);
                let digest = pushed.or_else(|| running(stack, &name));
                if let Some(digest) = digest {
                    by_name(format!("{name}@{digest}"))
                } else {
                    outlook.pushes.push(Push {
                        name: image.name.to_owned(),
                        source: source.to_owned(),
                        repository,
                        tag,
                    });
                    by_name(name)
                }
            }
            (None, None, Some(_)) => {
                let (repository, name) = at(LOADED);
                to_nodes.push(nodes::Parcel {
                    name: image.name.to_owned(),
                    id: found.id.unwrap_or_default(),
                    repository,
                    tag,
                    content,
                    nodes: image.nodes.iter().map(|it| it.id.clone()).collect(),
                });
                by_name(name)
            }
            (None, None, None) => Image {
                reference: image.name.to_owned(),
                content: Some(content),
            },
        };
        outlook.references.insert(image.name.to_owned(), reference);
    }
    if let Some(way) = &swarm.ssh {
        let (lacks, notes) = nodes::look(engine, way, stack, here, &to_nodes).await?;
        outlook.lacks = lacks;
        outlook.notes = notes;
    }
    Ok(outlook)
}

/// The digest by which a service runs the image of this name: its tag says the content, so what the
/// registry has under it stays the same.
fn running(stack: &Stack, name: &str) -> Option<String> {
    let mut images = stack.services.values().filter_map(|service| {
        let template = service.spec.task_template.as_ref()?;
        template.container_spec.as_ref()?.image.as_deref()
    });
    let digest = |it: &str| it.strip_prefix(name)?.strip_prefix('@').map(str::to_owned);
    images.find_map(digest)
}

/// By what a service runs now, for an image that is yet to be built or pulled: whether it comes out as
/// another one, nobody knows.
pub(super) fn as_it_runs(stack: &Stack, service: &str) -> Option<Image> {
    let spec = &stack.services.get(service)?.spec;
    let container = spec.task_template.as_ref()?.container_spec.as_ref()?;
    let labels = container.labels.as_ref();
    Some(Image {
        reference: container.image.clone()?,
        content: labels.and_then(|it| it.get(labels::IMAGE_CONTENT).cloned()),
    })
}

impl Outlook {
    /// What is to be done, as lines of a plan: image, action, and where.
    pub(super) fn lines(&self) -> Vec<(String, &'static str, String)> {
        let pushes = self.pushes.iter().map(|push| {
            let reason = format!("to {}", push.repository);
            (push.name.clone(), "push", reason)
        });
        let mut loads: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for lack in &self.lacks {
            for image in &lack.missing {
                loads.entry(&image.name).or_default().push(&lack.node);
            }
        }
        let loads = loads.into_iter().map(|(name, nodes)| {
            let reason = format!("into {}", nodes.join(", "));
            (name.to_owned(), "load", reason)
        });
        pushes.chain(loads).collect()
    }

    /// Does it. Returns the references, now that all digests are known.
    ///
    /// # Errors
    /// When the registry or a node doesn't take one.
    pub(super) async fn carry_out(
        &self,
        engine: &Engine,
        output: &Output,
    ) -> Result<BTreeMap<String, Image>> {
        let mut references = self.references.clone();
        for push in &self.pushes {
            let task = output.task(&format!("image {}", push.name), "pushing");
            let to = (push.repository.as_str(), push.tag.as_str());
            let digest = push::run(engine, output, &task, &push.source, to).await?;
            task.done(&format!("pushed to {}", push.repository));
            let reference = Image {
                reference: format!("{}:{}@{digest}", push.repository, push.tag),
                content: None,
            };
            references.insert(push.name.clone(), reference);
        }
        nodes::supply(engine, output, &self.lacks).await?;
        Ok(references)
    }
}

/// What to know where images are each node's own: of those that are about to run, which somebody has to
/// have loaded elsewhere.
pub(super) fn by_hand(
    project: &Project,
    stack: &Stack,
    here: &str,
    references: &BTreeMap<String, Image>,
    homes: &BTreeMap<ServiceName, String>,
    starting: &[&ServiceName],
) -> Option<String> {
    let (mut images, mut nodes): (Vec<&str>, Vec<&Node>) = (Vec::new(), Vec::new());
    for (name, service) in &project.services {
        let is_by_hand = match references.get(&service.image) {
            Some(reference) => reference.content.is_some(),
            // It is yet to be built.
            None => service.build.is_some() && project.swarm.is_none(),
        };
        if !starting.contains(&name) || !is_by_hand {
            continue;
        }
        let fitting = fitting(stack, service, homes.get(name));
        for node in fitting.filter(|it| it.id != here && it.takes_tasks()) {
            if !images.contains(&service.image.as_str()) {
                images.push(&service.image);
            }
            if nodes.iter().all(|it| it.id != node.id) {
                nodes.push(node);
            }
        }
    }
    let first = nodes.first()?;
    let names: Vec<&str> = nodes.iter().map(|it| it.name.as_str()).collect();
    Some(format!(
        "{} came from no registry: {} run what each has under the name. CAUSEWAY_NODE_SSH or CAUSEWAY_REGISTRY in \
         .env has `deploy up` bring them (docs/swarm.md); by hand it is `docker save {} | ssh root@{} docker load`, \
         for each node",
        images.join(", "),
        names.join(", "),
        images.join(" "),
        first.address
    ))
}
