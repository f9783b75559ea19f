//! Plans from made-up states: each test names one difference and the operations that it costs.

use std::collections::{BTreeMap, BTreeSet};

use compose_file::{self, LoadOptions};
use engine::image::{ImageState, Images, Need as ImageNeed};
use engine::state::{Container, Health, Resource, Status};

use super::*;
use crate::diff::Change;
use crate::secrets::Secrets;
use crate::spec;

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
    secrets: Secrets,
    owed: BTreeSet<String>,
}

impl Scene {
    fn up(file: &str) -> Self {
        let mut scene = Self {
            project: load(file),
            state: State::default(),
            images: images(None),
            secrets: Secrets::default(),
            owed: BTreeSet::new(),
        };
        for plan in scene.plan().changes.services {
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
            &self.secrets,
            "",
        );
        let endpoints = service.networks.iter().map(|(key, attachment)| {
            let mut names = attachment.aliases.clone();
            names.push(name.to_string());
            (self.project.networks[key].name.clone(), names)
        });
        Container {
            secrets: BTreeMap::new(),
            replica_set: None,
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
            files: Some(self.project.files.clone()),
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
        Plan::up(Inputs {
            only,
            ..self.inputs()
        })
    }

    fn inputs(&self) -> Inputs<'_> {
        Inputs {
            project: &self.project,
            state: &self.state,
            images: &self.images,
            secrets: &self.secrets,
            owed: &self.owed,
            only: None,
            force_recreate: false,
        }
    }

    /// What is done for one service, beside waiting for what is there.
    fn operations(&self, service: &str) -> Vec<String> {
        let plan = self.plan();
        let nodes = plan.graph.nodes().map(|(_, node)| node);
        let of_service = nodes.filter(|it| it.service.as_deref() == Some(service));
        let done = of_service.map(|it| &it.operation).filter(|it| {
            let idle = matches!(it, Operation::Begin { .. } | Operation::Replaced(_));
            let kept = matches!(it, Operation::To(_, Act::Await { fresh: false, .. }));
            !idle && !kept
        });
        done.map(ToString::to_string).collect()
    }

    /// The settings that differ in the containers of one service.
    fn changes(&self, service: &str) -> Vec<Change> {
        let services = self.plan().changes.services.into_iter();
        let of_service = services.filter(|it| it.service.as_str() == service);
        let steps = of_service.flat_map(|it| it.containers).map(|it| it.step);
        steps
            .filter_map(|step| match step {
                Step::Recreate { changes, .. } => Some(changes),
                _ => None,
            })
            .flatten()
            .collect()
    }

    fn service(&self, name: &str) -> ServiceName {
        let (name, _) = self
            .project
            .services
            .get_key_value(name)
            .expect("of the file");
        name.clone()
    }

    /// A value in the file of a secret.
    fn put(&mut self, secret: &str, value: &str) {
        let (name, _) = self
            .project
            .secrets
            .get_key_value(secret)
            .expect("of the file");
        self.secrets.put(name, value);
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
        files: vec![path],
        project_name: Some("test".to_owned()),
        ..LoadOptions::default()
    };
    compose_file::load(&options).expect("a valid file")
}

fn images(need: Option<ImageNeed>) -> Images {
    let image = |need| ImageState {
        content: Some("content".to_owned()),
        need,
        pinned: None,
    };
    Images::with([("app", image(need)), ("other", image(None))])
}

