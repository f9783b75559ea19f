//! A stack of the product's shape, made of busybox, brought up by `deploy` for one test.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use testkit::engine::remove_labelled;
use testkit::net::local_port;

use super::support::{busybox, probe_binary, run, unique};

/// proxy ─ public ─ api ─ private (internal) ─ store; all serve HTTP.
pub(crate) const SHAPE: &str = "
x-app: &app
  image: IMAGE
  init: true
  labels: {dev.causeway.test: '1'}
x-verify: {entry_points: {proxy: {port: 80}}}
services:
  proxy:
    <<: *app
    command: [httpd, -f, -p, '80', -h, /www]
    ports: ['127.0.0.1:PORT:80']
    networks: [public]
    depends_on: [api]
  api:
    <<: *app
    command: [httpd, -f, -p, '9090', -h, /www]
    expose: ['9090']
    networks: {public: {aliases: [flask-app]}, private: }
    depends_on: [store]
  store:
    <<: *app
    command: [httpd, -f, -p, '27017', -h, /www]
    expose: ['27017']
    networks: {private: {aliases: [mongo]}}
networks:
  public: {name: PROJECT-public}
  private: {name: PROJECT-private, internal: true}
";

pub(crate) struct Stack {
    dir: TempDir,
    pub(crate) project: String,
    /// What PORT stands for.
    pub(crate) port: u16,
}

impl Stack {
    /// The product's shape, up and serving.
    pub(crate) fn up() -> Self {
        Self::of(SHAPE)
    }

    /// Any Compose file, in which IMAGE, PROJECT and PORT stand for the test's own.
    pub(crate) fn of(compose: &str) -> Self {
        let stack = Self::written(compose);
        run(&mut stack.command(&["up", "--no-verify"]));
        stack
    }

    /// The file alone.
    pub(crate) fn written(compose: &str) -> Self {
        let project = unique("stack").to_lowercase();
        let port = local_port();
        let dir = tempfile::Builder::new().prefix("cwnet-").tempdir().unwrap();
        let compose = compose
            .replace("IMAGE", busybox())
            .replace("PROJECT", &project)
            .replace("PORT", &port.to_string());
        std::fs::write(dir.path().join("compose.yaml"), compose).unwrap();
        Self { dir, project, port }
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.command_by(Command::new(env!("CARGO_BIN_EXE_deploy")), arguments)
    }

    /// The command from a network namespace that isn't the engine's, with loopback alone.
    pub(crate) fn command_from_elsewhere(&self, arguments: &[&str]) -> Command {
        let mut elsewhere = Command::new("unshare");
        elsewhere.args(["--net", "--", env!("CARGO_BIN_EXE_deploy")]);
        self.command_by(elsewhere, arguments)
    }

    /// The command by another one that runs it.
    pub(crate) fn command_by(&self, mut command: Command, arguments: &[&str]) -> Command {
        command
            .current_dir(self.dir.path())
            .env("CAUSEWAY_PROBE_BINARY", probe_binary())
            .args(["-p", &self.project])
            .args(arguments);
        command
    }

    /// A file beside the Compose file.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A container's name.
    pub(crate) fn container(&self, service: &str) -> String {
        format!("{}-{service}-1", self.project)
    }

    pub(crate) fn network(&self, key: &str) -> String {
        format!("{}-{key}", self.project)
    }

    /// `deploy verify --json`: its exit status and document.
    pub(crate) fn verify(&self) -> (i32, Value) {
        Self::document(&mut self.command(&["--json", "verify"]))
    }

    /// Exit status and document of such a command.
    pub(crate) fn document(command: &mut Command) -> (i32, Value) {
        let output = command.output().unwrap();
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = stdout
            .lines()
            .find(|line| line.contains("\"event\":\"verify\""));
        let document = line.unwrap_or_else(|| {
            panic!(
                "no document:\n{stdout}{}",
                String::from_utf8_lossy(&output.stderr)
            )
        });
        (
            output.status.code().unwrap(),
            serde_json::from_str(document).unwrap(),
        )
    }

    /// Waits until everything is as the file says: servers take a moment to listen.
    pub(crate) fn assert_green(&self) {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let (code, document) = self.verify();
            if code == 0 {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "not verified: {:#} {:#}",
                document["findings"],
                document["unjudged"]
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// `verify` fails, and one of its sentences has all these parts.
    pub(crate) fn assert_finds(&self, parts: &[&str]) {
        let (code, document) = self.verify();
        let findings: Vec<&str> = document["findings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it.as_str().unwrap())
            .collect();
        assert_eq!(code, 1, "{findings:#?}");
        assert!(
            findings
                .iter()
                .any(|finding| parts.iter().all(|part| finding.contains(part))),
            "no sentence has {parts:?}: {findings:#?}"
        );
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // First as a user would, which also takes the tags of its releases away.
        let _ = self.command(&["down", "--volumes"]).output();
        remove_labelled(&format!("com.docker.compose.project={}", self.project));
    }
}
