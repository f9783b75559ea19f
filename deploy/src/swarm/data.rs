//! Where data is. A volume is one node's, so a service that keeps data in one is pinned to a node by a
//! constraint (the loader refuses one that isn't). Here it is seen to that the constraint leads to the
//! node that has the data, and to no other: which node that is was recorded when the service was first
//! brought up, in the Swarm itself, and the service is told that node's id, too. A database that starts
//! elsewhere, on an empty volume, looks like one that works. Members of a replica set are each on a node of
//! its own, which is chosen here the first time.

use std::collections::BTreeMap;

use compose_file::Project;
use compose_file::model::{
    Constraint, Generate, Mode, Mount, Secret, Service, ServiceName, VolumeKey,
};
use engine::Engine;
use engine::error::Result;
use engine::labels;
use engine::swarm::node::Node;
use engine::swarm::object::{self, Object};
use engine::swarm::stack::Stack;

/// What the keys of records begin with.
const RECORD: &str = "data.";

/// A service's volume, and the node that is to have it from now on.
#[derive(Debug)]
pub(super) struct Home<'a> {
    pub(super) service: &'a ServiceName,
    pub(super) volume: &'a VolumeKey,
    pub(super) node: &'a Node,
    /// Labels that the node has to be given first.
    pub(super) labels: Vec<(&'a str, &'a str)>,
    recorded: bool,
}

impl Home<'_> {
    /// Whether there is nothing to be done about it.
    pub(super) fn is_settled(&self) -> bool {
        self.recorded && self.labels.is_empty()
    }

    /// Labels the node and records it.
    ///
    /// # Errors
    /// When the engine refuses.
    pub(super) async fn settle(&self, engine: &Engine, project: &Project) -> Result<()> {
        // First the record: without a label nothing starts, and a label alone would be believed.
        if !self.recorded {
            let key = format!("{RECORD}{}", self.volume);
            let facts = [
                (labels::NODE, self.node.id.as_str()),
                ("dev.causeway.hostname", self.node.name.as_str()),
            ];
            object::create_record(engine, &project.name, &key, facts).await?;
        }
        let mut node = self.node.clone();
        for (key, value) in &self.labels {
            node.label(engine, key, value).await?;
            let mut nodes = engine::swarm::node::all(engine).await?.into_iter();
            if let Some(labelled) = nodes.find(|it| it.id == node.id) {
                node = labelled;
            }
        }
        Ok(())
    }
}

/// The services that keep data on one node, each with its volume there.
pub(super) fn keepers(
    project: &Project,
) -> impl Iterator<Item = (&ServiceName, &Service, &VolumeKey)> {
    project.services.iter().flat_map(move |(name, service)| {
        let replicated = service.deploy.mode == Mode::Replicated;
        let mounts = service.volumes.iter().filter(move |_| replicated);
        mounts.filter_map(move |mount| {
            let Mount::Volume {
                source: Some(key),
                read_only: false,
                ..
            } = mount
            else {
                return None;
            };
            let volume = project.volumes.get(key)?;
            volume.is_of_one_node().then_some((name, service, key))
        })
    })
}

/// The node of each service that keeps data.
pub(super) fn ids(homes: &[Home<'_>]) -> BTreeMap<ServiceName, String> {
    let ids = homes.iter();
    ids.map(|it| (it.service.clone(), it.node.id.clone()))
        .collect()
}

/// Whether data was made with a secret: another value locks everybody out of it, or parts a replica set.
pub(super) fn is_made_with(secret: &Secret) -> bool {
    secret.rotate.is_some() || matches!(secret.generate, Some(Generate::Password | Generate::Key))
}

/// The record of where a volume's data is.
pub(super) fn record<'a>(stack: &'a Stack, volume: &str) -> Option<&'a Object> {
    let mut objects = stack.objects.iter();
    objects.find(|it| it.key().strip_prefix(RECORD) == Some(volume))
}

/// All records.
pub(super) fn records(stack: &Stack) -> impl Iterator<Item = (&Object, &str)> {
    let objects = stack.objects.iter();
    objects.filter_map(|it| Some((it, it.key().strip_prefix(RECORD)?)))
}

