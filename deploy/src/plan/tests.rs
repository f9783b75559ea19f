//! Plans from made-up states: each test names one difference and the one step it costs.

use std::collections::BTreeMap;

use super::*;
use crate::compose::{self, LoadOptions};
use crate::image::ImageState;

const FILE: &str = "
services:
  api:
    image: app
    environment: {COLOUR: blue}
    networks: {front: {aliases: [site]}}
    depends_on: [db]
    deploy: {replicas: 2, update_config: {order: start-first}}
  db:
    image: app
    volumes: ['data:/data']
networks: {front: {name: front}}
volumes: {data: }
";

/// A project, and the engine as it is when everything was brought up from it.
struct Scene {
    project: Project,
    state: State,
    images: Images,
}

impl Scene {
    fn up(file: &str) -> Self {
        let mut scene = Self {
            project: load(file),
            state: State::default(),
            images: images(None),
        };
        for plan in scene.plan().services {
            for action in plan.containers {
                let container = scene.container(&plan.service, action.number);
                scene.state.containers.push(container);
            }
        }
        let recorded = |name: &String, config| Resource {
            config: Some(config),
            ..resource(name)
        };
        let networks = scene.project.networks.values();
        scene.state.networks = networks
            .map(|it| recorded(&it.name, spec::network(it)))
            .collect();
        let volumes = scene.project.volumes.values();
        scene.state.volumes = volumes
            .map(|it| recorded(&it.name, spec::volume(it)))
            .collect();
        scene
    }

    fn container(&self, name: &ServiceName, number: u32) -> Container {
        let service = &self.project.services[name];
        let config = spec::container(
            &self.project,
            name,
            service,
            Some("content"),
            &Secrets::default(),
            "",
        );
        let endpoints = service.networks.iter().map(|(key, attachment)| {
            let mut names = attachment.aliases.clone();
            names.push(name.to_string());
            (self.project.networks[key].name.clone(), names)
        });
        Container {
            secrets: BTreeMap::new(),
            id: format!("{name}-{number}"),
            name: format!("test-{name}-{number}"),
            service: name.to_string(),
            number,
            image: service.image.clone(),
            status: Status::Running,
            health: None,
            exit_code: None,
            started_at: None,
            created: None,
            file: Some(self.project.file.clone()),
            config: Some(config),
            endpoints: endpoints.collect(),
            network_mode: String::new(),
            anonymous_volumes: false,
            ports: Vec::new(),
            published: BTreeSet::new(),
        }
    }

    fn plan(&self) -> Plan {
        self.plan_only(None)
    }

    fn plan_only(&self, only: Option<&[ServiceName]>) -> Plan {
        Plan::compute(Inputs {
            project: &self.project,
            state: &self.state,
            images: &self.images,
            secrets: &Secrets::default(),
            only,
            force_recreate: false,
        })
    }

    /// The steps for one service, without those that keep.
    fn steps(&self, service: &str) -> Vec<(u32, Step)> {
        let plans = self
            .plan()
            .services
            .into_iter()
            .filter(|it| it.service.as_str() == service);
        plans
            .flat_map(|it| it.containers)
            .filter(|it| !it.is_keep())
            .map(|it| (it.number, it.step))
            .collect()
    }

    fn container_mut(&mut self, id: &str) -> &mut Container {
        self.state
            .containers
            .iter_mut()
            .find(|it| it.id == id)
            .expect("a container of the scene")
    }
}

fn resource(name: &str) -> Resource {
    Resource {
        name: name.to_owned(),
        ..Resource::default()
    }
}

fn load(file: &str) -> Project {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("compose.yaml");
    std::fs::write(&path, file).expect("a file");
    let options = LoadOptions {
        file: path,
        project_name: Some("test".to_owned()),
        env: BTreeMap::new(),
    };
    compose::load(&options).expect("a valid file")
}

fn images(need: Option<Need>) -> Images {
    Images::with([(
        "app",
        ImageState {
            content: Some("content".to_owned()),
            need,
            pinned: None,
        },
    )])
}

