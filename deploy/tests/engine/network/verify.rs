//! `verify` is green on a stack that is as its file draws it, and says what is wrong with one that
//! isn't: each test breaks one thing, as an operator or an accident would.

use std::process::Command;

use super::stack::{SHAPE, Stack};
use super::support::{busybox, docker, run};

#[test]
fn a_stack_as_drawn_is_green_and_every_kind_of_link_was_tried() {
    let stack = Stack::up();
    stack.assert_green();
    let (code, document) = stack.verify();
    assert_eq!(
        (code, &document["ok"]),
        (0, &true.into()),
        "{:#}",
        document["findings"]
    );
    let tried = |from: &str, to: &str, by: &str, open: bool| {
        document["links"].as_array().unwrap().iter().any(|link| {
            link["from"] == from && link["to"] == to && link["by"] == by && link["open"] == open
        })
    };
    for (from, to, by, open) in [
        ("proxy", "api", "name", true),
        ("proxy", "api", "tcp", true),
        ("api", "store", "name", true),
        ("api", "store", "tcp", true),
        ("proxy", "store", "name", false),
        ("proxy", "store", "tcp", false),
        ("proxy", "store", "ping", false),
        ("store", "proxy", "tcp", false),
        ("store", "outside", "tcp", false),
        ("host", "store", "ping", true),
    ] {
        assert!(
            tried(from, to, by, open),
            "{from} → {to} by {by}: {:#}",
            document["links"]
        );
    }
    let kinds: Vec<&str> = document["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["by"].as_str().unwrap())
        .collect();
    for kind in [
        "containers",
        "networks",
        "publish",
        "resolver",
        "gateway",
        "subnet",
        "port",
        "http",
    ] {
        assert!(kinds.contains(&kind), "{kind} among {kinds:?}");
    }
    // For people: the matrix, and the result.
    let text = run(stack
        .command(&["verify"])
        .env("TERM", "xterm")
        .env_remove("NO_COLOR"));
    assert!(
        text.contains("from \\ to") && text.contains("✓✓✓") && text.contains("···"),
        "{text}"
    );
    assert!(text.contains("verified: "), "{text}");
    let ascii = run(stack.command(&["verify"]).env("NO_COLOR", "1"));
    assert!(ascii.contains("+++") && !ascii.contains('✓'), "{ascii}");
}

#[test]
fn a_container_disconnected_from_a_network() {
    let stack = Stack::up();
    stack.assert_green();
    docker(&[
        "network",
        "disconnect",
        &stack.network("public"),
        &stack.container("api"),
    ]);
    let cause = format!(
        "{} has no endpoint on {}",
        stack.container("api"),
        stack.network("public")
    );
    stack.assert_finds(&["proxy → api: expected open", "name flask-app", &cause]);
}

#[test]
fn an_alias_that_is_missing() {
    let stack = Stack::up();
    stack.assert_green();
    let (network, api) = (stack.network("public"), stack.container("api"));
    docker(&["network", "disconnect", &network, &api]);
    docker(&["network", "connect", "--alias", "api", &network, &api]);
    let cause = format!("the alias flask-app is missing from the endpoint of {api} on {network}");
    stack.assert_finds(&["proxy → api: expected open", "name flask-app", &cause]);
}

#[test]
fn a_container_connected_to_a_network_it_has_no_business_on() {
    let stack = Stack::up();
    stack.assert_green();
    let (network, proxy) = (stack.network("private"), stack.container("proxy"));
    docker(&["network", "connect", &network, &proxy]);
    let cause = format!("{proxy} has an endpoint on {network}, which the file doesn't give it");
    stack.assert_finds(&["proxy → store: expected closed", "tcp", "open", &cause]);
}

#[test]
fn a_network_that_isnt_internal() {
    let stack = Stack::up();
    stack.assert_green();
    let network = stack.network("private");
    let labels = format!(
        "com.docker.compose.project={0},dev.causeway.project={0}",
        stack.project
    );
    for service in ["api", "store"] {
        docker(&["network", "disconnect", &network, &stack.container(service)]);
    }
    docker(&["network", "rm", &network]);
    let mut arguments = vec!["network", "create"];
    arguments.extend(labels.split(',').flat_map(|label| ["--label", label]));
    arguments.push(&network);
    docker(&arguments);
    docker(&[
        "network",
        "connect",
        "--alias",
        "api",
        &network,
        &stack.container("api"),
    ]);
    let store = stack.container("store");
    docker(&[
        "network", "connect", "--alias", "mongo", "--alias", "store", &network, &store,
    ]);
    stack.assert_finds(&["expected internal, saw with a way out", &network]);
    stack.assert_finds(&[
        "store → outside: expected closed",
        &format!("network {network} isn't internal"),
    ]);
}

#[test]
fn a_database_that_is_published_on_the_host() {
    let stack = Stack::up();
    stack.assert_green();
    let (store, network) = (stack.container("store"), stack.network("private"));
    docker(&["rm", "--force", &store]);
    let label = |key: &str, value: &str| format!("{key}={value}");
    docker(&[
        "run",
        "--detach",
        "--init",
        "--name",
        &store,
        "--label",
        &label("com.docker.compose.project", &stack.project),
        "--label",
        "com.docker.compose.service=store",
        "--label",
        "com.docker.compose.container-number=1",
        "--label",
        "dev.causeway.test=1",
        "--network",
        &network,
        "--network-alias",
        "mongo",
        "--network-alias",
        "store",
        "--publish",
        "127.0.0.1::27017",
        busybox(),
        "httpd",
        "-f",
        "-p",
        "27017",
        "-h",
        "/www",
    ]);
    stack.assert_finds(&[
        "host → store (publish): expected nothing",
        &format!("{store} was created with port 27017 published on 127.0.0.1:"),
    ]);
}

#[test]
fn a_service_that_lets_its_neighbours_connect_though_it_is_only_published() {
    let only = SHAPE.replace("x-verify: {", "x-verify: {only_published: [proxy], ");
    let stack = Stack::of(&only);
    let cause = format!("{} listens there as well", stack.container("proxy"));
    for from in ["host", "api"] {
        stack.assert_finds(&[&format!("{from} → proxy: expected closed, saw tcp"), &cause]);
    }
}

#[test]
fn a_service_that_is_stopped() {
    let stack = Stack::up();
    stack.assert_green();
    docker(&["kill", &stack.container("store")]);
    let cause = format!(
        "{} isn't running: it exited with status 137",
        stack.container("store")
    );
    stack.assert_finds(&[
        "engine → store (containers): expected 1 running, saw 0 running",
        &cause,
    ]);
    stack.assert_finds(&["api → store: expected open", "name mongo", &cause]);
}

/// Needs root: it adds a firewall rule.
#[test]
fn a_firewall_rule_that_drops_one_path() {
    let stack = Stack::up();
    stack.assert_green();
    let address = |service: &str| {
        docker(&[
            "inspect",
            "--format",
            &format!(
                "{{{{(index .NetworkSettings.Networks \"{}\").IPAddress}}}}",
                stack.network("public")
            ),
            &stack.container(service),
        ])
    };
    let _rule = Rule::drop_path(&address("proxy"), &address("api"));
    stack.assert_finds(&[
        "proxy → api: expected open, saw tcp flask-app:9090 timeout",
        "a rule on the host drops it",
    ]);
}

/// Needs root: it adds a bridge.
#[test]
fn a_second_network_with_the_same_subnet() {
    let stack = Stack::up();
    stack.assert_green();
    let subnet = docker(&[
        "network",
        "inspect",
        "--format",
        "{{(index .IPAM.Config 0).Subnet}}",
        &stack.network("public"),
    ]);
    // The engine refuses overlapping networks of its own; a VPN or a lab bridge isn't asked.
    let link = Link::with_subnet(&subnet);
    stack.assert_finds(&[
        "(subnet): expected on its bridge only",
        &format!(
            "the host has the subnet {subnet} of {} on {} as well",
            stack.network("public"),
            link.0
        ),
    ]);
}

/// An iptables rule, as an operator would add one; gone on drop.
struct Rule(Vec<String>);

impl Rule {
    fn drop_path(from: &str, to: &str) -> Self {
        let rule = ["DOCKER-USER", "-s", from, "-d", to, "-j", "DROP"]
            .map(str::to_owned)
            .to_vec();
        run(Command::new("iptables").args(["-w", "-I"]).args(&rule));
        Self(rule)
    }
}

impl Drop for Rule {
    fn drop(&mut self) {
        let _ = Command::new("iptables")
            .args(["-w", "-D"])
            .args(&self.0)
            .output();
    }
}

/// A bridge of the host's own with an address in the subnet; gone on drop.
struct Link(String);

impl Link {
    fn with_subnet(subnet: &str) -> Self {
        let (network, prefix) = subnet.split_once('/').unwrap();
        let address = format!("{}.77/{prefix}", network.rsplit_once('.').unwrap().0);
        // An interface's name has at most 15 characters.
        let name = format!("cwt{}", std::process::id());
        let link = Self(name.clone());
        run(Command::new("ip").args(["link", "add", &name, "type", "bridge"]));
        // Without a route, so that the real network goes on working.
        run(Command::new("ip").args(["addr", "add", &address, "dev", &name, "noprefixroute"]));
        link
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["link", "del", &self.0]).output();
    }
}
