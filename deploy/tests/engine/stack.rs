//! A stack of one test: a directory with a Compose file, the command run in it, and
//! everything removed on drop, also when the test fails.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use testkit::engine::{import_busybox, remove, remove_labelled};
use testkit::process::run;
use testkit::wait::wait_within;

pub(crate) use testkit::engine::docker;
pub(crate) use testkit::net::local_port;
pub(crate) use testkit::process::{Outcome, outcome, outcome_of};

/// busybox alone, with a link for each command used.
pub(crate) const IMAGE: &str = "causeway-test/deploy:1";
const APPLETS: [&str; 10] = [
    "sh", "sleep", "httpd", "cat", "echo", "true", "false", "test", "nslookup", "wget",
];

pub(crate) struct Stack {
    dir: TempDir,
    pub(crate) project: String,
}

impl Stack {
    /// An empty project whose name begins with the test's.
    pub(crate) fn new(test: &str) -> Self {
        import_busybox(IMAGE, &APPLETS, &[], &[]);
        let dir = tempfile::Builder::new()
            .prefix("deploy-it-")
            .tempdir()
            .unwrap();
        let unique = dir.path().file_name().unwrap().to_str().unwrap();
        let unique: String = unique["deploy-it-".len()..].to_lowercase();
        Self {
            dir,
            project: format!("it-{test}-{unique}"),
        }
    }

    /// A project whose Compose file has these services; what all tests share is added.
    pub(crate) fn with(test: &str, body: &str) -> Self {
        let stack = Self::new(test);
        stack.compose(body);
        stack
    }

    /// A project with a console, as far as commands ask it: `answer`, a script, is given each connection.
    pub(crate) fn with_console(test: &str, answer: &str) -> Self {
        let port = local_port();
        let stack = Self::with(
            test,
            &format!(
                "services:
  console:
    <<: *app
    command: [busybox, nc, -ll, -p, '8081', -e, sh, /answer]
    ports: ['127.0.0.1:{port}:8081']
    volumes: ['./answer:/answer:ro']
    secrets: [console_token]
secrets:
  console_token: {{file: ./secrets/console_token, x-generate: token}}
"
            ),
        );
        stack.write("answer", answer);
        stack
    }

    /// Writes the Compose file. `IMAGE` and `PROJECT` stand for the test's own.
    pub(crate) fn compose(&self, body: &str) {
        let body = body
            .replace("IMAGE", IMAGE)
            .replace("PROJECT", &self.project);
        // SIGKILL: busybox as process 1 heeds no other, and tests shouldn't wait for it.
        let common = "x-app: &app\n  image: IMAGE\n  command: [sleep, '1000']\n  stop_signal: SIGKILL\n  \
                      labels: {dev.causeway.test: '1'}\n";
        self.write(
            "compose.yaml",
            &format!("{}{body}", common.replace("IMAGE", IMAGE)),
        );
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn write(&self, name: &str, content: &str) {
        let path = self.dir.path().join(name);
        let directory = path.parent().unwrap();
        fs::create_dir_all(directory).unwrap();
        if name.starts_with("secrets/") {
            fs::set_permissions(directory, Permissions::from_mode(0o700)).unwrap();
        }
        fs::write(path, content).unwrap();
    }

    /// `deploy ARGUMENTS` in the stack's directory.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_deploy"));
        command
            .current_dir(self.dir.path())
            .args(["-p", &self.project])
            .args(arguments)
            .env_remove("COMPOSE_FILE")
            .stdin(Stdio::null());
        // What stands is looked at by the tests themselves; `verify` has tests of its own.
        if matches!(arguments.first(), Some(&"up" | &"rollback")) {
            command.arg("--no-verify");
        }
        command
    }

    /// Runs to the end, whatever that is.
    pub(crate) fn deploy(&self, arguments: &[&str]) -> Outcome {
        outcome_of(&mut self.command(arguments))
    }

    /// Runs and must succeed.
    pub(crate) fn ok(&self, arguments: &[&str]) -> Outcome {
        let outcome = self.deploy(arguments);
        outcome.assert_code(0);
        outcome
    }

    /// Runs and must end with `code`.
    pub(crate) fn fails(&self, code: i32, arguments: &[&str]) -> Outcome {
        let outcome = self.deploy(arguments);
        outcome.assert_code(code);
        outcome.assert_says(&["next: "]);
        outcome
    }