/// Where each volume is to be; and a sentence for each that has no node of its own, or another one than
/// its data. `here` is the node that this engine is.
pub(super) fn homes<'a>(
    project: &'a Project,
    stack: &'a Stack,
    here: &str,
) -> (Vec<Home<'a>>, Vec<String>) {
    let mut homes: Vec<Home<'_>> = Vec::new();
    let (mut obstacles, mut homeless) = (Vec::new(), Vec::new());
    for (name, service, volume) in keepers(project) {
        match home(stack, name, service, volume) {
            Ok(Some(home)) => homes.push(home),
            Ok(None) => homeless.push((name, service, volume)),
            Err(why) => obstacles.push(format!("services.{name}: {why}")),
        }
    }
    // In the set's order: its first member has data where the stack ran on one machine.
    let set = project.replica_set.as_ref();
    let place = |name: &ServiceName| set.and_then(|it| it.members.iter().position(|it| it == name));
    homeless.sort_by_key(|(name, ..)| place(name));
    for (name, service, volume) in homeless {
        let taken: Vec<&Home<'_>> = homes
            .iter()
            .filter(|it| place(name).is_some() && it.service != name && place(it.service).is_some())
            .collect();
        match first(stack, name, service, volume, here, &taken) {
            Ok(home) => homes.push(home),
            Err(why) => obstacles.push(format!("services.{name}: {why}")),
        }
    }
    let members = |it: &&Home<'_>| place(it.service).is_some();
    for (index, home) in homes.iter().enumerate().filter(|(_, it)| members(it)) {
        let mut before = homes[..index].iter().filter(members);
        let other = before.find(|it| it.service != home.service && it.node.id == home.node.id);
        if let Some(other) = other {
            obstacles.push(format!(
                "services.{}: its data and that of {} are to be on node {}, and a replica set is to outlive it: \
                 label another node for one that has no data yet (`docker node update --label-add …`), or leave it out",
                home.service, other.service, home.node.name
            ));
        }
    }
    (homes, obstacles)
}

/// None: nobody has said where it is to be.
fn home<'a>(
    stack: &'a Stack,
    name: &'a ServiceName,
    service: &'a Service,
    volume: &'a VolumeKey,
) -> Result<Option<Home<'a>>, String> {
    let pins: Vec<&Constraint> = service.deploy.placement.pins().collect();
    let shown: Vec<String> = pins.iter().map(ToString::to_string).collect();
    let shown = shown.join(", ");
    let fitting: Vec<&Node> = stack
        .nodes
        .iter()
        .filter(|it| it.satisfies(pins.iter().copied()))
        .collect();
    let record = record(stack, volume);
    let recorded = record.and_then(|it| it.labels.get(labels::NODE));
    let place = |id: &String| stack.node_name(id).to_owned();
    match (&fitting[..], recorded) {
        ([node], recorded) if recorded.is_none_or(|id| node.id == *id) => Ok(Some(Home {
            service: name,
            volume,
            node,
            labels: Vec::new(),
            recorded: recorded.is_some(),
        })),
        ([node], _) => Err(format!(
            "{shown} leads to node {}, and its data (volume {volume}) is on node {}. Move the label back; or \
             if you moved the data there yourself, `docker config rm {}`, then run again",
            node.name,
            recorded.map(place).unwrap_or_default(),
            record.map_or("", |it| it.name.as_str()),
        )),
        ([], Some(id)) if stack.nodes.iter().any(|it| it.id == *id) => Err(format!(
            "no node satisfies {shown}, and its data (volume {volume}) is on node {}: see that it is still \
             there (`docker volume ls` on that node), then give the label back: {}",
            place(id),
            commands(&pins, &place(id)),
        )),
        ([], Some(id)) => Err(format!(
            "no node satisfies {shown}, and the node that had its data (volume {volume}) has left the Swarm \
             (id {id}). Where that node joined again under another id, or a backup was restored on another \
             one, `docker config rm {}` and label it: {}",
            record.map_or("", |it| it.name.as_str()),
            commands(&pins, "NODE"),
        )),
        ([], None) => Ok(None),
        (several, _) => {
            let names: Vec<&str> = several.iter().map(|it| it.name.as_str()).collect();
            Err(format!(
                "{} satisfy {shown}, and its data (volume {volume}) can be on one only: take the label from \
                 the others (`docker node update --label-rm …`)",
                names.join(" and ")
            ))
        }
    }
}

