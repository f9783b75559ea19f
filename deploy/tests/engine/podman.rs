//! Podman's API service, which answers like an engine and is none that serves.

use std::process::{Child, Command, Stdio};

use crate::stack::{Stack, eventually, outcome};

/// `podman system service` with a storage of its own, ended on drop.
struct Podman {
    service: Child,
    address: String,
}

impl Podman {
    fn start(stack: &Stack) -> Self {
        let path = |name: &str| stack.path().join(name).display().to_string();
        let address = format!("unix://{}", path("podman.sock"));
        let service = Command::new("podman")
            .args(["--root", &path("storage"), "--runroot", &path("run")])
            .args(["--storage-driver", "vfs", "--cgroup-manager", "cgroupfs"])
            .args(["system", "service", "--time", "0", &address])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let socket = stack.path().join("podman.sock");
        eventually("a socket of Podman's", || socket.exists());
        Self { service, address }
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        let _ = self.service.kill();
        let _ = self.service.wait();
    }
}

#[test]
fn podman_is_refused_before_anything_is_made() {
    let stack = Stack::with("podman", "services:\n  web: {<<: *app}\n");
    let podman = Podman::start(&stack);
    for command in ["plan", "up"] {
        let refused = stack
            .command(&[command])
            .env("DOCKER_HOST", &podman.address)
            .output()
            .unwrap();
        let refused = outcome(&refused);
        refused.assert_code(3);
        refused.assert_says(&[
            "Podman",
            "health checks",
            "nothing was changed",
            "next: start Docker",
        ]);
    }
    assert!(!stack.path().join(".deploy").exists());
    let made = Command::new("docker")
        .args(["--host", &podman.address, "ps", "--all", "--quiet"])
        .output()
        .unwrap();
    assert_eq!(outcome(&made).text, "");
}
