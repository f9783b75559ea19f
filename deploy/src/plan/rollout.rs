//! The operations that bring the services to where the file wants them: each as soon as those it
//! depends on are in the state it asks for, everything independent side by side.
//!
//! Every operation leaves something that the next plan recognises (a container missing, created,
//! stopped, without its names, one too many), so a rollout that was killed anywhere is finished by
//! planning again.

use std::collections::BTreeMap;

use compose_file::Project;
use compose_file::model::{
    Condition as Awaited, FailureAction, NetworkKey, NetworkMode, SecretName, Service, ServiceName,
    UpdateOrder,
};
use engine::concurrency;
use engine::container;
use engine::health::Goal;
use engine::state::{Container, Status};

use super::changes::Changes;
use super::graph::{Builder, Need};
use super::hooks::{removal, starting, starting_again, stopping};
use super::inputs::Inputs;
use super::operation::{Act, Comparison, Creation, NodeId, Operation, Target, Value};
use super::order::dependencies;
use super::preparation::Prepared;
use super::renewal::Cause;
use super::service::{ContainerAction, ServicePlan, Step};

/// Adds the operations of all services, dependencies first.
pub(super) fn roll_out(
    graph: &mut Builder,
    inputs: Inputs<'_>,
    changes: &Changes,
    prepared: &Prepared,
) {
    let mut stages: BTreeMap<&ServiceName, Stages> = BTreeMap::new();
    let mut told: BTreeMap<&SecretName, NodeId> = BTreeMap::new();
    // The replica set as far as it is made: one member after the other, so that most of them serve.
    let mut members: Vec<ServiceName> = Vec::new();
    let mut joined: Vec<NodeId> = Vec::new();
    for plan in &changes.services {
        let name = &plan.service;
        let Some(service) = inputs.project.services.get(name) else {
            continue;
        };
        graph.service = Some(name.clone());
        let mut needs = prepared.needs.clone();
        let is_member = inputs.project.replica_set_of(name).is_some();
        for (dependency, condition) in dependencies(service) {
            let Some(stages) = stages.get(&dependency) else {
                continue;
            };
            let nodes = match condition {
                Awaited::ServiceStarted => &stages.started,
                Awaited::ServiceHealthy | Awaited::ServiceCompletedSuccessfully => &stages.ready,
            };
            let depends_on = service.depends_on.get(&dependency);
            let required = depends_on.is_none_or(|it| it.required);
            let need = if required { Need::Done } else { Need::Over };
            needs.extend(nodes.iter().copied().map(need));
        }
        let waits = dependencies(service)
            .iter()
            .any(|(it, _)| inputs.project.replica_set_of(it).is_some());
        if is_member || waits {
            needs.extend(done(&joined));
        }
        // What it reads, those it depends on may have to know first.
        let secrets = service.secrets.iter().map(|mount| &mount.source);
        for (secret, keeper) in secrets.filter_map(|it| changes.told.get_key_value(it)) {
            if keeper != name {
                let tell = Operation::TellSecret {
                    name: secret.clone(),
                    service: keeper.clone(),
                };
                let node = *told
                    .entry(secret)
                    .or_insert_with(|| graph.add(tell, needs.iter().copied()));
                needs.push(Need::Done(node));
            }
        }
        let mut there = inputs.state.of_service(name);
        let begin = Operation::Begin {
            service: name.clone(),
            runs: there.any(|it| it.status == Status::Running),
        };
        let begin = graph.add(begin, needs);
        let joins = match &service.network_mode {
            Some(NetworkMode::Service(host)) => stages.get(host).map_or_else(
                || {
                    let there = inputs.state.of_service(host);
                    there.map(|it| Value::Known(it.id.clone())).collect()
                },
                |stages| stages.host.clone(),
            ),
            _ => Vec::new(),
        };
        let mut rollout = Rollout {
            graph,
            inputs,
            plan,
            service,
            goal: goal(inputs.project, name),
            images: &prepared.images,
            joins,
            answers: BTreeMap::new(),
            containers: BTreeMap::new(),
            started: vec![begin],
        };
        let mut reached = rollout.run(begin);
        if is_member {
            members.push(name.clone());
            let members = members.clone();
            let join = Operation::JoinReplicaSet { members };
            let join = graph.add(join, done(&reached.ready));
            joined = vec![join];
            reached.ready.push(join);
        }
        stages.insert(name, reached);
    }
}

/// What others may wait for, and live in.
struct Stages {
    started: Vec<NodeId>,
    ready: Vec<NodeId>,
    /// A container for those that share its network namespace: the first of these that comes to be.
    host: Vec<Value>,
}

