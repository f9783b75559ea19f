//! What the tests of this binary share: the static build that serves as probe, an image of
//! busybox, throw-away containers and networks that are gone on drop.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Marks everything that a test creates.
pub(crate) const TEST_LABEL: &str = "dev.causeway.test=1";

/// The static build of `deploy` that containers can run: `scripts/probe.sh` makes it before the
/// tests, as nextest is told to.
pub(crate) fn probe_binary() -> PathBuf {
    let path = std::env::var_os("CAUSEWAY_PROBE_BINARY");
    path.expect("CAUSEWAY_PROBE_BINARY names a static build of deploy (scripts/probe.sh)")
        .into()
}

/// A connection to the engine, from a process that probes with [`probe_binary`].
pub(crate) fn engine() -> bollard::Docker {
    bollard::Docker::connect_with_local_defaults().unwrap()
}

/// `docker ARGUMENTS`, its output trimmed; panics if it fails.
pub(crate) fn docker(arguments: &[&str]) -> String {
    run(Command::new("docker").args(arguments))
        .trim()
        .to_owned()
}

/// The image of Debian's static busybox (package busybox-static), imported once.
pub(crate) fn busybox() -> &'static str {
    const NAME: &str = "causeway-test/busybox:network";
    let there = Command::new("docker")
        .args(["image", "inspect", NAME])
        .output()
        .unwrap();
    if !there.status.success() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("bin")).unwrap();
        std::fs::copy("/bin/busybox", root.path().join("bin/busybox")).unwrap();
        std::fs::create_dir_all(root.path().join("www")).unwrap();
        std::fs::write(root.path().join("www/index.html"), "served\n").unwrap();
        let tar = root.path().join("root.tar");
        run(Command::new("tar")
            .arg("-C")
            .arg(root.path())
            .arg("-cf")
            .arg(&tar)
            .args(["bin", "www"]));
        docker(&[
            "import",
            "--change",
            "ENTRYPOINT [\"/bin/busybox\"]",
            "--change",
            &format!("LABEL {TEST_LABEL}"),
            tar.to_str().unwrap(),
            NAME,
        ]);
    }
    NAME
}

/// A name that no other test uses, on this engine or in this run.
pub(crate) fn unique(what: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("cwnet-{what}-{}-{count}", std::process::id())
}

/// Runs a command to its end and returns what it printed; panics with all of it if it failed.
pub(crate) fn run(command: &mut Command) -> String {
    let output = output(command);
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{command:?}: {}\n{stdout}\n{stderr}",
        output.status
    );
    stdout.into_owned()
}

fn output(command: &mut Command) -> Output {
    command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// Tries again until `condition` holds; panics after ten seconds.
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Networks and containers of one test; removed on drop, also when the test failed.
#[derive(Default)]
pub(crate) struct Things {
    containers: Vec<String>,
    networks: Vec<String>,
}

impl Things {
    /// Creates a network with further options and returns its name.
    pub(crate) fn network(&mut self, options: &[&str]) -> String {
        let name = unique("net");
        let mut arguments = vec!["network", "create", "--label", TEST_LABEL];
        arguments.extend(options);
        arguments.push(&name);
        docker(&arguments);
        self.networks.push(name.clone());
        name
    }

    /// Starts a container of busybox with `docker run` options and returns its id.
    pub(crate) fn container(&mut self, options: &[&str], command: &[&str]) -> String {
        let mut arguments = vec!["run", "--detach", "--label", TEST_LABEL, "--init"];
        arguments.extend(options);
        arguments.push(busybox());
        arguments.extend(command);
        let id = docker(&arguments);
        self.containers.push(id.clone());
        id
    }

    /// Starts an HTTP server on `port` of a container and waits until it listens.
    pub(crate) fn server(&mut self, port: u16, options: &[&str]) -> String {
        let id = self.container(
            options,
            &["httpd", "-f", "-p", &port.to_string(), "-h", "/www"],
        );
        let url = format!("http://127.0.0.1:{port}/");
        wait_until(&format!("port {port} of {id} listens"), || {
            let check = ["exec", &id, "/bin/busybox", "wget", "-q", "-O", "-", &url];
            output(Command::new("docker").args(check)).status.success()
        });
        id
    }
}

impl Drop for Things {
    fn drop(&mut self) {
        for container in &self.containers {
            let _ = Command::new("docker")
                .args(["rm", "--force", "--volumes", container])
                .output();
        }
        for network in &self.networks {
            let _ = Command::new("docker")
                .args(["network", "rm", network])
                .output();
        }
    }
}
