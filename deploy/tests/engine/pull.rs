//! Pulling, from Debian's `docker-registry` on a loopback port.

use std::fs;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use crate::stack::{IMAGE, Stack, docker, eventually, local_port};

/// A registry that lives as long as the test.
struct Registry {
    process: Child,
    port: u16,
    image: String,
}

impl Registry {
    fn start(stack: &Stack) -> Self {
        let port = local_port();
        let root = stack.path().join("registry");
        let config = stack.path().join("registry.yml");
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n\
             http: {{addr: '127.0.0.1:{port}'}}\n",
            root.display()
        );
        fs::write(&config, text).unwrap();
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("docker-registry is installed");
        let image = format!("127.0.0.1:{port}/app:1");
        let registry = Self {
            process,
            port,
            image,
        };
        eventually("the registry listens", || {
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        registry
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = Command::new("docker")
            .args(["image", "rm", "-f", &self.image])
            .output();
    }
}

#[test]
fn a_missing_image_is_pulled_once() {
    let stack = Stack::new("pull");
    let registry = Registry::start(&stack);
    let image = &registry.image;
    // A layer of its own, so that there is something to transfer.
    stack.write(
        "Dockerfile",
        &format!("FROM {IMAGE}\nRUN cat /proc/sys/kernel/random/uuid > /unique\n"),
    );
    docker(&["build", "-q", "-t", image, stack.path().to_str().unwrap()]);
    docker(&["push", "-q", image]);
    docker(&["image", "rm", image]);
    stack.compose(&format!(
        "services:\n  web: {{<<: *app, image: '{image}'}}\n"
    ));

    stack
        .ok(&["up"])
        .assert_says(&["+ pull", "pull complete", &format!("image {image}: pulled")]);
    stack.ok(&["up"]).assert_says(&["no changes"]);
    let events = stack.ok(&["up", "--pull", "--json"]).events();
    let subject = format!("image {image}");
    assert!(
        events
            .iter()
            .any(|event| event["event"] == "done" && event["subject"] == subject.as_str())
    );
    assert_eq!(stack.containers().len(), 1);
}

#[test]
fn a_tag_that_does_not_exist_is_told_from_a_registry_that_does_not_answer() {
    let stack = Stack::new("notag");
    let registry = Registry::start(&stack);
    let image = format!("127.0.0.1:{}/none:1", registry.port);
    stack.compose(&format!(
        "services:\n  web: {{<<: *app, image: '{image}'}}\n"
    ));
    stack.refuses(1, "up", &["see that the name and tag are right"]);
}