/// The operations of one service, as far as they have been added.
struct Rollout<'a> {
    graph: &'a mut Builder,
    inputs: Inputs<'a>,
    plan: &'a ServicePlan,
    service: &'a Service,
    goal: Goal,
    images: &'a BTreeMap<String, NodeId>,
    joins: Vec<Value>,
    /// By the number of a container, what says whether it differs from the image.
    answers: BTreeMap<u32, NodeId>,
    /// By number, the containers that may be there in the end.
    containers: BTreeMap<u32, Vec<Value>>,
    started: Vec<NodeId>,
}

/// A container that is to be replaced, and its replacement.
struct Pair<'a> {
    action: &'a ContainerAction,
    old: Target,
    new: u32,
    /// `None`: it has other settings.
    cause: Option<&'a Cause>,
}

/// A container that is going to be started.
struct Launched {
    container: Target,
    started: NodeId,
    /// Networks on which it doesn't bear its names yet.
    nameless: Vec<NetworkKey>,
}

impl Pair<'_> {
    /// The old container doesn't work: nobody wants it back.
    fn is_ailing(&self) -> bool {
        self.cause.is_some_and(Cause::is_ailment)
    }
}

impl<'a> Rollout<'a> {
    fn run(&mut self, begin: NodeId) -> Stages {
        self.compare(begin);
        // What is missing comes first: it can only help while others are replaced.
        let launched = self.launch_all(begin);
        let restarted = self.restart_all(launched);
        let replaced = self.replace_all(&restarted);
        let ready = self.remove_surplus(replaced);
        let interrupts = |it: &ContainerAction| {
            let step = &it.step;
            let replaced =
                matches!(step, Step::Recreate { .. } | Step::Renew { .. }) && !it.evicted;
            replaced || matches!(step, Step::Restart { .. })
        };
        let started = if self.plan.containers.iter().any(interrupts) {
            ready.clone()
        } else {
            std::mem::take(&mut self.started)
        };
        let mut containers = std::mem::take(&mut self.containers).into_values();
        let mut host = containers.next().unwrap_or_default();
        // A new one that comes to be is what is left.
        host.sort_by_key(|it| it.get().is_some());
        host.dedup();
        Stages {
            started,
            ready,
            host,
        }
    }

    /// Asks what only builds and pulls can tell.
    fn compare(&mut self, begin: NodeId) {
        for action in &self.plan.containers {
            let Some(condition) = action.condition.as_ref().filter(|it| it.differ) else {
                continue;
            };
            let contents = condition.images.iter().filter_map(|(image, recorded)| {
                Some(Comparison {
                    recorded: recorded.clone(),
                    content: Value::Unknown(*self.images.get(image)?),
                })
            });
            let compare = Operation::Compare {
                container: self.name(action.number),
                contents: contents.collect(),
            };
            let answer = self.graph.then(begin, compare);
            self.answers.insert(action.number, answer);
        }
    }

    /// Adds operations that are called for only if the action is.
    fn given<T>(&mut self, action: &ContainerAction, add: impl FnOnce(&mut Self) -> T) -> T {
        let given = self.graph.given.len();
        if let Some(condition) = &action.condition
            && let Some(answer) = self.answers.get(&action.number)
        {
            let need = Need::Answer(*answer, condition.differ);
            self.graph.given.push(need);
        }
        let added = add(self);
        self.graph.given.truncate(given);
        added
    }

    /// What is there already or missing. Each batch is ready before the next one starts: many that
    /// start at once take the machine down, and of a version that doesn't work only so many are
    /// started.
    fn launch_all(&mut self, begin: NodeId) -> Vec<NodeId> {
        let present = self.plan.containers.iter().filter(|it| match it.step {
            Step::Keep { .. } | Step::Start { .. } | Step::Create => true,
            Step::Recreate { .. } => it.evicted,
            _ => false,
        });
        let present: Vec<&ContainerAction> = present.collect();
        let mut last = vec![begin];
        for batch in present.chunks(concurrency::LIMIT) {
            let ends = batch
                .iter()
                .map(|action| self.given(action, |it| it.launch(action, &last)));
            last = ends.collect();
        }
        last
    }

