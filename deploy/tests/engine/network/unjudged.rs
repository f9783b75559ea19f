//! `verify` says "verified" of the whole drawing only: what it couldn't see is counted, named, and
//! leads to another exit.

use std::process::Command;

use serde_json::Value;

use super::stack::Stack;
use super::support::{busybox, docker, wait_until};

#[test]
fn what_could_not_be_looked_at_is_named_and_exits_4() {
    let stack = Stack::up();
    stack.assert_green();
    // An image that gives no report, as one would whose probe can't run there.
    let blind = |arguments: &[&str]| {
        let mut command = stack.command(arguments);
        command.env("CAUSEWAY_PROBE_IMAGE", busybox());
        command
    };
    let (code, document) = Stack::document(&mut blind(&["--json", "verify"]));
    assert_eq!(code, 4, "{document:#}");
    assert_eq!(document["ok"], false);
    assert_eq!(sentences(&document, "findings"), Vec::<String>::new());
    let unjudged = sentences(&document, "unjudged");
    assert!(
        unjudged
            .iter()
            .any(|it| it.starts_with("proxy → api: ") && it.ends_with("not looked at")),
        "{unjudged:#?}"
    );

    let output = blind(&["verify"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(!text.contains("verified: "), "{text}");
    assert!(
        text.contains("could not be judged") && text.contains("not judged: proxy → api"),
        "{text}"
    );

    // A deploy has done its job, and says what it hasn't proven.
    let up = blind(&["up"]).output().unwrap();
    let text = String::from_utf8_lossy(&up.stderr);
    assert_eq!(up.status.code(), Some(0), "{text}");
    assert!(text.contains("note: not verified: "), "{text}");
}

#[test]
fn a_port_that_refuses_the_question_about_metrics_proves_nothing() {
    // It reads the request first: what closes on unread bytes may reset its own answer.
    let stack = Stack::of(
        r#"
x-verify: {entry_points: {picky: {port: 80}}}
services:
  picky:
    image: IMAGE
    init: true
    labels: {dev.causeway.test: '1'}
    command:
      [nc, -ll, -p, '80', -e, /bin/busybox, sh, -c,
       "while read -r l && [ $${#l} -gt 1 ]; do :; done; echo -e 'HTTP/1.0 400 Bad Request\\r\\n\\r'"]
    ports: ['127.0.0.1:PORT:80']
"#,
    );
    wait_until("it answers", || stack.verify().0 != 1);
    let (code, document) = stack.verify();
    let unjudged = sentences(&document, "unjudged");
    assert_eq!(code, 4, "{document:#}");
    assert!(
        unjudged.iter().any(|it| it.contains("(/metrics): 400")),
        "{unjudged:#?}"
    );
}

#[test]
fn a_stack_that_compose_runs_is_sent_requests_too() {
    let stack = Stack::written(
        "
x-verify: {entry_points: {web: {port: 80}}}
services:
  web: {image: IMAGE, command: [httpd, -f, -p, '80', -h, /www], ports: ['127.0.0.1:PORT:80']}
",
    );
    let network = format!("{}_default", stack.project);
    let project = format!("com.docker.compose.project={}", stack.project);
    docker(&["network", "create", "--label", &project, &network]);
    let (name, port) = (
        stack.container("web"),
        format!("127.0.0.1:{}:80", stack.port),
    );
    let labels = [
        "--label",
        &project,
        "--label",
        "com.docker.compose.service=web",
        "--label",
        "com.docker.compose.container-number=1",
        "--label",
        "com.docker.compose.oneoff=False",
    ];
    let place = [
        "--network",
        &network,
        "--network-alias",
        "web",
        "--publish",
        &port,
    ];
    let command = [busybox(), "httpd", "-f", "-p", "80", "-h", "/www"];
    docker(
        &[
            &["run", "--detach", "--init", "--name", &name][..],
            &labels,
            &place,
            &command,
        ]
        .concat(),
    );
    stack.assert_green();
    let (_, document) = stack.verify();
    let checks = document["checks"].as_array().unwrap();
    let asked = |check: &Value| check["by"] == "http" && check["verdict"] == "pass";
    assert!(checks.iter().any(asked), "{checks:#?}");
}

/// Needs root: it makes a network namespace.
#[test]
fn an_engine_in_another_network_namespace_is_asked_there() {
    let stack = Stack::up();
    stack.assert_green();
    // This machine's own port of that number is somebody else's.
    let (code, document) =
        Stack::document(&mut stack.command_from_elsewhere(&["--json", "verify"]));
    assert_eq!((code, &document["findings"]), (0, &serde_json::json!([])));
    let nothing_here = Command::new("unshare")
        .args([
            "--net",
            "--",
            "/bin/busybox",
            "nc",
            "-w",
            "1",
            "127.0.0.1",
            &stack.port.to_string(),
        ])
        .output()
        .unwrap();
    assert!(!nothing_here.status.success());
}

fn sentences(document: &Value, of: &str) -> Vec<String> {
    let sentences = document[of].as_array().unwrap();
    let each = sentences.iter().map(|it| it.as_str().unwrap().to_owned());
    each.collect()
}
