//! What differs between the file and the Swarm.

use std::collections::BTreeMap;
use std::time::SystemTime;

use compose_file::Project;
use compose_file::model::{SecretName, Service, ServiceName};
use engine::Engine;
use engine::api::{ServiceSpec, TaskSpecContainerSpecSecrets};
use engine::error::Result;
use engine::image::{Images, Need};
use engine::labels;
use engine::swarm::spec::{self, References};
use engine::swarm::stack::{self, Stack};
use engine::swarm::{self, settings};

use super::data::{self, Home};
use super::images::{self, Outlook};
use super::objects::Contents;
use crate::apply::Options;
use crate::certificates;
use crate::diff::{self, Change};
use crate::origin::Reach;
use crate::output::plan::{Line, PlanView};
use crate::secrets::{self, Secrets};

/// What a plan is computed from.
pub(super) struct Observed {
    /// The id of the node that the engine is.
    pub(super) here: String,
    pub(super) stack: Stack,
    pub(super) images: Images,
    pub(super) secrets: Secrets,
    /// Certificates to be made anew, and why.
    pub(super) due: BTreeMap<SecretName, String>,
    /// Certificates that nobody could serve with.
    pub(super) faults: Vec<String>,
    notes: Vec<String>,
}

/// What has to be done.
pub(super) struct Plan<'a> {
    /// Files of secrets to be generated.
    pub(super) secrets: Vec<&'a SecretName>,
    /// Images to be built or pulled first: with them, there is another plan.
    pub(super) needs: Vec<(&'a Service, Need)>,
    /// How the others get to the nodes.
    pub(super) images: Outlook,
    /// Networks to be made, by key.
    pub(super) networks: Vec<&'a str>,
    /// Where data is to be.
    pub(super) homes: Vec<Home<'a>>,
    /// What stands in the way of that.
    pub(super) homeless: Vec<String>,
    /// Services to be made or changed.
    pub(super) services: BTreeMap<&'a ServiceName, Step>,
    /// Services that the file doesn't have any more.
    pub(super) gone: Vec<&'a stack::Service>,
    /// All of it, for people and machines.
    pub(super) view: PlanView,
}

/// What is done about a service.
#[derive(Debug)]
pub(super) enum Step {
    Create,
    /// Because of these settings; of none where it is only started anew.
    Update(Vec<Change>),
}

impl Observed {
    pub(super) async fn look(
        engine: &Engine,
        project: &Project,
        options: &Options,
    ) -> Result<Self> {
        let here = swarm::manager(engine).await?;
        let certificates = certificates::outlook(project, SystemTime::now());
        let secrets = Secrets::read(project)?.without(certificates.due.keys());
        let images = async {
            match &options.release {
                Some(release) => Images::of_release(engine, &release.images).await,
                None => Images::observe(engine, project, options.refresh).await,
            }
        };
        let (stack, images) = tokio::try_join!(Stack::observe(engine, &project.name), images)?;
        let mut notes = secrets::exposed(project);
        notes.extend(certificates.notes);
        Ok(Self {
            here,
            stack,
            images,
            secrets,
            due: certificates.due,
            faults: certificates.faults,
            notes,
        })
    }