    /// Runs with these words, must succeed, and says all of `parts`.
    pub(crate) fn says(&self, words: &str, parts: &[&str]) {
        let words: Vec<_> = words.split(' ').collect();
        self.ok(&words).assert_says(parts);
    }

    /// The same, but must end with `code`.
    pub(crate) fn refuses(&self, code: i32, words: &str, parts: &[&str]) {
        let words: Vec<_> = words.split(' ').collect();
        self.fails(code, &words).assert_says(parts);
    }

    pub(crate) fn spawn(&self, arguments: &[&str]) -> Child {
        self.command(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// `<project>-<service>-<n>`.
    pub(crate) fn name(&self, service: &str) -> String {
        format!("{}-{service}", self.project)
    }

    /// Names and ids of all containers of the project, sorted.
    pub(crate) fn containers(&self) -> Vec<(String, String)> {
        let filter = format!("label=com.docker.compose.project={}", self.project);
        let format = "{{.Names}} {{.ID}}";
        let list = [
            "ps",
            "-a",
            "--no-trunc",
            "--filter",
            &filter,
            "--format",
            format,
        ];
        let list = docker(&list);
        let mut found: Vec<(String, String)> = list
            .lines()
            .map(|line| line.split_once(' ').unwrap())
            .map(|(name, id)| (name.to_owned(), id.to_owned()))
            .collect();
        found.sort();
        found
    }

    /// The names of all containers of the project, without its own, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let own = self.name("");
        let names = self.containers().into_iter();
        names
            .map(|(name, _)| name.strip_prefix(&own).unwrap().to_owned())
            .collect()
    }

    /// The id of a container by its name without the project.
    pub(crate) fn id(&self, service: &str) -> String {
        let name = self.name(service);
        let containers = self.containers();
        let found = containers.iter().find(|(it, _)| *it == name);
        found
            .unwrap_or_else(|| panic!("{name} among {containers:?}"))
            .1
            .clone()
    }

    pub(crate) fn networks(&self) -> Vec<String> {
        self.resources("network")
    }

    pub(crate) fn volumes(&self) -> Vec<String> {
        self.resources("volume")
    }

    /// `docker inspect` of a container by its name without the project.
    pub(crate) fn inspect(&self, service: &str) -> Value {
        let text = docker(&["inspect", &self.name(service)]);
        serde_json::from_str::<Value>(&text).unwrap()[0].clone()
    }

    fn resources(&self, kind: &str) -> Vec<String> {
        let filter = format!("label=com.docker.compose.project={}", self.project);
        let list = docker(&[kind, "ls", "--filter", &filter, "--format", "{{.Name}}"]);
        let mut names: Vec<String> = list.lines().map(ToOwned::to_owned).collect();
        names.sort();
        names
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        for label in ["com.docker.compose.project", "it.project"] {
            remove_labelled(&format!("{label}={}", self.project));
        }
        let releases = format!("reference=*/*:{}-release-*", self.project);
        let tags = "{{.Repository}}:{{.Tag}}";
        remove(
            &["image", "ls", "--format", tags, "--filter", &releases],
            "image rm",
        );
        let built = format!("label={}", foreign_label(self));
        remove(&["image", "ls", "-q", "--filter", &built], "image rm -f");
    }
}

/// A container of somebody else, with these options; removed with the stack.
pub(crate) fn foreign_container(
    stack: &Stack,
    name: &str,
    image: &str,
    options: &[&str],
) -> String {
    let label = foreign_label(stack);
    let named = ["run", "-d", "--name", name, "--label", &label];
    let command = [image, "sleep", "1000"];
    docker(&[&named[..], options, &command].concat())
        .trim()
        .to_owned()
}

/// A resource of somebody else, removed with the stack.
pub(crate) fn foreign_label(stack: &Stack) -> String {
    format!("it.project={}", stack.project)
}

/// Runs Docker Compose on the stack's file, which must succeed.
pub(crate) fn compose(stack: &Stack, arguments: &[&str]) -> String {
    let program =
        std::env::var("COMPOSE2").expect("COMPOSE2 is set: scripts/compose2.sh prints one");
    let mut command = Command::new(program);
    command
        .args(["-p", &stack.project, "-f", "compose.yaml"])
        .args(arguments)
        .current_dir(stack.path())
        .stdin(Stdio::null());
    run(&mut command)
}

/// Waits until `condition` holds.
pub(crate) fn eventually(what: &str, condition: impl FnMut() -> bool) {
    wait_within(Duration::from_secs(20), what, condition);
}