/// On a first `up`, the node that this engine is gets the labels: where the stack ran on one machine, its
/// volume is here. Of a replica set's members, only one does: the others get those of nodes that no
/// member (`taken`) has, in the order of their names.
fn first<'a>(
    stack: &'a Stack,
    name: &'a ServiceName,
    service: &'a Service,
    volume: &'a VolumeKey,
    here: &str,
    taken: &[&Home<'_>],
) -> Result<Home<'a>, String> {
    let pins: Vec<&Constraint> = service.deploy.placement.pins().collect();
    let shown: Vec<String> = pins.iter().map(ToString::to_string).collect();
    let shown = shown.join(", ");
    let is_here = |it: &&Node| it.id == here;
    let free = |it: &&Node| taken.iter().all(|home| home.node.id != it.id);
    let others = stack
        .nodes
        .iter()
        .filter(|it| !taken.is_empty() && it.takes_tasks());
    let node = stack.nodes.iter().filter(is_here).chain(others).find(free);
    let Some(node) = node else {
        let held: Vec<String> = taken
            .iter()
            .map(|it| format!("{} is on {}", it.service, it.node.name))
            .collect();
        return Err(format!(
            "no node is left that takes tasks and has no member of the replica set ({}): let another machine \
             join (`deploy nodes join`), or leave {name} out",
            held.join(", ")
        ));
    };
    let labels: Option<Vec<(&str, &str)>> = pins
        .iter()
        .filter(|it| !node.satisfies([**it]))
        .map(|it| Some((it.label()?, it.value.as_str())))
        .collect();
    let labels =
        labels.ok_or_else(|| format!("no node satisfies {shown}: name one that the Swarm has"))?;
    Ok(Home {
        service: name,
        volume,
        node,
        labels,
        recorded: false,
    })
}