    pub(super) async fn plan<'a>(
        &'a self,
        engine: &Engine,
        project: &'a Project,
        options: &Options,
    ) -> Result<Plan<'a>> {
        let stack = &self.stack;
        let mut references = networks(stack);
        let (homes, homeless) = data::homes(project, stack, &self.here);
        references.homes = data::ids(&homes);
        let wanted = images::of_project(project, &self.images, stack, &references.homes);
        let outlook = images::look(engine, project, stack, &self.here, &wanted).await?;
        references.images.clone_from(&outlook.references);
        let contents = Contents::read(project, &self.secrets)?;
        let new = contents.find(project, stack, &mut references);
        let mut lines = Lines::default();

        let absent = |name: &&SecretName| !self.secrets.exists(name);
        let generated: Vec<&SecretName> = secrets::used(project)
            .map(|(name, _)| name)
            .filter(absent)
            .collect();
        for name in &generated {
            match self.due.get(*name) {
                Some(why) => lines.add("secret", name, "renew", why, &[]),
                None => lines.add("secret", name, "create", "generated", &[]),
            }
        }
        let needs = needs(project, &self.images);
        for (service, need) in &needs {
            match need {
                Need::Build { reason, .. } => {
                    lines.add("image", &service.image, "build", reason, &[]);
                }
                Need::Pull { reason } => lines.add("image", &service.image, "pull", reason, &[]),
            }
        }
        for (image, action, reason) in outlook.lines() {
            lines.add("image", &image, action, &reason, &[]);
        }
        let networks = missing_networks(project, stack);
        for key in &networks {
            let name = project
                .networks
                .get(*key)
                .map_or(*key, |it| it.name.as_str());
            lines.add("network", name, "create", "", &[]);
        }
        for object in &new {
            lines.add(object.kind().word(), object.name(), "create", "", &[]);
        }
        for home in &homes {
            for (key, value) in &home.labels {
                let reason = format!("{key}={value}: {}'s data is to be there", home.service);
                lines.add("node", &home.node.name, "label", &reason, &[]);
            }
        }

        let mut services = BTreeMap::new();
        for (name, service) in &project.services {
            let open = self.images.get(&service.image).need.is_some();
            if open && let Some(image) = images::as_it_runs(stack, name) {
                references.images.insert(service.image.clone(), image);
            }
            match self.step(project, (name, service), &references, options) {
                None if open => {
                    let reason = "if its image comes out as another one";
                    lines.add("service", &spec::name(project, name), "update", reason, &[]);
                }
                None => lines.unchanged += 1,
                Some(step) => {
                    let (action, changes) = match &step {
                        Step::Create => ("create", &[][..]),
                        Step::Update(changes) => ("update", &changes[..]),
                    };
                    lines.add("service", &spec::name(project, name), action, "", changes);
                    services.insert(name, step);
                }
            }
        }
        let (gone, kept) = orphans(project, stack, options.reach);
        for service in &gone {
            lines.add(
                "service",
                &service.name,
                "remove",
                "not in the file any more",
                &[],
            );
        }
        let mut notes = self.notes.clone();
        notes.extend(self.secrets.rotation_under_way(project));
        notes.extend(outlook.notes.iter().cloned());
        let starting: Vec<&ServiceName> = services.keys().copied().collect();
        notes.extend(images::by_hand(
            project,
            stack,
            &self.here,
            &references.images,
            &references.homes,
            &starting,
        ));
        notes.extend(kept.iter().map(|it| {
            format!(
                "service {} isn't in the file: it was brought up from another one, and stays (`--remove-orphans` \
                 removes it)",
                it.name
            )
        }));
        Ok(Plan {
            secrets: generated,
            needs,
            images: outlook,
            networks,
            homes,
            homeless,
            services,
            gone,
            view: lines.into_view(project, notes),
        })
    }

    /// What has to be done about a service, compared with what the engine has.
    fn step(
        &self,
        project: &Project,
        (name, service): (&ServiceName, &Service),
        references: &References,
        options: &Options,
    ) -> Option<Step> {
        let Some(there) = self.stack.services.get(name.as_str()) else {
            return Some(Step::Create);
        };
        let wanted = spec::service(project, name, service, references, None);
        let is = settings::of_service(&there.spec);
        let changes = diff::changes(&is, &settings::of_service(&wanted));
        // A new value of what it is told of is no reason to start it anew.
        let mut told = wanted;
        keep_told(project, (name, service), &there.spec, &mut told);
        let same = settings::of_service(&told) == is;
        (!same || options.force_recreate).then_some(Step::Update(changes))
    }
}