#[test]
fn a_bare_engine_needs_everything_dependencies_first() {
    let scene = Scene {
        project: load(FILE),
        state: State::default(),
        images: images(None),
        secrets: Secrets::default(),
        owed: BTreeSet::new(),
    };
    insta::assert_snapshot!(scene.plan(), @"
    1 create network front
    2 create network test_default
    3 create volume test_data
    4 begin db
    5 create test-db-1
    6 start test-db-1
    7 await test-db-1 up
    8 begin api, after 3, after 4, after 6
    9 create test-api-1
    10 start test-api-1
    11 await test-api-1 up
    12 create test-api-2, after 8
    13 start test-api-2
    14 await test-api-2 up
    ");
}

#[test]
fn what_is_as_it_should_be_needs_nothing() {
    let plan = Scene::up(FILE).plan();
    assert!(plan.changes.is_empty(), "{plan:?}");
}

#[test]
fn start_first_an_old_container_stays_until_all_are_replaced_and_comes_back_if_one_fails() {
    let mut scene = Scene::up(FILE);
    scene.project = load(&FILE.replace("blue", "green"));
    insta::assert_snapshot!(scene.plan(), @"
    1 begin db
    2 await test-db-1 up
    3 begin api, after 1
    4 create test-api-3 (no names on front); undo 1: discard test-api-3
    5 start test-api-3
    6 await test-api-3 up
    7 name test-api-3 on front
    8 stop test-api-1; undo 1: start test-api-1, await test-api-1 up
    9 create test-api-4 (no names on front), after 3, after 8; undo 1: discard test-api-4
    10 start test-api-4
    11 await test-api-4 up
    12 name test-api-4 on front
    13 stop test-api-2; undo 1: start test-api-2, await test-api-2 up
    14 api replaced, after 8, after 13
    15 remove test-api-1, after 8, after 14
    16 remove test-api-2, after 13, after 14
    ");
    assert_eq!(scene.operations("db"), [""; 0]);
    let change = Change {
        setting: "environment.COLOUR".into(),
        old: Some("\"blue\"".into()),
        new: Some("\"green\"".into()),
    };
    assert_eq!(scene.changes("api"), [change.clone(), change]);
}

#[test]
fn stop_first_there_is_nothing_to_go_back_to() {
    let file = FILE.replace("start-first", "stop-first, parallelism: 2, monitor: 2s");
    let mut scene = Scene::up(&file);
    scene.project = load(&file.replace("blue", "green"));
    insta::assert_snapshot!(scene.plan(), @"
    1 begin db
    2 await test-db-1 up
    3 begin api, after 1
    4 stop test-api-1
    5 remove test-api-1
    6 create test-api-1 (no names on front)
    7 start test-api-1
    8 await test-api-1 up
    9 name test-api-1 on front
    10 watch test-api-1 2.0s
    11 stop test-api-2, after 3
    12 remove test-api-2
    13 create test-api-2 (no names on front)
    14 start test-api-2
    15 await test-api-2 up
    16 name test-api-2 on front
    17 watch test-api-2 2.0s
    18 api replaced, after 10, after 17
    ");
}

#[test]
fn a_rollout_that_continues_goes_on_whatever_became_of_the_last_batch() {
    let file = FILE.replace(
        "start-first",
        "start-first, failure_action: continue, delay: 5s",
    );
    let mut scene = Scene::up(&file);
    scene.project = load(&file.replace("blue", "green"));
    insta::assert_snapshot!(scene.plan(), @"
    1 begin db
    2 await test-db-1 up
    3 begin api, after 1
    4 create test-api-3 (no names on front)
    5 start test-api-3
    6 await test-api-3 up
    7 name test-api-3 on front
    8 stop test-api-1
    9 wait 5.0s, after 3, once 8 is over
    10 create test-api-4 (no names on front)
    11 start test-api-4
    12 await test-api-4 up
    13 name test-api-4 on front
    14 stop test-api-2
    15 api replaced, after 8, after 14
    16 remove test-api-1, after 8, once 15 is over
    17 remove test-api-2, after 14, once 15 is over
    ");
}

#[test]
fn how_services_are_rolled_out_is_not_a_setting_of_their_containers() {
    let mut scene = Scene::up(FILE);
    scene.project = load(
        &FILE
            .replace("start-first", "stop-first")
            .replace("depends_on: [db]", ""),
    );
    assert!(scene.plan().changes.is_empty());
}

#[test]
fn start_first_needs_room_for_two() {
    let file = FILE.replace("replicas: 2,", "").replace(
        "depends_on: [db]",
        "ports: ['8080:80']\n    depends_on: [db]",
    );
    let mut scene = Scene::up(&file);
    scene.project = load(&file.replace("blue", "green"));
    assert_eq!(scene.operations("api")[0], "stop test-api-1");
}

#[test]
fn what_a_build_comes_to_decides_whether_its_containers_are_replaced() {
    let mut scene = Scene::up(&FILE.replace("replicas: 2", "replicas: 1"));
    scene.images = images(Some(ImageNeed::Build {
        reason: "its sources changed",
        hash: "x".into(),
    }));
    insta::assert_snapshot!(scene.plan(), @"
    1 build image app
    2 begin db
    3 does the image of test-db-1 differ?
    4 await test-db-1 up, after 2, unless 3
    5 stop test-db-1, after 4, if 3
    6 remove test-db-1, after 5, if 3
    7 create test-db-1, after 6, if 3
    8 start test-db-1, after 7, if 3
    9 await test-db-1 up, after 8, if 3
    10 db replaced
    11 begin api, after 1, after 10
    12 does the image of test-api-1 differ?
    13 await test-api-1 up, after 11, unless 12
    14 create test-api-2 (no names on front), after 13, if 12; undo 1: discard test-api-2
    15 start test-api-2, after 14, if 12
    16 await test-api-2 up, after 15, if 12
    17 name test-api-2 on front, after 16, if 12
    18 stop test-api-1, after 17, if 12; undo 1: start test-api-1, await test-api-1 up
    19 api replaced
    20 remove test-api-1, after 18, after 19, if 12
    ");
    let new = |change: &Change| change.new.clone().unwrap_or_default();
    let new: Vec<String> = scene.changes("db").iter().map(new).collect();
    assert_eq!(new, ["rebuilt, if the result differs"]);
}

#[test]
fn who_shares_a_network_namespace_follows_if_its_host_is_replaced() {
    let file = "
services:
  host: {image: app}
  guest: {image: other, network_mode: 'service:host'}
";
    let mut scene = Scene::up(file);
    scene.container_mut("guest-1").network_mode = "container:host-1".to_owned();
    assert!(scene.plan().changes.is_empty());
    scene.images = images(Some(ImageNeed::Pull { reason: "--pull" }));
    insta::assert_snapshot!(scene.plan(), @"
    1 pull image app
    2 begin host
    3 does the image of test-host-1 differ?
    4 await test-host-1 up, after 2, unless 3
    5 stop test-host-1, after 4, if 3
    6 remove test-host-1, after 5, if 3
    7 create test-host-1, after 6, if 3
    8 start test-host-1, after 7, if 3
    9 await test-host-1 up, after 8, if 3
    10 host replaced
    11 begin guest, after 1, after 10
    12 does the image of test-guest-1 differ?
    13 await test-guest-1 up, after 11, unless 12
    14 stop test-guest-1, after 13, if 12
    15 remove test-guest-1, after 14, if 12
    16 create test-guest-1 (joins what 7 comes to or host-1), after 15, if 12
    17 start test-guest-1, after 16, if 12
    18 await test-guest-1 up, after 17, if 12
    19 guest replaced
    ");
}

#[test]
fn a_missing_container_takes_the_lowest_free_number() {
    let mut scene = Scene::up(FILE);
    scene.state.containers.retain(|it| it.id != "api-1");
    assert_eq!(
        scene.operations("api"),
        [
            "create test-api-1 (no names on front)",
            "start test-api-1",
            "await test-api-1 up",
            "name test-api-1 on front"
        ]
    );
}

#[test]
fn a_batch_is_ready_before_the_next_one_starts() {
    let mut scene = Scene::up(FILE);
    scene.project = load(&FILE.replace("replicas: 2", "replicas: 10"));
    let text = scene.plan().to_string();
    let ninth = text.lines().find(|it| it.contains("create test-api-9"));
    assert_eq!(
        ninth,
        Some(
            "30 create test-api-9 (no names on front), after 4, after 5, after 9, after 13, \
             after 17, after 21, after 25, after 29"
        )
    );
}

#[test]
fn the_best_containers_stay_when_there_are_too_many() {
    let mut scene = Scene::up(FILE);
    scene.project = load(&FILE.replace("replicas: 2", "replicas: 1"));
    let newest = ["stop test-api-2", "remove test-api-2"];
    assert_eq!(scene.operations("api"), newest);
    scene.container_mut("api-1").health = Some(Health::Unhealthy);
    let failing = ["stop test-api-1", "remove test-api-1"];
    assert_eq!(scene.operations("api"), failing);
}

#[test]
fn an_interrupted_start_first_replacement_ends_with_the_old_one_going() {
    let mut scene = Scene::up(&FILE.replace("replicas: 2", "replicas: 1"));
    scene.project = load(
        &FILE
            .replace("replicas: 2", "replicas: 1")
            .replace("blue", "green"),
    );
    let new = scene.container(&scene.service("api"), 2);
    scene.state.containers.push(new);
    let old = ["stop test-api-1", "remove test-api-1"];
    assert_eq!(scene.operations("api"), old);
}

#[test]
fn a_container_that_does_not_run_is_started_unless_its_work_is_done() {
    let mut scene = Scene::up(FILE);
    let db = scene.container_mut("db-1");
    db.status = Status::Exited;
    db.exit_code = Some(137);
    let started = ["start test-db-1", "await test-db-1 up"];
    assert_eq!(scene.operations("db"), started);
    scene.container_mut("db-1").exit_code = Some(0);
    assert!(scene.operations("db").is_empty());
    scene.container_mut("db-1").status = Status::Created;
    assert_eq!(scene.operations("db"), started);
    scene.container_mut("db-1").status = Status::Dead;
    assert_eq!(
        scene.operations("db")[..2],
        ["stop test-db-1", "remove test-db-1"]
    );
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
    let new = scene.changes("api").pop().and_then(|it| it.new);
    assert_eq!(new.as_deref(), Some("with alias site"));
    assert_eq!(
        scene.operations("api")[0],
        "create test-api-3 (no names on front)"
    );
}

#[test]
fn what_the_file_does_not_know_goes_unless_only_some_services_are_planned() {
    let mut scene = Scene::up(FILE);
    scene.container_mut("api-1").service = "gone".into();
    scene.state.networks.push(resource("old"));
    scene.state.volumes.push(resource("old"));
    let plan = scene.plan();
    let text = plan.to_string();
    let removed: Vec<&str> = text.lines().take(3).collect();
    assert_eq!(
        removed,
        [
            "1 stop test-api-1",
            "2 remove test-api-1",
            "3 remove network old"
        ]
    );
    assert_eq!(
        plan.changes.notes.len(),
        1,
        "the volume is kept and mentioned"
    );

    let plan = scene.plan_only(Some(&[scene.service("db")]));
    assert!(plan.changes.is_empty(), "{plan:?}");
}

#[test]
fn a_network_takes_its_containers_with_it() {
    let mut scene = Scene::up(FILE);
    scene.project = load(&FILE.replace("name: front", "name: front, internal: true"));
    insta::assert_snapshot!(scene.plan(), @"
    1 stop test-api-1
    2 remove test-api-1
    3 stop test-api-2, at once
    4 remove test-api-2
    5 remove network front, after 2, after 4
    6 create network front
    7 begin db
    8 await test-db-1 up
    9 begin api, after 6, after 7
    10 create test-api-1
    11 start test-api-1
    12 await test-api-1 up
    13 create test-api-2, after 9
    14 start test-api-2
    15 await test-api-2 up
    ");
    let only = scene.plan_only(Some(&[scene.service("db")])).to_string();
    assert!(only.contains("create test-api-1"), "{only}");
}

#[test]
fn what_does_not_work_is_replaced_or_restarted_where_data_would_go() {
    let mut scene = Scene::up(FILE);
    scene.container_mut("api-1").health = Some(Health::Unhealthy);
    scene.container_mut("api-2").status = Status::Restarting;
    insta::assert_snapshot!(scene.plan(), @"
    1 begin db
    2 await test-db-1 up
    3 begin api, after 1
    4 does test-api-1 still fail?
    5 create test-api-3 (no names on front), after 3, if 4; undo 2: discard test-api-3
    6 start test-api-3, after 5, if 4
    7 await test-api-3 up, after 6, if 4
    8 name test-api-3 on front, after 7, if 4
    9 stop test-api-1, after 8, if 4; undo 2: start test-api-1, await test-api-1 up
    10 create test-api-4 (no names on front), after 3, after 9; undo 3: discard test-api-4
    11 start test-api-4
    12 await test-api-4 up
    13 name test-api-4 on front
    14 stop test-api-2; undo 3: start test-api-2, await test-api-2 up
    15 api replaced, after 9, after 14
    16 remove test-api-1, after 9, once 15 is over, if 4
    17 remove test-api-2, after 14, once 15 is over
    ");
    scene.container_mut("api-2").status = Status::Running;
    scene.container_mut("api-1").anonymous_volumes = true;
    assert_eq!(
        scene.operations("api"),
        ["stop test-api-1", "start test-api-1", "await test-api-1 up"]
    );
}

#[test]
fn who_leads_to_others_is_replaced_when_none_of_them_works() {
    let mut scene = Scene::up(&format!(
        "{FILE}x-verify: {{entry_points: {{db: {{accepted_by: api}}}}}}\n"
    ));
    scene.container_mut("api-1").health = Some(Health::Unhealthy);
    assert!(scene.operations("db").is_empty(), "one is left");
    scene.container_mut("api-2").health = Some(Health::Unhealthy);
    assert_eq!(scene.operations("db")[0], "stop test-db-1");
}

#[test]
fn a_restart_is_of_the_same_containers_or_of_new_ones_start_first() {
    let scene = Scene::up(FILE);
    let services = [scene.service("db")];
    let plan = Plan::restart(scene.inputs(), &services, false).expect("a plan");
    insta::assert_snapshot!(plan, @"
    1 begin db
    2 stop test-db-1
    3 start test-db-1
    4 await test-db-1 up
    ");
    let services = [scene.service("api")];
    let plan = Plan::restart(scene.inputs(), &services, false).expect("a plan");
    assert!(plan.to_string().contains("create test-api-3"), "{plan}");
    let plan = Plan::restart(scene.inputs(), &services, true).expect("a plan");
    assert!(!plan.to_string().contains("create"), "{plan}");
}

#[test]
fn what_depends_on_others_goes_down_before_them() {
    let scene = Scene::up(FILE);
    let plan = Plan::down(&scene.project, &scene.state, &["front"], &["test_data"]);
    insta::assert_snapshot!(plan, @"
    1 stop test-api-1
    2 remove test-api-1
    3 stop test-api-2, at once
    4 remove test-api-2
    5 stop test-db-1, after 2, after 4
    6 remove test-db-1
    7 remove network front
    8 remove volume test_data
    ");
}

/// `app` reads what `db` has in its data, and what `root` can set there.
const TOLD: &str = "
services:
  db:
    image: app
    secrets: [root, password]
    volumes: ['data:/data']
  app:
    image: app
    secrets: [password]
    depends_on: [db]
secrets:
  root: {file: ./root, x-generate: password, x-rotate: {service: db, command: [tell]}}
  password:
    file: ./password
    x-generate: password
    x-rotate: {service: db, command: [tell], by: root}
volumes: {data: }
";

fn told(scene: &mut Scene) -> Vec<String> {
    scene.put("root", "it is there");
    let nodes = scene.plan();
    let nodes = nodes
        .graph
        .nodes()
        .map(|(_, node)| node.operation.to_string());
    nodes.collect()
}

#[test]
fn what_data_is_too_old_to_know_is_told_before_it_is_read() {
    let mut scene = Scene::up(TOLD);
    scene.state.containers.retain(|it| it.service != "app");
    let expected = [
        "generate secret password",
        "begin db",
        "await test-db-1 up",
        "tell db of secret password",
        "begin app",
        "create test-app-1",
        "start test-app-1",
        "await test-app-1 up",
    ];
    assert_eq!(told(&mut scene), expected);

    // The data alone, too, and with the value that an interrupted `up` has made.
    scene.state.containers.clear();
    scene.put("password", "not told yet");
    let operations = told(&mut scene);
    assert!(operations.contains(&"tell db of secret password".to_owned()));
}

#[test]
fn data_that_is_yet_to_be_made_is_told_nothing() {
    let mut scene = Scene::up(TOLD);
    scene.state = State::default();
    let operations = told(&mut scene);
    assert!(operations.contains(&"generate secret password".to_owned()));
    assert!(!operations.iter().any(|it| it.starts_with("tell")));
}

#[test]
fn who_reads_a_value_proves_that_it_was_told() {
    let mut scene = Scene::up(TOLD);
    scene.put("root", "one");
    scene.put("password", "another");
    scene.state.containers.clear();
    for plan in scene.plan().changes.services {
        let container = scene.container(&plan.service, 1);
        scene.state.containers.push(container);
    }
    let plan = scene.plan();
    assert!(plan.changes.is_empty(), "{plan}");
    // Also where it is going to be replaced.
    scene.container_mut("app-1").status = Status::Exited;
    assert!(!told(&mut scene).iter().any(|it| it.starts_with("tell")));
}

#[test]
fn hooks_run_after_each_start_and_before_each_stop() {
    let file = "
services:
  api:
    image: app
    environment: {COLOUR: blue}
    post_start: [{command: [prepare]}]
    pre_stop: [{command: [leave]}]
    deploy: {update_config: {order: ORDER}}
";
    let replaced = |order: &str| {
        let file = file.replace("ORDER", order);
        let mut scene = Scene::up(&file);
        scene.project = load(&file.replace("blue", "green"));
        scene.operations("api")
    };
    assert_eq!(
        replaced("stop-first"),
        [
            "pre_stop test-api-1",
            "stop test-api-1",
            "remove test-api-1",
            "create test-api-1",
            "start test-api-1",
            "post_start test-api-1",
            "await test-api-1 up",
        ]
    );
    let operations = replaced("start-first");
    let place = |wanted: &str| operations.iter().position(|it| it == wanted);
    assert!(place("post_start test-api-2") < place("await test-api-2 up"));
    assert!(place("await test-api-2 up") < place("pre_stop test-api-1"));
    assert!(place("pre_stop test-api-1") < place("stop test-api-1"));

    // Started, and `deploy` was killed.
    let mut scene = Scene::up(&file.replace("ORDER", "stop-first"));
    assert!(scene.operations("api").is_empty());
    scene.owed.insert("api-1".to_owned());
    let again = [
        "start test-api-1",
        "post_start test-api-1",
        "await test-api-1 up",
    ];
    assert_eq!(scene.operations("api"), again);

    // By what it was made with, though its service isn't in the file any more; not if it ended by itself.
    let file = "services: {other: {image: app}}";
    scene.project = load(file);
    let plan = scene.plan().to_string();
    assert!(plan.contains("pre_stop test-api-1"), "{plan}");
    scene.container_mut("api-1").status = Status::Exited;
    assert!(!scene.plan().to_string().contains("pre_stop"));
}
