//! `inspect --json` against the engine's own API and the kernel's (`ip -j`, inside each container's
//! network namespace and on the host), field by field.

use std::process::Command;

use serde_json::Value;

use super::stack::Stack;
use super::support::{docker, run};

/// Three networks, five services, two of them on two networks, one with two containers.
const FIVE: &str = "
x-app: &app
  image: IMAGE
  init: true
  labels: {dev.causeway.test: '1'}
  command: [httpd, -f, -p, '8000', -h, /www]
services:
  edge: {<<: *app, ports: ['127.0.0.1:PORT:8000'], networks: [front]}
  web: {<<: *app, networks: {front: , middle: {aliases: [shop]}}, deploy: {replicas: 2}}
  jobs: {<<: *app, networks: [middle], hostname: workhorse}
  cache: {<<: *app, networks: [middle, back]}
  store: {<<: *app, networks: {back: {aliases: [db, database]}}}
networks:
  front: {name: PROJECT-front}
  middle: {name: PROJECT-middle, driver_opts: {com.docker.network.driver.mtu: '1400'}}
  back: {name: PROJECT-back, internal: true}
";

/// Needs root: it enters network namespaces.
#[test]
fn the_products_shape_agrees_with_the_engine_and_the_kernel() {
    assert_agrees(&Stack::up(), 3, 2);
}

/// Needs root: it enters network namespaces.
#[test]
fn three_networks_and_five_services_agree_with_the_engine_and_the_kernel() {
    assert_agrees(&Stack::of(FIVE), 6, 3);
}

#[test]
fn a_stack_that_runs_only_partly_is_shown_as_it_is_and_drawn() {
    let stack = Stack::up();
    docker(&["kill", &stack.container("store")]);
    let document = inspect(&stack);
    let store = sandbox(&document, &stack.container("store"));
    assert_eq!(
        (&store["status"], &store["exit_code"]),
        (&"exited".into(), &137.into())
    );
    assert!(store["default_gateway"].is_null() && store["routes"] == Value::Array(Vec::new()));
    let notes = document["notes"].to_string();
    assert!(
        notes.contains(&format!("{} isn't running", stack.container("store"))),
        "{notes}"
    );

    let table = run(&mut stack.command(&["inspect"]));
    assert!(
        table.contains("flask-app") && table.contains("none (internal)"),
        "{table}"
    );
    let mermaid = run(&mut stack.command(&["inspect", "--format", "mermaid"]));
    assert!(
        mermaid.starts_with("flowchart") && mermaid.contains("not running"),
        "{mermaid}"
    );
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    run(&mut stack.command(&["inspect", "--format", "svg", "--output", path]));
    // Well-formed to a parser that isn't ours, and with what a reader looks for.
    let script = "import sys, xml.dom.minidom as m; m.parse(sys.argv[1])";
    run(Command::new("python3").args(["-c", script, path]));
    let svg = std::fs::read_to_string(path).unwrap();
    for part in [
        &stack.network("public"),
        "internal",
        "not running",
        "flask-app",
        "published :",
    ] {
        assert!(svg.contains(part), "{part} in {svg}");
    }
}