    fn launch(&mut self, action: &ContainerAction, last: &[NodeId]) -> NodeId {
        let number = action.number;
        let joins = self.others_serve(None);
        let launched = match &action.step {
            Step::Keep { id } => {
                let (goal, fresh) = (self.goal, false);
                let container = self.existing(number, id);
                return self
                    .graph
                    .act(&container, done(last), [Act::Await { goal, fresh }]);
            }
            Step::Start { id, reason } => {
                let why = Some(format!("starting ({reason})"));
                let found = self.found(id);
                // One that is paused had its hooks.
                let paused = found.is_some_and(|it| it.status == Status::Paused);
                let acts = if paused && !self.inputs.owed.contains(id) {
                    starting(why, Vec::new())
                } else {
                    starting_again(why, found)
                };
                self.start(number, id, done(last), acts)
            }
            _ => self.create(number, number, joins, None, done(last)),
        };
        self.started.push(launched.started);
        self.ready(&launched, joins)
    }

    /// Stops containers and starts the same ones again, in batches as `update_config` has them.
    fn restart_all(&mut self, mut last: Vec<NodeId>) -> Vec<NodeId> {
        let plan = self.plan;
        let due = plan
            .containers
            .iter()
            .filter_map(|action| match &action.step {
                Step::Restart { id, cause } => Some((action, id, cause)),
                _ => None,
            });
        let due: Vec<_> = due.collect();
        for (index, batch) in due.chunks(self.batch_size(due.len())).enumerate() {
            let needs = self.after_delay(index, done(&last).collect());
            let restarts = batch.iter().map(|(action, id, cause)| {
                self.given(action, |it| {
                    let why = format!("restarting ({cause})");
                    let found = it.found(id);
                    let acts = [stopping(found, &why), starting_again(None, found)];
                    let acts = acts.into_iter().flatten();
                    let launched = it.start(action.number, id, needs.iter().copied(), acts);
                    it.ready(&launched, true)
                })
            });
            last = restarts.collect();
        }
        last
    }

    /// Replaces containers, in batches as `update_config` has them. Start-first, an old container is
    /// only stopped when its replacement serves, and stays until all are replaced: should a later one
    /// fail, it is started again as it was. Stop-first there is nothing left to go back to; `deploy
    /// rollback` makes it anew.
    fn replace_all(&mut self, last: &[NodeId]) -> Vec<NodeId> {
        let pairs = self.pairs();
        if pairs.is_empty() {
            return last.to_vec();
        }
        let start_first = self.plan.order == UpdateOrder::StartFirst;
        let failure_action = self.service.deploy.update_config.failure_action;
        let goes_back = start_first && failure_action == FailureAction::Rollback;
        let together = goes_back.then(|| self.graph.begin_transaction(false));
        let mut ends = Vec::with_capacity(pairs.len());
        let mut before: Vec<Need> = Vec::new();
        for (index, batch) in pairs.chunks(self.batch_size(pairs.len())).enumerate() {
            let needs = self.after_delay(index, done(last).chain(before).collect());
            before = Vec::with_capacity(batch.len());
            for pair in batch {
                // Nobody wants back what doesn't work, once its replacement does.
                self.graph.transaction = match together {
                    Some(_) if pair.is_ailing() => Some(self.graph.begin_transaction(true)),
                    together => together,
                };
                let (end, given) = self.given(pair.action, |it| it.replace(pair, needs.clone()));
                self.graph.transaction = None;
                before.push(match failure_action {
                    FailureAction::Continue => Need::Over(end),
                    FailureAction::Rollback | FailureAction::Pause => Need::Done(end),
                });
                ends.push((pair, end, given));
            }
        }
        let all_ends = ends.iter().map(|(_, end, _)| Need::Done(*end));
        let replaced = Operation::Replaced(self.plan.service.clone());
        let replaced = self.graph.add(replaced, all_ends);
        let mut all = vec![replaced];
        if start_first {
            for (pair, end, given) in ends {
                let settled = if goes_back && !pair.is_ailing() {
                    Need::Done(replaced)
                } else {
                    Need::Over(replaced)
                };
                let needs = [Need::Done(end), settled].into_iter().chain(given);
                all.push(self.graph.act(&pair.old, needs, [Act::Remove]));
            }
        }
        all
    }