#[test]
fn a_bare_engine_needs_everything_dependencies_first() {
    let scene = Scene {
        project: load(FILE),
        state: State::default(),
        images: images(None),
    };
    let plan = scene.plan();
    assert_eq!(plan.networks.len(), 2, "front and the default one of db");
    assert_eq!(plan.volumes, ["data"]);
    let services: Vec<&str> = plan.services.iter().map(|it| it.service.as_str()).collect();
    assert_eq!(services, ["db", "api"]);
    let numbers: Vec<u32> = plan.services[1]
        .containers
        .iter()
        .map(|it| it.number)
        .collect();
    assert_eq!(numbers, [1, 2]);
}

#[test]
fn what_is_as_it_should_be_needs_nothing() {
    let plan = Scene::up(FILE).plan();
    assert!(plan.is_empty(), "{plan:?}");
}

#[test]
fn a_changed_setting_recreates_its_service_alone() {
    let mut scene = Scene::up(FILE);
    scene.project = load(&FILE.replace("blue", "green"));
    assert!(scene.steps("db").is_empty());
    let change = Change {
        setting: "environment.COLOUR".into(),
        old: Some("\"blue\"".into()),
        new: Some("\"green\"".into()),
    };
    for (_, step) in scene.steps("api") {
        let Step::Recreate { changes, .. } = step else {
            panic!("{step:?}")
        };
        assert_eq!(changes, std::slice::from_ref(&change));
    }
    assert_eq!(scene.steps("api").len(), 2);
}

#[test]
fn how_services_are_rolled_out_is_not_a_setting_of_their_containers() {
    let mut scene = Scene::up(FILE);
    scene.project = load(
        &FILE
            .replace("start-first", "stop-first")
            .replace("depends_on: [db]", ""),
    );
    assert!(scene.plan().is_empty());
}

#[test]
fn start_first_needs_room_for_two() {
    let order = |file: &str| {
        Scene::up(file)
            .plan()
            .services
            .pop()
            .expect("api comes last")
            .order
    };
    assert_eq!(order(FILE), UpdateOrder::StartFirst);
    let published = FILE.replace("replicas: 2,", "").replace(
        "depends_on: [db]",
        "ports: ['8080:80']\n    depends_on: [db]",
    );
    assert_eq!(order(&published), UpdateOrder::StopFirst);
}

#[test]
fn a_rebuilt_image_may_change_its_containers() {
    let mut scene = Scene::up(FILE);
    scene.images = images(Some(Need::Build {
        reason: "its sources changed",
        hash: "x".into(),
    }));
    let plan = scene.plan();
    assert_eq!(
        plan.images.len(),
        1,
        "one image, though two services use it"
    );
    assert_eq!(scene.steps("db").len(), 1);
}

#[test]
fn a_missing_container_takes_the_lowest_free_number() {
    let mut scene = Scene::up(FILE);
    scene.state.containers.retain(|it| it.id != "api-1");
    assert_eq!(scene.steps("api"), [(1, Step::Create)]);
}

#[test]
fn the_best_containers_stay_when_there_are_too_many() {
    let mut scene = Scene::up(FILE);
    scene.project = load(&FILE.replace("replicas: 2", "replicas: 1"));
    let surplus = |id: &str| Step::Remove {
        id: id.into(),
        reason: "one too many",
    };
    assert_eq!(
        scene.steps("api"),
        [(2, surplus("api-2"))],
        "the newest goes"
    );
    scene.container_mut("api-1").health = Some(Health::Unhealthy);
    assert_eq!(
        scene.steps("api"),
        [(1, surplus("api-1"))],
        "unless another fails"
    );
}

#[test]
fn an_interrupted_start_first_replacement_ends_with_the_old_one_going() {
    let mut scene = Scene::up(&FILE.replace("replicas: 2", "replicas: 1"));
    scene.project = load(
        &FILE
            .replace("replicas: 2", "replicas: 1")
            .replace("blue", "green"),
    );
    let new = scene.project.services.keys().next().expect("api").clone();
    let new = scene.container(&new, 2);
    scene.state.containers.push(new);
    let old = Step::Remove {
        id: "api-1".into(),
        reason: "replaced",
    };
    assert_eq!(scene.steps("api"), [(1, old)]);
}

