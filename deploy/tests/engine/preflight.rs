//! What stands in the way is said by `plan` and `up` alike, all of it, before anything is made.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use crate::stack::{IMAGE, Stack, docker, eventually, foreign_label, local_port, outcome};

/// Both commands end with 1 and say all of these; nothing was made.
fn refused(stack: &Stack, says: &[&str]) {
    for command in ["plan", "up"] {
        stack.fails(1, &[command]).assert_says(says);
        assert!(stack.containers().is_empty(), "{:?}", stack.containers());
        assert!(stack.networks().is_empty(), "{:?}", stack.networks());
        assert!(stack.volumes().is_empty(), "{:?}", stack.volumes());
        assert!(!stack.path().join("secrets").exists());
    }
}

#[test]
fn everything_that_is_in_the_way_is_said_at_once() {
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let busy = held.local_addr().unwrap().port();
    let stack = Stack::with(
        "preflight",
        &format!(
            "
services:
  web:
    <<: *app
    networks: [front]
    ports: ['127.0.0.1:{busy}:80', '192.0.2.7:{}:81']
    secrets: [password]
    volumes:
      - {{type: bind, source: ./not/there, target: /x, bind: {{create_host_path: false}}}}
networks:
  front: {{name: PROJECT-front}}
  back: {{ipam: {{config: [{{subnet: 10.213.7.0/24}}]}}}}
secrets:
  password: {{file: ./secrets/password, x-generate: password}}
",
            local_port()
        ),
    );
    let label = foreign_label(&stack);
    let (front, other) = (
        format!("{}-front", stack.project),
        format!("{}-other", stack.project),
    );
    docker(&["network", "create", "--label", &label, &front]);
    docker(&[
        "network",
        "create",
        "--label",
        &label,
        "--subnet",
        "10.213.0.0/16",
        &other,
    ]);
    docker(&[
        "create",
        "--name",
        &stack.name("web-1"),
        "--label",
        &label,
        IMAGE,
        "true",
    ]);
    refused(
        &stack,
        &[
            "nothing was changed",
            &format!("network {front} exists and is not this project's"),
            &format!("container name {} is taken", stack.name("web-1")),
            &format!("port {busy}/tcp (service web) is in use by a process"),
            "192.0.2.7 (service web, port",
            "is no address of this machine",
            "not/there does not exist, and a service mounts it",
            &format!("10.213.7.0/24 overlaps 10.213.0.0/16 of network {other}"),
        ],
    );
    let events = stack.deploy(&["plan", "--json"]);
    assert_eq!(events.code, 1);
    let document: serde_json::Value = serde_json::from_str(&events.stdout).unwrap();
    assert!(document["error"]["details"].as_array().unwrap().len() >= 6);
}

#[test]
fn what_stands_already_is_in_nobodys_way() {
    let port = local_port();
    let stack = Stack::with(
        "preflightup",
        &format!(
            "
services:
  web: {{<<: *app, networks: [back], ports: ['127.0.0.1:{port}:80'], volumes: ['.:/here:ro']}}
networks:
  back: {{ipam: {{config: [{{subnet: 10.214.7.0/24}}]}}}}
"
        ),
    );
    stack.ok(&["plan"]);
    stack.ok(&["up"]);
    stack.ok(&["plan"]).assert_says(&["no changes"]);
}

/// Needs root: it binds such a port, and becomes nobody.
#[test]
fn a_port_that_only_root_may_bind_is_seen_to_be_taken_by_everybody() {
    let nobody = "65534";
    let (port, _held) = (1..1024)
        .rev()
        .find_map(|port| Some((port, TcpListener::bind(("127.0.0.1", port)).ok()?)))
        .expect("the tests of deploy run as root");
    let stack = Stack::with(
        "preflightlow",
        &format!("services:\n  web: {{<<: *app, ports: ['127.0.0.1:{port}:80']}}\n"),
    );
    docker(&["version"]);
    let socket = "/var/run/docker.sock";
    let group = Command::new("stat")
        .args(["-c", "%g", socket])
        .output()
        .unwrap();
    let group = String::from_utf8(group.stdout).unwrap();
    let open = Command::new("chmod").arg("0755").arg(stack.path()).status();
    assert!(open.unwrap().success());
    let deploy = stack.command(&["plan"]);
    let plan = Command::new("setpriv")
        .args(["--reuid", nobody, "--regid", group.trim(), "--clear-groups"])
        .args(["--inh-caps", "-all", "--"])
        .arg(deploy.get_program())
        .args(deploy.get_args())
        .current_dir(stack.path())
        .output();
    let plan = outcome(&plan.unwrap());
    plan.assert_code(1);
    plan.assert_says(&[&format!(
        "port {port}/tcp (service web) is in use by a process"
    )]);
}

