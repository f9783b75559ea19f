//! The engine restarts without its containers (`live-restore`). Its own engine is restarted for
//! that, so this only happens on a machine of its own (scripts/own-engine.sh, as `make test` does).

use std::path::Path;
use std::process::{Child, Command, Stdio};

use compose_file::LoadOptions;

use crate::stack::{Stack, docker, eventually};

/// As listener and proxy: who is inside is found at a place in a volume that both have.
const SERVICES: &str = "
services:
  door:
    <<: *app
    restart: unless-stopped
    command: [sh, -c, 'echo > /run/door/socket; exec sleep 1000']
    healthcheck: {test: [CMD, test, -e, /run/door/socket], interval: 200ms}
    volumes: ['door:/run/door']
  web:
    <<: *app
    restart: unless-stopped
    environment: {VERSION: \"1\"}
    healthcheck: {test: [CMD, test, -e, /run/door/socket], interval: 200ms, retries: 2}
    volumes: ['door:/run/door:ro']
    depends_on: {door: {condition: service_healthy}}
    deploy: {update_config: {order: start-first}}
volumes: {door: VOLUME}
";

/// The engine with `live-restore`; the usual one again when dropped.
struct LiveRestore(Child);

impl LiveRestore {
    fn start() -> Self {
        engine_script(&["stop"]);
        Self(Self::run())
    }

    fn run() -> Child {
        // Its own session, as the script starts it: what ends this test doesn't end containers.
        let daemon = Command::new("setsid")
            .args(["dockerd", "--live-restore"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        eventually("the engine answers", || {
            let info = Command::new("docker").arg("info").output().unwrap();
            info.status.success()
        });
        daemon
    }

    fn restart(&mut self) {
        self.stop();
        self.0 = Self::run();
    }

    fn stop(&mut self) {
        let pid = self.0.id().to_string();
        let _ = Command::new("kill").arg(pid).status();
        let _ = self.0.wait();
    }
}

impl Drop for LiveRestore {
    fn drop(&mut self) {
        self.stop();
        engine_script(&[]);
    }
}

fn engine_script(arguments: &[&str]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let status = Command::new(root.join("scripts/engine.sh"))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "scripts/engine.sh {arguments:?}");
}

/// A volume with mount options shows that the test can tell: engines before 23 unmount it at their
/// start, so that what is in it is lost to new containers.
///
/// Needs root: it restarts the engine.
#[test]
fn a_new_container_finds_what_an_old_one_has_in_a_plain_volume() {
    if std::env::var_os("ISOLATED").is_none() {
        eprintln!("skipped: it restarts the engine; run it through scripts/own-engine.sh");
        return;
    }
    let version = docker(&["version", "--format", "{{.Server.Version}}"]);
    let major: u32 = version.split('.').next().unwrap().parse().unwrap();
    let mut engine = LiveRestore::start();
    for (test, volume, found) in [
        ("plain", "", true),
        (
            "mounted",
            "{driver_opts: {type: tmpfs, device: tmpfs}}",
            major >= 23,
        ),
    ] {
        let services = SERVICES.replace("VOLUME", volume);
        let stack = Stack::with(test, &services);
        stack.ok(&["up"]);
        let door = stack.id("door-1");
        let started = stack.inspect("door-1")["State"]["StartedAt"].clone();
        engine.restart();
        assert_eq!(stack.inspect("door-1")["State"]["StartedAt"], started);
        stack.compose(&services.replace("VERSION: \"1\"", "VERSION: \"2\""));
        if found {
            stack.ok(&["up"]);
            assert_eq!(stack.id("door-1"), door);
        } else {
            stack.fails(1, &["up"]).assert_says(&["is unhealthy"]);
        }
    }
}

#[test]
fn the_products_volumes_have_no_mounts_of_their_own() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../compose.yaml");
    let project = compose_file::load(&LoadOptions::from_process([file.into()])).unwrap();
    assert!(!project.volumes.is_empty());
    for (key, volume) in &project.volumes {
        assert!(volume.driver_opts.is_empty(), "{key}: {volume:?}");
    }
}
