//! Images that one node built get to the others: over SSH, and through a registry. A small project of its
//! own, beside the stack.

use std::env;
use std::fs;
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use testkit::engine::import_busybox;
use testkit::net::local_port;
use testkit::process::{Outcome, Process, outcome_of, run};
use testkit::ssh::Ssh;
use testkit::wait::wait_within;

use crate::bed::Bed;

const BASE: &str = "causeway-test/images:1";

struct Small {
    directory: TempDir,
    ssh: Ssh,
}

impl Small {
    fn new(bed: &Bed) -> Self {
        import_busybox(BASE, &["sh", "sleep"], &[], &[]);
        let sockets = env::var("BED").unwrap();
        let ssh = Ssh::new();
        for number in 1..=bed.nodes().len() {
            let engine = format!("unix://{sockets}/n{number}/docker.sock");
            ssh.force(
                &format!("n{number}"),
                &format!("docker -H {engine} system dial-stdio"),
            );
        }
        let small = Self {
            directory: tempfile::tempdir().unwrap(),
            ssh,
        };
        small.write(
            "compose.yaml",
            "name: small\nservices:\n  s:\n    image: causeway-test/small\n    build: .\n    command: [sleep, '1000']\n    \
             init: true\n    networks: [n]\n    deploy:\n      mode: global\n      endpoint_mode: dnsrr\n      \
             update_config: {parallelism: 0, order: start-first, monitor: 100ms}\n\
             networks:\n  n: {driver: overlay}\nx-swarm: {registry: '${REGISTRY:-}', ssh: '${WAY:-}'}\n",
        );
        small
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.directory.path().join(name), text).unwrap();
    }

    fn version(&self, number: u32) {
        self.write(
            "Dockerfile",
            &format!("FROM {BASE}\nENV VERSION={number}\n"),
        );
    }

    fn deploy(&self, arguments: &[&str]) -> Outcome {
        let mut command = Command::new(env!("CARGO_BIN_EXE_deploy"));
        command.current_dir(self.directory.path()).args(arguments);
        outcome_of(command.env("PATH", self.ssh.path()))
    }

    fn ok(&self, arguments: &[&str]) -> String {
        let outcome = self.deploy(arguments);
        outcome.assert_code(0);
        outcome.text
    }
}

/// The images of this name that a node's engine has.
fn on(node: &str, name: &str) -> Vec<String> {
    let engine = format!("unix://{}/{node}/docker.sock", env::var("BED").unwrap());
    let mut docker = Command::new("docker");
    docker.args([
        "-H",
        &engine,
        "image",
        "ls",
        "--format",
        "{{.Repository}}:{{.Tag}}",
        name,
    ]);
    run(&mut docker).lines().map(str::to_owned).collect()
}

fn runs(bed: &Bed) -> String {
    let format = "{{.Spec.TaskTemplate.ContainerSpec.Image}}";
    bed.docker(&["service", "inspect", "--format", format, "small_s"])
}

pub(crate) fn get_to_the_nodes(bed: &Bed) {
    let small = Small::new(bed);
    small.version(1);
    let first = over_ssh(bed, &small);
    let registry = Registry::start();
    through_a_registry(bed, &small, &registry);
    registry.goes_away();
    what_runs_needs_no_registry(bed, &small);

    small.write(".env", "WAY=root@{name}\n");
    let releases = small.ok(&["releases"]);
    assert!(releases.contains("image causeway-test/small"), "{releases}");
    small.ok(&["rollback"]);
    assert_eq!(runs(bed), first);

    small.ok(&["down", "--volumes"]);
    for node in ["n1", "n2", "n3"] {
        wait_within(Duration::from_secs(30), "no image of it", || {
            let tidied = small.deploy(&["down", "--volumes"]);
            tidied.code == 0 && on(node, "loaded.invalid/*/*").is_empty()
        });
    }
}

/// Builds, loads, and loads nothing twice. Returns what nodes were told to run.
fn over_ssh(bed: &Bed, small: &Small) -> String {
    small.write(".env", "WAY=root@{address}\n");
    let unreached = small.deploy(&["up"]);
    // Whatever the address leads to, it isn't that node.
    unreached.assert_code(1);
    unreached.assert_says(&["isn't that of node n2", "CAUSEWAY_NODE_SSH"]);

    small.write(".env", "WAY=root@{name}\n");
    let up = small.ok(&["up"]);
    for said in [
        "node n2: has causeway-test/small",
        "node n3: has causeway-test/small",
    ] {
        assert!(up.contains(said), "{said}: {up}");
    }
    let image = runs(bed);
    assert!(
        image.starts_with("loaded.invalid/causeway-test/small:small-"),
        "{image}"
    );
    assert_eq!(
        on("n3", "loaded.invalid/causeway-test/*"),
        std::slice::from_ref(&image)
    );
    let again = small.ok(&["up"]);
    assert!(again.contains("no changes"), "{again}");
    image
}

fn through_a_registry(bed: &Bed, small: &Small, registry: &Registry) {
    small.version(2);
    small.write(".env", &format!("REGISTRY={}/it\n", registry.address));
    let up = small.ok(&["up"]);
    assert!(up.contains("if its image comes out as another one"), "{up}");
    let image = runs(bed);
    let (name, digest) = image.split_once('@').expect("a digest");
    assert!(
        name.starts_with(&format!(
            "{}/it/causeway-test/small:small-",
            registry.address
        )),
        "{image}"
    );
    assert!(digest.starts_with("sha256:"), "{image}");
    let again = small.ok(&["up"]);
    assert!(again.contains("no changes"), "{again}");
    let built = small.ok(&["build"]);
    assert!(built.contains("nothing to build"), "{built}");
}

/// Nodes have what they run. What is new can't get to them: `up` says why, and changes nothing.
fn what_runs_needs_no_registry(bed: &Bed, small: &Small) {
    let before = runs(bed);
    small.ok(&["restart", "s"]);
    small.version(3);
    let refused = small.deploy(&["up"]);
    refused.assert_code(1);
    refused.assert_says(&["pushing image", "connection refused", "CAUSEWAY_REGISTRY"]);
    assert_eq!(runs(bed), before);
    small.version(2);
    small.ok(&["up"]);
    assert_eq!(runs(bed), before);
}

/// Debian's, where the nodes reach it.
struct Registry {
    process: Process,
    _directory: TempDir,
    address: String,
}

impl Registry {
    fn start() -> Self {
        // Apart from what images are built from.
        let directory = tempfile::tempdir().unwrap();
        let address = format!("{}:{}", env::var("BED_HOST").unwrap(), local_port());
        let config = directory.path().join("registry.yml");
        let root = directory.path().join("registry");
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: '{address}'}}\n",
            root.display()
        );
        fs::write(&config, text).unwrap();
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(&config);
        let process = Process::start(command.stdout(Stdio::null()).stderr(Stdio::null()));
        wait_within(Duration::from_secs(20), "the registry", || {
            TcpStream::connect(&address).is_ok()
        });
        Self {
            process,
            _directory: directory,
            address,
        }
    }

    fn goes_away(self) {
        drop(self.process);
    }
}
