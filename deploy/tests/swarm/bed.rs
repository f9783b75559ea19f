//! The three machines, and a checkout's files to deploy from.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use testkit::http::Wire;
use testkit::process::{Outcome, outcome_of, run};
use testkit::repository;

/// What a Swarm's stack is described by.
const FILES: [&str; 3] = ["compose.yaml", "compose.swarm.yaml", "built.yaml"];
/// The machines have the images, and there are no sources here.
const BUILT: &str = "services:\n  listener: {build: !reset null}\n  proxy: {build: !reset null}\n  \
                     api: {build: !reset null}\n  keeper: {build: !reset null}\n  console: {build: !reset null}\n";

pub(crate) struct Bed {
    directory: TempDir,
    nodes: Vec<String>,
    /// Of `.env`.
    settings: Mutex<BTreeMap<&'static str, String>>,
}

impl Bed {
    pub(crate) fn new() -> Self {
        let nodes =
            env::var("BED_NODES").expect("BED_NODES is set: run this by scripts/swarm-bed.sh");
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("built.yaml"), BUILT).unwrap();
        for file in &FILES[..2] {
            fs::copy(repository().join(file), directory.path().join(file)).unwrap();
        }
        let scripts = Path::new("containers/mongo");
        for folder in ["initdb.d", "rotate", "verify"] {
            let to = directory.path().join(scripts).join(folder);
            fs::create_dir_all(&to).unwrap();
            for entry in fs::read_dir(repository().join(scripts).join(folder)).unwrap() {
                let entry = entry.unwrap();
                fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
            }
        }
        let bed = Self {
            directory,
            nodes: nodes.split_whitespace().map(str::to_owned).collect(),
            settings: Mutex::default(),
        };
        let mongo = env::var("CAUSEWAY_MONGO_IMAGE");
        bed.set(
            "CAUSEWAY_MONGO_IMAGE",
            &mongo.unwrap_or_else(|_| "causeway/base-mongo:local".to_owned()),
        );
        bed
    }

    /// Where the files are.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Their addresses.
    pub(crate) fn nodes(&self) -> &[String] {
        &self.nodes
    }

    /// Puts a setting into `.env`.
    pub(crate) fn set(&self, name: &'static str, value: &str) {
        let mut settings = self.settings.lock().unwrap();
        settings.insert(name, value.to_owned());
        let lines: Vec<String> = settings
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let lines = lines.join("\n");
        fs::write(self.directory.path().join(".env"), lines).unwrap();
    }

    /// `up` without the look at the network, which has a step of its own (verify.rs).
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let unseen: &[&str] = match arguments.first() {
            Some(&"up") => &["--no-verify"],
            _ => &[],
        };
        self.ends(0, &[arguments, unseen].concat())
    }

    /// With this exit status.
    pub(crate) fn ends(&self, code: i32, arguments: &[&str]) -> String {
        let outcome = self.deploy(&FILES, arguments);
        outcome.assert_code(code);
        outcome.text
    }

    pub(crate) fn fails(&self, arguments: &[&str]) -> String {
        self.fails_with(&FILES, arguments)
    }

    pub(crate) fn fails_with(&self, files: &[&str], arguments: &[&str]) -> String {
        let outcome = self.deploy(files, arguments);
        outcome.assert_code(1);
        outcome.text
    }

    fn deploy(&self, files: &[&str], arguments: &[&str]) -> Outcome {
        outcome_of(&mut self.command(files, arguments))
    }

    fn command(&self, files: &[&str], arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_deploy"));
        command
            .current_dir(self.directory.path())
            .args(files.iter().flat_map(|file| ["-f", file]))
            .args(arguments);
        command
    }

    /// The command, at this node's engine.
    pub(crate) fn at(&self, node: &str, arguments: &[&str]) -> Command {
        let mut command = self.command(&FILES, arguments);
        let socket = format!("{}/{node}/docker.sock", env::var("BED").unwrap());
        command.env("DOCKER_HOST", format!("unix://{socket}"));
        command
    }

    /// What a command that lists prints with `--json`.
    pub(crate) fn rows(&self, arguments: &[&str]) -> Vec<Value> {
        serde_json::from_value(self.document(arguments)).unwrap()
    }

    /// What a command that shows something prints with `--json`.
    pub(crate) fn document(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.printed(&[&["--json"], arguments].concat())).unwrap()
    }

    /// What a command prints for others to read.
    pub(crate) fn printed(&self, arguments: &[&str]) -> String {
        let outcome = self.deploy(&FILES, arguments);
        outcome.assert_code(0);
        outcome.stdout
    }

    /// What `docker` prints, on the manager.
    pub(crate) fn docker(&self, arguments: &[&str]) -> String {
        assert!(!self.nodes.is_empty());
        run(Command::new("docker").args(arguments))
            .trim()
            .to_owned()
    }

    /// Service and node of every task that does its work.
    pub(crate) fn tasks(&self) -> Vec<(String, String)> {
        let ready = self
            .rows(&["ps"])
            .into_iter()
            .filter(|it| it["ready"] == true);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        ready
            .map(|it| (text(&it["service"]), text(&it["node"])))
            .collect()
    }

    /// The versions of all services: other ones, when anything was done to them.
    pub(crate) fn versions(&self) -> String {
        let services = self.docker(&["service", "ls", "--quiet"]);
        let mut arguments = vec![
            "service",
            "inspect",
            "--format",
            "{{.Spec.Name}} {{.Version.Index}}",
        ];
        arguments.extend(services.lines());
        self.docker(&arguments)
    }

    /// Whether a request through this node is answered 200.
    pub(crate) fn answers(&self, node: &str) -> bool {
        assert!(self.nodes.iter().any(|it| it == node));
        let Ok(stream) = TcpStream::connect((node, 8080)) else {
            return false;
        };
        let mut connection = Wire::new(stream);
        let patience = Some(Duration::from_secs(10));
        connection.stream().set_read_timeout(patience).unwrap();
        let request = format!("GET / HTTP/1.1\r\nHost: {node}\r\nConnection: close\r\n\r\n");
        connection.try_send(&request).is_ok()
            && connection.response("GET").is_ok_and(|it| it.status == 200)
    }

    /// So many requests of this name are stored.
    pub(crate) fn documents(&self, name: &str) -> usize {
        let script = format!(
            "db.getSiblingDB('admin').auth('root', '{}'); \
             print(db.getSiblingDB('myDatabase').requests.countDocuments({{url: /load={name}$/}}))",
            self.secret("mongo_root_password")
        );
        let counted = self.mongo_shell(&script);
        let count = counted.parse().ok();
        count.unwrap_or_else(|| panic!("no number: {counted}"))
    }

    /// The value in a secret's file.
    pub(crate) fn secret(&self, name: &str) -> String {
        let file = self.path().join("secrets").join(name);
        fs::read_to_string(file).unwrap().trim().to_owned()
    }

    /// The last line that the database's shell prints.
    pub(crate) fn mongo_shell(&self, script: &str) -> String {
        let filter = "label=com.docker.swarm.service.name=causeway_mongo";
        let container = self.docker(&["ps", "--quiet", "--filter", filter]);
        let said = self.docker(&[
            "exec", &container, "mongosh", "--quiet", "--norc", "--eval", script,
        ]);
        said.lines().last().unwrap_or_default().trim().to_owned()
    }

    /// Runs a command on a machine.
    pub(crate) fn inside(&self, node: &str, command: &[&str]) {
        let (around, machine) = (env::var("BED_AROUND").unwrap(), format!("bed-{node}"));
        self.docker(&[&["--host", &around, "exec", &machine], command].concat());
    }

    /// Takes a machine's power away.
    pub(crate) fn kill(&self, node: &str) {
        let around = env::var("BED_AROUND").unwrap();
        self.docker(&["--host", &around, "kill", &format!("bed-{node}")]);
    }
}