fn commands(pins: &[&Constraint], node: &str) -> String {
    let labels: Vec<String> = pins
        .iter()
        .filter_map(|it| Some(format!("--label-add {}={}", it.label()?, it.value)))
        .collect();
    format!("`docker node update {} {node}`", labels.join(" "))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use compose_file::LoadOptions;
    use engine::api::{
        self, NodeDescription, NodeSpec, NodeSpecAvailabilityEnum, NodeState, NodeStatus,
    };
    use engine::swarm::object::Kind;

    use super::*;

    fn project() -> Project {
        let text = "services:\n  db:\n    image: db\n    networks: [n]\n    volumes: ['data:/data']\n    \
                    deploy: {placement: {constraints: [node.labels.db == 1]}}\n\
                    networks: {n: {driver: overlay}}\nvolumes: {data: }\n";
        load(text)
    }

    fn load(text: &str) -> Project {
        let options = LoadOptions {
            files: vec!["compose.yaml".into()],
            project_name: Some("shop".to_owned()),
            ..LoadOptions::default()
        };
        compose_file::load_text(&options, text).expect("a valid file")
    }

    /// Nodes 1 to 3, of which some have the label, and what is recorded.
    fn stack(labelled: &[&str], recorded: Option<&str>) -> Stack {
        let node = |id: &str| {
            let label = labelled
                .contains(&id)
                .then(|| ("db".to_owned(), "1".to_owned()));
            Node::from(api::Node {
                id: Some(id.to_owned()),
                description: Some(NodeDescription {
                    hostname: Some(format!("n{id}")),
                    ..NodeDescription::default()
                }),
                spec: Some(NodeSpec {
                    labels: Some(label.into_iter().collect()),
                    availability: Some(NodeSpecAvailabilityEnum::ACTIVE),
                    ..NodeSpec::default()
                }),
                status: Some(NodeStatus {
                    state: Some(NodeState::READY),
                    ..NodeStatus::default()
                }),
                ..api::Node::default()
            })
        };
        let record = recorded.map(|id| Object {
            kind: Kind::Config,
            id: "record".to_owned(),
            name: "shop_data.data".to_owned(),
            labels: HashMap::from([
                (labels::RESOURCE.to_owned(), "data.data".to_owned()),
                (labels::NODE.to_owned(), id.to_owned()),
            ]),
            order: 0,
        });
        Stack {
            nodes: ["1", "2", "3"].map(node).into(),
            objects: record.into_iter().collect(),
            ..Stack::default()
        }
    }

    #[test]
    fn the_first_time_this_node_gets_the_label() {
        let (project, stack) = (project(), stack(&[], None));
        let (homes, obstacles) = homes(&project, &stack, "2");
        assert_eq!(obstacles, [""; 0]);
        assert_eq!(homes[0].node.id, "2");
        assert_eq!(homes[0].labels, [("db", "1")]);
        assert!(!homes[0].is_settled());
    }

    #[test]
    fn a_label_that_is_there_is_followed_and_recorded() {
        let (project, first, later) = (project(), stack(&["3"], None), stack(&["3"], Some("3")));
        let (found, _) = homes(&project, &first, "1");
        assert_eq!(
            (found[0].node.id.as_str(), found[0].is_settled()),
            ("3", false)
        );
        let (found, _) = homes(&project, &later, "1");
        assert_eq!(
            (found[0].node.id.as_str(), found[0].is_settled()),
            ("3", true)
        );
    }

    #[test]
    fn where_label_and_data_part_nothing_is_started() {
        for (labelled, recorded, said) in [
            (
                &["2"][..],
                Some("1"),
                "leads to node n2, and its data (volume data) is on node n1",
            ),
            (&[], Some("1"), "docker node update --label-add db=1 n1"),
            (&[], Some("gone"), "has left the Swarm (id gone)"),
            (
                &["1", "2"],
                Some("1"),
                "n1 and n2 satisfy node.labels.db == 1",
            ),
            (&["1", "2"], None, "n1 and n2 satisfy node.labels.db == 1"),
        ] {
            let (project, stack) = (project(), stack(labelled, recorded));
            let (homes, obstacles) = homes(&project, &stack, "1");
            assert!(homes.is_empty(), "{said}");
            assert!(obstacles[0].contains(said), "{obstacles:?}");
        }
    }

    /// A set of members of which each keeps data, and is pinned by a label of its own.
    fn set(members: &[&str]) -> Project {
        let services: Vec<String> = members
            .iter()
            .map(|it| {
                format!(
                    "  {it}:\n    image: db\n    networks: [n]\n    volumes: ['{it}:/data']\n    \
                     deploy: {{placement: {{constraints: [node.labels.{it} == 1]}}}}\n"
                )
            })
            .collect();
        let volumes: Vec<String> = members.iter().map(|it| format!("  {it}:\n")).collect();
        load(&format!(
            "services:\n{}networks: {{n: {{driver: overlay}}}}\nvolumes:\n{}x-replica-set: {{name: rs, members: \
             [{}], command: [join]}}\n",
            services.concat(),
            volumes.concat(),
            members.join(", ")
        ))
    }

    #[test]
    fn members_of_a_replica_set_get_a_node_each() {
        // By the name of its service, the last one comes first: the set's order counts.
        let project = set(&["db", "db-2", "db-1"]);
        let stack = stack(&[], None);
        let (homes, obstacles) = homes(&project, &stack, "2");
        assert_eq!(obstacles, [""; 0]);
        let placed: Vec<(&str, &str)> = homes
            .iter()
            .map(|it| (it.service.as_str(), it.node.id.as_str()))
            .collect();
        assert_eq!(placed, [("db", "2"), ("db-2", "1"), ("db-1", "3")]);
        assert_eq!(homes[1].labels, [("db-2", "1")]);
    }

    #[test]
    fn a_member_without_a_node_of_its_own_is_not_started() {
        let four = set(&["db", "db-1", "db-2", "db-3"]);
        let (_, none_left) = homes(&four, &stack(&[], None), "1");
        assert_eq!(none_left.len(), 1, "{none_left:?}");
        assert!(
            none_left[0].contains("no node is left") && none_left[0].contains("db is on n1"),
            "{none_left:?}"
        );
        let mut together = stack(&["1"], None);
        let labels = &mut together.nodes[0].labels;
        labels.insert("db-2".to_owned(), "1".to_owned());
        let two = set(&["db", "db-2"]);
        let (_, on_one) = homes(&two, &together, "1");
        assert!(on_one[0].contains("to be on node n1"), "{on_one:?}");
    }
}
