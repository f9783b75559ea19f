//! `up` brings the stack to where the file says, touching only what differs.

use std::time::{Duration, Instant};

use crate::stack::{Stack, docker, eventually, local_port, outcome};

/// Two services that depend on one another, two networks, a volume.
const PAIR: &str = "
services:
  web:
    <<: *app
    networks: {front: {aliases: [site]}}
    depends_on: {db: {condition: service_healthy}}
    environment: {COLOUR: \"${COLOUR:-blue}\", API_TOKEN: \"token-${COLOUR:-blue}\"}
  db:
    <<: *app
    networks: [front, back]
    volumes: ['data:/data']
    healthcheck: {test: [CMD, 'true'], interval: 200ms}
networks:
  front: {name: PROJECT-front}
  back: {internal: true}
volumes:
  data:
";

#[test]
fn the_first_up_creates_and_the_second_changes_nothing() {
    let port = local_port();
    let stack = Stack::new("first");
    let file = PAIR.replace(
        "    networks: {front: {aliases: [site]}}",
        &format!(
            "    networks: {{front: {{aliases: [site]}}}}\n    ports: ['127.0.0.1:{port}:80']\n    command: [httpd, -f, -p, '80']"
        ),
    );
    stack.compose(&(file + "x-verify: {entry_points: {web: {port: 80}}}\n"));
    let first = stack.ok(&["up"]);
    first.assert_says(&[
        &format!("+ create   network   {}-front", stack.project),
        &format!("+ create   volume    {}_data", stack.project),
        &format!("http://127.0.0.1:{port}/"),
    ]);
    let before = stack.containers();
    assert_eq!(
        before
            .iter()
            .map(|(name, _)| name.clone())
            .collect::<Vec<_>>(),
        [stack.name("db-1"), stack.name("web-1")]
    );
    let web = stack.inspect("web-1");
    let labels = &web["Config"]["Labels"];
    assert_eq!(labels["com.docker.compose.service"], "web");
    assert_eq!(labels["com.docker.compose.container-number"], "1");
    let endpoints = &web["NetworkSettings"]["Networks"];
    let aliases = endpoints[format!("{}-front", stack.project)]["Aliases"]
        .as_array()
        .unwrap();
    assert!(
        aliases.contains(&"web".into()) && aliases.contains(&"site".into()),
        "{aliases:?}"
    );
    let db = stack.inspect("db-1");
    assert_eq!(
        db["NetworkSettings"]["Networks"].as_object().unwrap().len(),
        2
    );
    let back = docker(&[
        "network",
        "inspect",
        "-f",
        "{{.Internal}}",
        &format!("{}_back", stack.project),
    ]);
    assert_eq!(back.trim(), "true");

    let started = Instant::now();
    stack.ok(&["up"]).assert_says(&["no changes"]);
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(stack.containers(), before);
}

#[test]
fn a_changed_setting_recreates_only_its_service_and_hides_secrets() {
    let stack = Stack::with("changed", PAIR);
    stack.ok(&["up"]);
    let (db, web) = (stack.id("db-1"), stack.id("web-1"));

    let green = |verb| {
        let output = stack
            .command(&[verb])
            .env("COLOUR", "green")
            .output()
            .unwrap();
        outcome(&output)
    };
    let plan = green("plan");
    plan.assert_says(&[
        r#"environment.COLOUR: "blue" → "green""#,
        "environment.API_TOKEN: (old value, hidden)",
    ]);
    assert!(!plan.text.contains("token-"), "{}", plan.text);
    assert_eq!(stack.id("web-1"), web, "plan changes nothing");

    let up = green("up");
    up.assert_code(0);
    assert_ne!(stack.id("web-1"), web);
    assert_eq!(stack.id("db-1"), db);
    let environment = stack.inspect("web-1")["Config"]["Env"].to_string();
    assert!(environment.contains("COLOUR=green"), "{environment}");
}

#[test]
fn what_was_changed_by_hand_is_put_right() {
    let stack = Stack::with("drift", PAIR);
    stack.ok(&["up"]);
    let web = stack.id("web-1");

    docker(&["kill", &stack.name("web-1")]);
    eventually("the container ends", || {
        stack.inspect("web-1")["State"]["Running"] == false
    });
    stack.says("up", &["start", "it ended with status 137"]);
    assert_eq!(stack.id("web-1"), web, "started again, not made anew");

    let front = format!("{}-front", stack.project);
    docker(&["network", "disconnect", &front, &stack.name("web-1")]);
    stack.says("up", &["networks.front: not connected → connected"]);
    assert_ne!(stack.id("web-1"), web);

    let back = format!("{}_back", stack.project);
    docker(&["network", "connect", &back, &stack.name("web-1")]);
    stack
        .ok(&["up"])
        .assert_says(&[&format!("networks ({back}): connected → not in the file")]);

    docker(&["rm", "-f", &stack.name("db-1")]);
    stack.ok(&["up"]).assert_says(&["+ create   container"]);

    docker(&["pause", &stack.name("web-1")]);
    stack.ok(&["up"]).assert_says(&["it is paused"]);
    assert_eq!(stack.inspect("web-1")["State"]["Paused"], false);
    stack.ok(&["up"]).assert_says(&["no changes"]);
}

#[test]
fn what_left_the_file_is_removed_but_never_a_volume() {
    let stack = Stack::with("orphans", PAIR);
    stack.ok(&["up"]);
    stack.compose("services:\n  other:\n    <<: *app\n");
    stack.says("up", &["not in the file any more", "volume", "it is kept"]);
    assert_eq!(stack.containers().len(), 1);
    assert_eq!(stack.networks(), [format!("{}_default", stack.project)]);
    assert_eq!(stack.volumes(), [format!("{}_data", stack.project)]);
}

#[test]
fn a_changed_network_is_made_anew_and_a_changed_volume_refused() {
    let stack = Stack::with("resources", PAIR);
    stack.ok(&["up"]);
    let id = |name: &str| docker(&["network", "inspect", "-f", "{{.Id}}", name]);
    let (front, back) = (
        format!("{}-front", stack.project),
        format!("{}_back", stack.project),
    );
    let (front_before, back_before) = (id(&front), id(&back));
    let web = stack.id("web-1");
    let db = stack.id("db-1");

    let open = PAIR.replace("back: {internal: true}", "back: {internal: false}");
    stack.compose(&open);
    stack.says("up", &["recreate network", "internal: true → (none)"]);
    assert_ne!(id(&back), back_before);
    assert_eq!(id(&front), front_before);
    assert_ne!(stack.id("db-1"), db, "on the changed network");
    assert_eq!(stack.id("web-1"), web, "not on it");

    let before = stack.containers();
    stack.compose(&open.replace(
        "  data:\n",
        "  data: {driver_opts: {type: tmpfs, device: tmpfs, o: size=1m}}\n",
    ));
    stack.refuses(1, "up", &["would lose its data", "nothing was changed"]);
    assert_eq!(stack.containers(), before);
}

#[test]
fn a_job_runs_to_its_end_before_its_dependents_and_only_once() {
    let stack = Stack::with(
        "job",
        "
services:
  migrate:
    <<: *app
    command: [sh, -c, 'echo ran >> /data/runs']
    volumes: ['data:/data']
  app:
    <<: *app
    command: [sh, -c, 'test -s /data/runs && exec sleep 1000']
    volumes: ['data:/data']
    depends_on: {migrate: {condition: service_completed_successfully}}
volumes: {data: }
",
    );
    stack.ok(&["up"]);
    stack.ok(&["up"]).assert_says(&["no changes"]);
    let runs = docker(&["exec", &stack.name("app-1"), "cat", "/data/runs"]);
    assert_eq!(runs, "ran\n");
}

#[test]
fn a_shared_network_namespace_follows_its_owner() {
    let services = "
services:
  sandbox:
    <<: *app
    environment: {V: \"1\"}
  guest:
    <<: *app
    network_mode: service:sandbox
";
    let stack = Stack::with("namespace", services);
    stack.ok(&["up"]);
    let joined = |stack: &Stack| stack.inspect("guest-1")["HostConfig"]["NetworkMode"].clone();
    assert_eq!(
        joined(&stack),
        format!("container:{}", stack.id("sandbox-1"))
    );

    stack.compose(&services.replace("\"1\"", "\"2\""));
    stack.ok(&["up"]);
    assert_eq!(
        joined(&stack),
        format!("container:{}", stack.id("sandbox-1"))
    );
    stack.ok(&["up"]).assert_says(&["no changes"]);
}