    fn pairs(&self) -> Vec<Pair<'a>> {
        let plan = self.plan;
        let changed = plan
            .containers
            .iter()
            .filter_map(|action| match &action.step {
                Step::Recreate { id, .. } if !action.evicted => Some((action, id, None)),
                Step::Renew { id, cause } => Some((action, id, Some(cause))),
                _ => None,
            });
        // Start-first needs a number for the new container beside the old one's: one that no
        // container of the service has or will have.
        let taken = |number: &u32| {
            let mut there = self.inputs.state.of_service(&plan.service);
            plan.containers.iter().any(|it| it.number == *number)
                || there.any(|it| it.number == *number)
        };
        let spare = (1..).filter(|number| !taken(number));
        let pairs = changed.zip(spare).map(|((action, id, cause), spare)| Pair {
            action,
            old: Target::known(&self.name(action.number), id),
            new: match plan.order {
                UpdateOrder::StopFirst => action.number,
                UpdateOrder::StartFirst => spare,
            },
            cause,
        });
        pairs.collect()
    }

    /// Replaces one container. Returns the last operation, and the answers that all of it is given.
    fn replace(&mut self, pair: &Pair<'_>, mut needs: Vec<Need>) -> (NodeId, Vec<Need>) {
        let (number, old) = (pair.action.number, &pair.old);
        let conditions = self.graph.given.len();
        if pair.cause == Some(&Cause::Unhealthy) {
            let look = self.graph.act(old, needs.iter().copied(), [Act::LookAgain]);
            self.graph.given.push(Need::Answer(look, true));
        }
        let stop_first = self.plan.order == UpdateOrder::StopFirst;
        if stop_first {
            let acts = removal(self.found_at(old), "replacing");
            needs = vec![Need::Done(self.graph.act(old, needs, acts))];
        }
        let going = if stop_first { old.id.get() } else { None };
        let joins = self.others_serve(going);
        let launched = self.create(number, pair.new, joins, Some(old), needs);
        let mut end = self.ready(&launched, true);
        if !stop_first {
            let found = self.found_at(old);
            let acts = stopping(found, "replaced");
            let mut back = starting_again(Some("starting again".to_owned()), found);
            end = self.graph.act(old, [Need::Done(end)], acts);
            let (goal, fresh) = (self.goal, true);
            back.push(Act::Await { goal, fresh });
            let back = back.into_iter();
            let back = back.map(|act| Operation::To(old.clone(), act));
            self.graph.undo(end, back, None);
        }
        self.containers
            .entry(number)
            .or_default()
            .extend([old.id.clone()]);
        let given = self.graph.given.clone();
        self.graph.given.truncate(conditions);
        (end, given)
    }

    /// Last, so that what replaced them serves already.
    fn remove_surplus(&mut self, last: Vec<NodeId>) -> Vec<NodeId> {
        let plan = self.plan;
        let needs: Vec<Need> = done(&last).collect();
        let surplus = plan
            .containers
            .iter()
            .filter_map(|action| match &action.step {
                Step::Remove { id, reason } if !action.evicted => Some((action.number, id, reason)),
                _ => None,
            });
        let removed = surplus.map(|(number, id, reason)| {
            let container = Target::known(&self.name(number), id);
            let needs = needs.iter().copied();
            let acts = removal(self.found(id), reason);
            self.graph.act(&container, needs, acts)
        });
        let removed: Vec<NodeId> = removed.collect();
        if removed.is_empty() { last } else { removed }
    }

    /// Starts a container that is there, or does so last.
    fn start(
        &mut self,
        number: u32,
        id: &str,
        needs: impl IntoIterator<Item = Need>,
        acts: impl IntoIterator<Item = Act>,
    ) -> Launched {
        let container = self.existing(number, id);
        Launched {
            started: self.graph.act(&container, needs, acts),
            container,
            nameless: Vec::new(),
        }
    }

    /// Creates a container and starts it. It stays without its names until it is ready if others
    /// serve under them meanwhile. `slot` is its number in the plan; `restores` serves again when it
    /// is undone.
    fn create(
        &mut self,
        slot: u32,
        number: u32,
        others_serve: bool,
        restores: Option<&Target>,
        needs: impl IntoIterator<Item = Need>,
    ) -> Launched {
        let image = self.inputs.images.get(&self.service.image);
        let content = match self.images.get(&self.service.image) {
            Some(node) => Some(Value::Unknown(*node)),
            None => image.content.map(Value::Known),
        };
        let nameless = if others_serve && self.goal != Goal::Completed {
            withholdable(self.inputs.project, self.service)
        } else {
            Vec::new()
        };
        let name = self.name(number);
        let creation = Creation {
            name: name.clone(),
            service: self.plan.service.clone(),
            number,
            image: image.pinned.unwrap_or_else(|| self.service.image.clone()),
            content,
            nameless: nameless.clone(),
            joins: self.joins.clone(),
        };
        let created = Operation::Create(Box::new(creation));
        let created = self.graph.add(created, needs);
        let discard = Operation::Discard { name: name.clone() };
        self.graph.undo(created, [discard], restores);
        let id = Value::Unknown(created);
        self.containers.entry(slot).or_default().push(id.clone());
        let container = Target { name, id };
        let start = starting(None, self.service.post_start.clone());
        Launched {
            started: self.graph.act(&container, [Need::Done(created)], start),
            container,
            nameless,
        }
    }

    /// Waits until a container is ready, then gives it the names it has yet to get. What joins others
    /// or takes another's place is watched for a while (`monitor`).
    fn ready(&mut self, launched: &Launched, watched: bool) -> NodeId {
        let (goal, fresh) = (self.goal, true);
        let names = (!launched.nameless.is_empty()).then(|| Act::GiveNames {
            service: self.plan.service.clone(),
            networks: launched.nameless.clone(),
        });
        let period = self.service.deploy.update_config.monitor;
        let watch = (watched && !period.is_zero()).then_some(Act::Watch { goal, period });
        let acts = [Act::Await { goal, fresh }]
            .into_iter()
            .chain(names)
            .chain(watch);
        let started = [Need::Done(launched.started)];
        self.graph.act(&launched.container, started, acts)
    }

    /// `delay`: before every batch but the first.
    fn after_delay(&mut self, batch: usize, needs: Vec<Need>) -> Vec<Need> {
        let period = self.service.deploy.update_config.delay;
        if batch == 0 || period.is_zero() {
            return needs;
        }
        vec![Need::Done(
            self.graph.add(Operation::Delay { period }, needs),
        )]
    }

    /// How many of `count` containers are replaced or restarted at a time.
    fn batch_size(&self, count: usize) -> usize {
        match self.service.deploy.update_config.parallelism {
            0 => count.clamp(1, concurrency::LIMIT),
            n => usize::try_from(n).unwrap_or(usize::MAX),
        }
    }

    /// Whether containers of the service serve already, beside the one that is to go.
    fn others_serve(&self, going: Option<&str>) -> bool {
        let evicted = |number| {
            let mut actions = self.plan.containers.iter();
            actions.any(|it| it.number == number && it.evicted)
        };
        let mut there = self.inputs.state.of_service(&self.plan.service);
        there
            .any(|it| it.status == Status::Running && going != Some(&*it.id) && !evicted(it.number))
    }

    /// A container that is there.
    fn found(&self, id: &str) -> Option<&'a Container> {
        let mut there = self.inputs.state.containers.iter();
        there.find(|it| it.id == id)
    }

    fn found_at(&self, target: &Target) -> Option<&'a Container> {
        self.found(target.id.get()?)
    }

    fn name(&self, number: u32) -> String {
        container::name(
            self.inputs.project,
            &self.plan.service,
            self.service,
            number,
        )
    }

    fn existing(&mut self, number: u32, id: &str) -> Target {
        let container = Target::known(&self.name(number), id);
        self.containers
            .entry(number)
            .or_default()
            .push(container.id.clone());
        container
    }
}

