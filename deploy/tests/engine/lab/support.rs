//! What the tests of this binary share: a `deploy` whose image no other process uses, and what the
//! engine has of it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use sha2::{Digest, Sha256};
use testkit::wait::wait_within;

pub(crate) use testkit::engine::docker_line as docker;
pub(crate) use testkit::process::run;

/// A static `deploy` of this test alone. A few bytes at its end make its image differ from that
/// of any other test, so that the image's coming and going can be watched.
pub(crate) struct Lab {
    directory: tempfile::TempDir,
    image: String,
}

impl Lab {
    pub(crate) fn new(test: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let probe = directory.path().join("deploy");
        // Without its symbols the file is a fraction of the size.
        run(Command::new("strip")
            .arg("-o")
            .arg(&probe)
            .arg(static_binary()));
        let mut content = std::fs::read(&probe).unwrap();
        content.extend(format!("{test} {}", std::process::id()).bytes());
        std::fs::write(&probe, &content).unwrap();
        let hash = hex::encode(&Sha256::digest(&content)[..16]);
        Self {
            directory,
            image: format!("causeway/probe:{hash}"),
        }
    }

    /// `deploy ARGUMENTS`.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_deploy"));
        command
            .args(arguments)
            .env("CAUSEWAY_PROBE_BINARY", self.probe())
            .env_remove("CAUSEWAY_PROBE_IMAGE")
            .current_dir(self.path());
        command
    }

    /// Starts `deploy ARGUMENTS` and waits until it has made at least two containers.
    pub(crate) fn under_way(&self, arguments: &[&str]) -> Child {
        let mut child = self
            .command(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        wait_until("the lab has made containers", || {
            assert!(
                child.try_wait().unwrap().is_none(),
                "it ended before it could be disturbed"
            );
            self.containers().len() >= 2
        });
        child
    }

    /// The report of `deploy lab run --json ARGUMENTS`, which must succeed.
    pub(crate) fn report(&self, arguments: &[&str]) -> Value {
        let all = [&["lab", "run", "--json"], arguments].concat();
        serde_json::from_str(&run(&mut self.command(&all))).unwrap()
    }

    pub(crate) fn probe(&self) -> PathBuf {
        self.path().join("deploy")
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The engine's containers that run this test's image, by id.
    pub(crate) fn containers(&self) -> Vec<String> {
        if !self.image_is_there() {
            return Vec::new();
        }
        let filter = format!("ancestor={}", self.image);
        lines(&docker(&["ps", "-aq", "--no-trunc", "--filter", &filter]))
    }

    pub(crate) fn image_is_there(&self) -> bool {
        !docker(&["images", "-q", &self.image]).is_empty()
    }

    /// The run that this test's containers belong to.
    pub(crate) fn run_id(&self) -> String {
        let container = self.containers().pop().unwrap();
        let label = r#"{{index .Config.Labels "dev.causeway.lab"}}"#;
        docker(&["inspect", "-f", label, &container])
    }
}

/// Whatever a failed test has left.
impl Drop for Lab {
    fn drop(&mut self) {
        for container in self.containers() {
            _ = Command::new("docker")
                .args(["rm", "-fv", &container])
                .output();
        }
        _ = Command::new("docker").args(["rmi", &self.image]).output();
    }
}

/// Containers and networks of one run, by id.
pub(crate) fn things_of(run: &str) -> Vec<String> {
    let filter = format!("label=dev.causeway.lab={run}");
    let containers = docker(&["ps", "-aq", "--filter", &filter]);
    let networks = docker(&["network", "ls", "-q", "--filter", &filter]);
    lines(&containers)
        .into_iter()
        .chain(lines(&networks))
        .collect()
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(ToOwned::to_owned).collect()
}

/// The static build that serves as probe: the one that `CAUSEWAY_PROBE_BINARY` names, or one that
/// is built here, into the same target directory.
fn static_binary() -> PathBuf {
    if let Some(path) = std::env::var_os("CAUSEWAY_PROBE_BINARY") {
        return path.into();
    }
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let target = env!("CARGO_TARGET_TMPDIR");
    let target = Path::new(target).parent().unwrap();
    run(Command::new(env!("CARGO"))
        .args([
            "build", "--quiet", "--locked", "-p", "deploy", "--bin", "deploy",
        ])
        .args(["--target", &triple])
        .env("CARGO_TARGET_DIR", target)
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .current_dir(env!("CARGO_MANIFEST_DIR")));
    target.join(triple).join("debug/deploy")
}

/// Tries again until `condition` holds; panics when it takes too long.
pub(crate) fn wait_until(what: &str, condition: impl FnMut() -> bool) {
    wait_within(Duration::from_secs(60), what, condition);
}