/// `deploy` in a network namespace of its own: what is taken on its loopback isn't the engine's.
///
/// Needs root: it makes a network namespace.
#[test]
fn an_engine_in_another_network_namespace_is_looked_at_there() {
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let (busy, free) = (held.local_addr().unwrap().port(), local_port());
    let port = |address: &str, port: u16| {
        format!("services:\n  web: {{<<: *app, ports: ['{address}:{port}:80']}}\n")
    };
    let stack = Stack::with("preflightnet", &port("127.0.0.1", busy));
    let elsewhere = |code: i32, script: &str| {
        let deploy = stack.command(&["plan"]);
        let plan = Command::new("unshare")
            .args(["--net", "sh", "-c", script, "sh"])
            .arg(deploy.get_program())
            .args(deploy.get_args())
            .current_dir(stack.path())
            .output();
        let plan = outcome(&plan.unwrap());
        assert_eq!(plan.code, code, "{}", plan.text);
        plan
    };
    elsewhere(1, "exec \"$@\"").assert_says(&[&format!(
        "port {busy}/tcp (service web) is in use by a process on the engine's machine"
    )]);
    stack.compose(&port("192.0.2.7", free));
    elsewhere(
        1,
        "ip address add 192.0.2.7/32 dev lo && ip link set lo up && exec \"$@\"",
    )
    .assert_says(&["is no address of the engine's machine"]);
    // Taken here, free there.
    stack.compose(&port("127.0.0.1", free));
    elsewhere(
        0,
        &format!(
            "ip link set lo up && busybox nc -ll -p {free} -e true >/dev/null 2>&1 & \
             until busybox nc 127.0.0.1 {free} </dev/null; do sleep 0.05; done; \
             \"$@\"; code=$?; kill $!; exit $code"
        ),
    );
}

/// An engine in a mount namespace of its own: the directory of the stack isn't in it.
///
/// Needs root: it makes a mount namespace.
#[test]
fn an_engine_that_does_not_see_the_directory_is_found_out() {
    let stack = Stack::with(
        "preflightsight",
        "
services:
  web: {<<: *app, volumes: ['./page:/page:ro'], secrets: [password]}
secrets:
  password: {file: ./secrets/password, x-generate: password}
",
    );
    stack.write("page/index.html", "hello");
    // `deploy` in a mount namespace with a directory that only it sees.
    let hidden = "/mnt";
    let script = format!(
        "mount -t tmpfs none {hidden} && cp -r {}/. {hidden} && cd {hidden} && exec \"$@\"",
        stack.path().display()
    );
    let deploy = stack.command(&["plan"]);
    let plan = Command::new("unshare")
        .args(["--mount", "sh", "-c", &script, "sh"])
        .arg(deploy.get_program())
        .args(deploy.get_args())
        .output();
    let plan = outcome(&plan.unwrap());
    plan.assert_code(1);
    plan.assert_says(&[
        "doesn't see",
        "/mnt/page",
        "Run `deploy` where the engine runs",
    ]);
    assert!(!Path::new("/mnt/page").exists());
    // And from where it sees it.
    stack.ok(&["plan"]);
    eventually("no trace of the question", || {
        docker(&[
            "ps",
            "-aq",
            "--filter",
            "ancestor=deploy.invalid/asks-what-the-engine-sees:none",
        ])
        .is_empty()
    });
}