/// What others wait for decides what a service has to reach.
fn goal(project: &Project, name: &ServiceName) -> Goal {
    let awaited = |condition: Awaited| {
        let services = project.services.values();
        services
            .filter_map(|it| it.depends_on.get(name))
            .any(|it| it.condition == condition)
    };
    if awaited(Awaited::ServiceCompletedSuccessfully) {
        Goal::Completed
    } else if awaited(Awaited::ServiceHealthy) {
        Goal::Healthy
    } else {
        Goal::Up
    }
}

/// The networks of a service over which it reaches none of its dependencies.
///
/// A new container is found by its service's names only once it is ready, so that no request reaches
/// it before. Docker can't add a name to an endpoint that exists. So the container is connected
/// without any, and when it is ready the endpoint is made anew with them. That cuts the connections
/// that go over this endpoint: none on a network over which the container is only reached, since
/// nobody could find it there; but those to a database, say, on a network that it shares with what it
/// depends on. There it has its names from the start.
fn withholdable(project: &Project, service: &Service) -> Vec<NetworkKey> {
    let dependencies = dependencies(service);
    let reaches_dependency = |key: &NetworkKey| {
        dependencies
            .iter()
            .filter_map(|(name, _)| project.services.get(name))
            .any(|dependency| dependency.networks.contains_key(key))
    };
    let keys = service.networks.keys();
    keys.filter(|key| !reaches_dependency(key))
        .cloned()
        .collect()
}

fn done(nodes: &[NodeId]) -> impl Iterator<Item = Need> {
    nodes.iter().copied().map(Need::Done)
}