#[test]
fn a_container_that_does_not_run_is_started_unless_its_work_is_done() {
    let mut scene = Scene::up(FILE);
    let db = scene.container_mut("db-1");
    db.status = Status::Exited;
    db.exit_code = Some(137);
    let start = |reason: &str| Step::Start {
        id: "db-1".into(),
        reason: reason.into(),
    };
    assert_eq!(scene.steps("db"), [(1, start("it ended with status 137"))]);
    scene.container_mut("db-1").exit_code = Some(0);
    assert!(scene.steps("db").is_empty());
    scene.container_mut("db-1").status = Status::Created;
    assert_eq!(scene.steps("db"), [(1, start("it was never started"))]);
    scene.container_mut("db-1").status = Status::Dead;
    assert!(matches!(
        scene.steps("db")[..],
        [(1, Step::Recreate { .. })]
    ));
}

#[test]
fn a_lost_alias_recreates() {
    let mut scene = Scene::up(FILE);
    let names = scene
        .container_mut("api-2")
        .endpoints
        .get_mut("front")
        .expect("connected");
    names.retain(|name| name != "site");
    let steps = scene.steps("api");
    let [(2, Step::Recreate { changes, .. })] = &steps[..] else {
        panic!("{steps:?}")
    };
    assert_eq!(changes[0].new.as_deref(), Some("with alias site"));
}

#[test]
fn what_the_file_does_not_know_goes_unless_only_some_services_are_planned() {
    let mut scene = Scene::up(FILE);
    scene.container_mut("api-1").service = "gone".into();
    scene.state.networks.push(resource("old"));
    scene.state.volumes.push(resource("old"));
    let plan = scene.plan();
    assert_eq!(plan.orphans.len(), 1);
    assert_eq!(
        plan.networks,
        [NetworkAction::Remove { name: "old".into() }]
    );
    assert_eq!(plan.notes.len(), 1, "the volume is kept and mentioned");

    let db = scene.project.services.keys().nth(1).expect("db").clone();
    let plan = scene.plan_only(Some(&[db]));
    assert!(plan.is_empty(), "{plan:?}");
}

#[test]
fn what_does_not_work_is_renewed_or_restarted_where_data_would_go() {
    let mut scene = Scene::up(FILE);
    scene.container_mut("api-1").health = Some(Health::Unhealthy);
    scene.container_mut("api-2").status = Status::Restarting;
    let renewed = |id: &str, cause| Step::Renew {
        id: id.to_owned(),
        cause,
    };
    assert_eq!(
        scene.steps("api"),
        [
            (1, renewed("api-1", Cause::Unhealthy)),
            (2, renewed("api-2", Cause::Restarting))
        ]
    );
    scene.container_mut("api-2").status = Status::Running;
    scene.container_mut("api-1").anonymous_volumes = true;
    let restarted = Step::Restart {
        id: "api-1".to_owned(),
        cause: Cause::Unhealthy,
    };
    assert_eq!(scene.steps("api"), [(1, restarted)]);
}

#[test]
fn who_leads_to_others_is_renewed_when_none_of_them_works() {
    let mut scene = Scene::up(&format!(
        "{FILE}x-verify: {{entry_points: {{db: {{accepted_by: api}}}}}}\n"
    ));
    scene.container_mut("api-1").health = Some(Health::Unhealthy);
    assert_eq!(scene.steps("db"), [], "one is left");
    scene.container_mut("api-2").health = Some(Health::Unhealthy);
    let cause = Cause::LeadsNowhere(scene.project.services.keys().next().expect("api").clone());
    let id = "db-1".to_owned();
    assert_eq!(scene.steps("db"), [(1, Step::Renew { id, cause })]);
}
