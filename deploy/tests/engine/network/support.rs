//! What the tests of this binary share: the static build that serves as probe, an image of
//! busybox, throw-away containers and networks that are gone on drop.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use engine::Engine;
use testkit::engine::{LABEL, import_busybox, succeeds};
use testkit::wait::wait_within;

pub(crate) use testkit::engine::docker_line as docker;
pub(crate) use testkit::process::run;

/// The static build of `deploy` that containers can run: `scripts/probe.sh` makes it before the
/// tests, as nextest is told to.
pub(crate) fn probe_binary() -> PathBuf {
    let path = std::env::var_os("CAUSEWAY_PROBE_BINARY");
    path.expect("CAUSEWAY_PROBE_BINARY names a static build of deploy (scripts/probe.sh)")
        .into()
}

/// A connection to the engine, from a process that probes with [`probe_binary`].
pub(crate) async fn engine() -> Engine {
    Engine::connect().await.unwrap()
}

/// The image of Debian's static busybox (package busybox-static), imported once.
pub(crate) fn busybox() -> &'static str {
    const NAME: &str = "causeway-test/busybox:network";
    let page = ("www/index.html", "served\n");
    import_busybox(NAME, &[], &[page], &["ENTRYPOINT [\"/bin/busybox\"]"]);
    NAME
}

/// A name that no other test uses, on this engine or in this run.
pub(crate) fn unique(what: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("cwnet-{what}-{}-{count}", std::process::id())
}

/// Tries again until `condition` holds; panics after ten seconds.
pub(crate) fn wait_until(what: &str, condition: impl FnMut() -> bool) {
    wait_within(Duration::from_secs(10), what, condition);
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
        let mut arguments = vec!["network", "create", "--label", LABEL];
        arguments.extend(options);
        arguments.push(&name);
        docker(&arguments);
        self.networks.push(name.clone());
        name
    }

    /// Starts a container of busybox with `docker run` options and returns its id.
    pub(crate) fn container(&mut self, options: &[&str], command: &[&str]) -> String {
        let mut arguments = vec!["run", "--detach", "--label", LABEL, "--init"];
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
            succeeds(&check)
        });
        id
    }
}

impl Drop for Things {
    fn drop(&mut self) {
        for container in &self.containers {
            succeeds(&["rm", "--force", "--volumes", container]);
        }
        for network in &self.networks {
            succeeds(&["network", "rm", network]);
        }
    }
}