/// Has a service see the secrets that it is told of (`x-rotate`) as `there`, which has them in its data.
fn keep_told(
    project: &Project,
    (name, service): (&ServiceName, &Service),
    there: &ServiceSpec,
    wanted: &mut ServiceSpec,
) {
    let told = |target: &str| {
        let mut mounts = service.secrets.iter();
        let mount = mounts.find(|it| it.target == target);
        let secret = mount.and_then(|it| project.secrets.get(&it.source));
        secret.is_some_and(|it| it.is_told_to(name))
    };
    let target = |it: &TaskSpecContainerSpecSecrets| it.file.as_ref()?.name.clone();
    let seen = there.task_template.as_ref();
    let seen = seen.and_then(|it| it.container_spec.as_ref()?.secrets.as_deref());
    let template = wanted.task_template.as_mut();
    let container = template.and_then(|it| it.container_spec.as_mut());
    for secret in container
        .into_iter()
        .flat_map(|it| &mut it.secrets)
        .flatten()
    {
        let Some(path) = target(secret).filter(|it| told(it)) else {
            continue;
        };
        let mut seen = seen.unwrap_or_default().iter();
        if let Some(seen) = seen.find(|it| target(it).as_ref() == Some(&path)) {
            secret.secret_id.clone_from(&seen.secret_id);
            secret.secret_name.clone_from(&seen.secret_name);
        }
    }
}

/// The keys of networks that services are on and that aren't there.
fn missing_networks<'a>(project: &'a Project, stack: &Stack) -> Vec<&'a str> {
    let used = |key: &str| {
        let mut services = project.services.values();
        services.any(|it| it.networks.contains_key(key))
    };
    let missing = project.networks.iter().filter(|(key, network)| {
        !network.external && used(key) && !stack.networks.contains_key(&network.name)
    });
    missing.map(|(key, _)| key.as_str()).collect()
}

/// Services that the file doesn't have: those to be removed, and those that another file brought.
pub(super) fn orphans<'a>(
    project: &Project,
    stack: &'a Stack,
    reach: Reach,
) -> (Vec<&'a stack::Service>, Vec<&'a stack::Service>) {
    let first = project.files.first().display().to_string();
    let goes = |service: &&stack::Service| {
        let labels = service.spec.labels.as_ref();
        let file = labels.and_then(|it| it.get(labels::FILE));
        reach.remove_orphans || file == Some(&first)
    };
    let services = stack.services.iter();
    let unknown = services.filter(|(key, _)| {
        let (key, disabled) = (key.as_str(), &project.disabled.services);
        !project.services.contains_key(key) && !disabled.contains_key(key)
    });
    unknown.map(|(_, service)| service).partition(goes)
}

/// The networks that are there.
pub(super) fn networks(stack: &Stack) -> References {
    let networks = stack.networks.iter();
    References {
        networks: networks
            .map(|(name, it)| (name.clone(), it.id.clone()))
            .collect(),
        ..References::default()
    }
}

/// Each image that has to be built or pulled, by a service that is made from it.
fn needs<'a>(project: &'a Project, images: &Images) -> Vec<(&'a Service, Need)> {
    let mut needs: Vec<(&Service, Need)> = Vec::new();
    for service in project.services.values() {
        if let Some(need) = images.get(&service.image).need
            && needs.iter().all(|(it, _)| it.image != service.image)
        {
            needs.push((service, need));
        }
    }
    needs
}

#[derive(Default)]
struct Lines {
    actions: Vec<Line>,
    unchanged: usize,
}

impl Lines {
    fn add(
        &mut self,
        kind: &'static str,
        name: &str,
        action: &'static str,
        reason: &str,
        changes: &[Change],
    ) {
        self.actions.push(Line {
            kind,
            name: name.to_owned(),
            action,
            reason: reason.to_owned(),
            changes: changes.to_vec(),
        });
    }

    fn into_view(self, project: &Project, notes: Vec<String>) -> PlanView {
        PlanView {
            project: project.name.to_string(),
            actions: self.actions,
            unchanged: self.unchanged,
            units: "services",
            notes,
            takes_over_from: None,
        }
    }
}