fn assert_agrees(stack: &Stack, containers: usize, networks: usize) {
    let document = inspect(stack);
    assert_eq!(document["notes"], Value::Array(Vec::new()));
    let sandboxes = document["sandboxes"].as_array().unwrap();
    assert_eq!(sandboxes.len(), containers);
    assert_eq!(document["networks"].as_array().unwrap().len(), networks);
    let host = json(Command::new("ip").args(["-j", "-d", "address"]));
    let host = host.as_array().unwrap();

    for network in document["networks"].as_array().unwrap() {
        let name = text(network, "name");
        let engine = json(Command::new("docker").args(["network", "inspect", name]));
        let engine = &engine[0];
        assert_eq!(network["id"], engine["Id"]);
        assert_eq!(network["driver"], engine["Driver"]);
        assert_eq!(network["scope"], engine["Scope"]);
        assert_eq!(network["internal"], engine["Internal"]);
        assert_eq!(network["attachable"], engine["Attachable"]);
        assert_eq!(network["ipv6"], engine["EnableIPv6"]);
        assert_eq!(network["options"], engine["Options"]);
        let pool = &engine["IPAM"]["Config"][0];
        assert_eq!(network["pools"][0]["subnet"], pool["Subnet"]);
        assert_eq!(network["pools"][0]["gateway"], pool["Gateway"]);
        let bridge = link(host, "ifname", &network["bridge"]);
        let seen = &network["bridge_interface"];
        assert_eq!(seen["index"], bridge["ifindex"]);
        assert_eq!(seen["mac"], bridge["address"]);
        assert_eq!(seen["mtu"], bridge["mtu"]);
        assert_eq!(seen["state"], bridge["operstate"]);
        assert_eq!(seen["kind"], bridge["linkinfo"]["info_kind"]);
        assert!(addresses(bridge).contains(&format!(
            "{}/{}",
            text(pool, "Gateway"),
            text(pool, "Subnet").split_once('/').unwrap().1
        )));
    }

    for sandbox in sandboxes {
        let name = text(sandbox, "container");
        let engine = json(Command::new("docker").args(["inspect", name]));
        let engine = &engine[0];
        assert_eq!(sandbox["id"], engine["Id"]);
        assert_eq!(sandbox["status"], engine["State"]["Status"]);
        assert_eq!(sandbox["hostname"], engine["Config"]["Hostname"]);
        assert_eq!(sandbox["mode"], engine["HostConfig"]["NetworkMode"]);
        let labels = &engine["Config"]["Labels"];
        assert_eq!(sandbox["service"], labels["com.docker.compose.service"]);
        assert_eq!(
            sandbox["number"].to_string(),
            text(labels, "com.docker.compose.container-number")
        );
        let pid = engine["State"]["Pid"].to_string();
        let inside = |arguments: &[&str]| {
            json(
                Command::new("nsenter")
                    .args(["--net", "--target", &pid, "ip", "-j"])
                    .args(arguments),
            )
        };
        let links = inside(&["-d", "address"]);
        let routes = inside(&["route"]);
        let default = routes
            .as_array()
            .unwrap()
            .iter()
            .find(|route| route["dst"] == "default");
        let gateway = default.map_or(&Value::Null, |route| &route["gateway"]);
        assert_eq!(sandbox["default_gateway"], *gateway);
        assert_eq!(
            sandbox["resolver"]["nameservers"],
            serde_json::json!(["127.0.0.11"])
        );
        let ports = engine["NetworkSettings"]["Ports"].as_object().unwrap();
        let published = ports
            .values()
            .filter_map(Value::as_array)
            .map(Vec::len)
            .sum::<usize>();
        assert_eq!(sandbox["published"].as_array().unwrap().len(), published);

        let endpoints = sandbox["endpoints"].as_array().unwrap();
        let attached = engine["NetworkSettings"]["Networks"].as_object().unwrap();
        assert_eq!(endpoints.len(), attached.len());
        for endpoint in endpoints {
            let engine = &attached[text(endpoint, "network")];
            assert_eq!(endpoint["id"], engine["EndpointID"]);
            assert_eq!(endpoint["mac"], engine["MacAddress"]);
            // Newer engines give none on an internal network, and say "".
            let gateway = Some(text(engine, "Gateway")).filter(|it| !it.is_empty());
            assert_eq!(endpoint["gateway"].as_str(), gateway);
            assert_eq!(endpoint["aliases"], engine["Aliases"]);
            let address = format!("{}/{}", text(engine, "IPAddress"), engine["IPPrefixLen"]);
            assert_eq!(text(endpoint, "address"), address);
            // The kernel inside, and the other end of the pair on the host.
            let inner = link(links.as_array().unwrap(), "ifname", &endpoint["interface"]);
            assert_eq!(endpoint["index"], inner["ifindex"]);
            assert_eq!(endpoint["mac"], inner["address"]);
            assert_eq!(endpoint["mtu"], inner["mtu"]);
            assert!(addresses(inner).contains(&address));
            assert_eq!(endpoint["host_index"], inner["link_index"]);
            let outer = link(host, "ifname", &endpoint["host_interface"]);
            assert_eq!(endpoint["host_index"], outer["ifindex"]);
            assert_eq!(endpoint["index"], outer["link_index"]);
            assert_eq!(endpoint["bridge"], outer["master"]);
        }
    }
}

fn inspect(stack: &Stack) -> Value {
    json(&mut stack.command(&["--json", "inspect"]))
}

fn sandbox<'a>(document: &'a Value, container: &str) -> &'a Value {
    link(
        document["sandboxes"].as_array().unwrap(),
        "container",
        &container.into(),
    )
}

fn json(command: &mut Command) -> Value {
    serde_json::from_str(&run(command)).unwrap()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key]
        .as_str()
        .unwrap_or_else(|| panic!("{key} in {value:#}"))
}

/// The object whose `key` is `value`.
fn link<'a>(objects: &'a [Value], key: &str, value: &Value) -> &'a Value {
    let found = objects.iter().find(|object| object[key] == *value);
    found.unwrap_or_else(|| panic!("{key} {value} among {objects:#?}"))
}

/// `192.0.2.1/24` of `ip -j address`.
fn addresses(link: &Value) -> Vec<String> {
    let addresses = link["addr_info"].as_array().unwrap().iter();
    addresses
        .map(|it| format!("{}/{}", text(it, "local"), it["prefixlen"]))
        .collect()
}
