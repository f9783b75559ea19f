//! A stack of one test: a directory with a Compose file, the command run in it, and
//! everything removed on drop, also when the test fails.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// busybox alone, with a link for each command used.
pub(crate) const IMAGE: &str = "causeway-test/deploy:1";
const APPLETS: [&str; 10] = [
    "sh", "sleep", "httpd", "cat", "echo", "true", "false", "test", "nslookup", "wget",
];

pub(crate) struct Stack {
    dir: TempDir,
    pub(crate) project: String,
}

/// What a command did.
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    /// Both outputs, for assertions about what the user reads.
    pub(crate) text: String,
}

impl Stack {
    /// An empty project whose name begins with the test's.
    pub(crate) fn new(test: &str) -> Self {
        import_image();
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
            .stdin(Stdio::null());
        // What stands is looked at by the tests themselves; `verify` has tests of its own.
        if matches!(arguments.first(), Some(&"up" | &"rollback")) {
            command.arg("--no-verify");
        }
        command
    }

    /// Runs to the end, whatever that is.
    pub(crate) fn deploy(&self, arguments: &[&str]) -> Outcome {
        outcome(&self.command(arguments).output().unwrap())
    }

    /// Runs and must succeed.
    pub(crate) fn ok(&self, arguments: &[&str]) -> Outcome {
        let outcome = self.deploy(arguments);
        assert_eq!(outcome.code, 0, "deploy {arguments:?}:\n{}", outcome.text);
        outcome
    }

    /// Runs and must end with `code`.
    pub(crate) fn fails(&self, code: i32, arguments: &[&str]) -> Outcome {
        let outcome = self.deploy(arguments);
        assert_eq!(
            outcome.code, code,
            "deploy {arguments:?}:\n{}",
            outcome.text
        );
        assert!(
            outcome.text.contains("next: "),
            "says what to do next:\n{}",
            outcome.text
        );
        outcome
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
        let list = docker(&[
            "ps",
            "-a",
            "--no-trunc",
            "--filter",
            &filter,
            "--format",
            "{{.Names}} {{.ID}}",
        ]);
        let mut found: Vec<(String, String)> = list
            .lines()
            .map(|line| line.split_once(' ').unwrap())
            .map(|(name, id)| (name.to_owned(), id.to_owned()))
            .collect();
        found.sort();
        found
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
            let filter = format!("label={label}={}", self.project);
            remove(&["ps", "-aq", "--filter", &filter], &["rm", "-fv"]);
            remove(
                &["network", "ls", "-q", "--filter", &filter],
                &["network", "rm"],
            );
            remove(
                &["volume", "ls", "-q", "--filter", &filter],
                &["volume", "rm", "-f"],
            );
        }
        let releases = format!("reference=*/*:{}-release-*", self.project);
        remove(
            &[
                "image",
                "ls",
                "--format",
                "{{.Repository}}:{{.Tag}}",
                "--filter",
                &releases,
            ],
            &["image", "rm"],
        );
        let built = format!("label={}", foreign_label(self));
        remove(
            &["image", "ls", "-q", "--filter", &built],
            &["image", "rm", "-f"],
        );
    }
}

impl Outcome {
    /// Every line of the output, which is JSON.
    pub(crate) fn events(&self) -> Vec<Value> {
        let parse =
            |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("JSON: {line}"));
        self.stdout.lines().map(parse).collect()
    }

    /// Both are said, and the first one before the second.
    pub(crate) fn assert_order(&self, first: &str, second: &str) {
        self.assert_says(&[first, second]);
        assert!(
            self.text.find(first) < self.text.find(second),
            "{}",
            self.text
        );
    }

    pub(crate) fn assert_says(&self, parts: &[&str]) {
        for part in parts {
            assert!(self.text.contains(part), "{part:?} in:\n{}", self.text);
        }
    }
}

/// A resource of somebody else, removed with the stack.
pub(crate) fn foreign_label(stack: &Stack) -> String {
    format!("it.project={}", stack.project)
}

/// Runs Docker Compose on the stack's file, which must succeed.
pub(crate) fn compose(stack: &Stack, arguments: &[&str]) -> String {
    let program =
        std::env::var("COMPOSE2").expect("COMPOSE2 is set: scripts/compose2.sh prints one");
    let output = Command::new(program)
        .args(["-p", &stack.project, "-f", "compose.yaml"])
        .args(arguments)
        .current_dir(stack.path())
        .stdin(Stdio::null())
        .output()
        .expect("Docker Compose is installed");
    let outcome = outcome(&output);
    assert_eq!(outcome.code, 0, "compose {arguments:?}: {}", outcome.text);
    outcome.stdout
}

/// Runs docker, which must succeed.
pub(crate) fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().unwrap();
    let outcome = outcome(&output);
    assert_eq!(outcome.code, 0, "docker {arguments:?}: {}", outcome.text);
    outcome.stdout
}

/// A port that nothing listens on.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// Waits until `condition` holds.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "{what} in 20 s");
        std::thread::sleep(Duration::from_millis(50));
    }
}

pub(crate) fn outcome(output: &Output) -> Outcome {
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let text = format!("{stdout}{}", String::from_utf8_lossy(&output.stderr));
    Outcome {
        code: output.status.code().unwrap_or(-1),
        stdout,
        text,
    }
}

fn remove(list: &[&str], remove: &[&str]) {
    let Ok(listed) = Command::new("docker").args(list).output() else {
        return;
    };
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let names: Vec<&str> = listed.split_whitespace().collect();
    if !names.is_empty() {
        let _ = Command::new("docker").args(remove).args(names).output();
    }
}

/// Once for all tests, which run as processes side by side.
fn import_image() {
    let lock =
        File::create(Path::new(env!("CARGO_TARGET_TMPDIR")).join("deploy-it-image.lock")).unwrap();
    lock.lock().unwrap();
    let present = Command::new("docker")
        .args(["image", "inspect", IMAGE])
        .output()
        .unwrap();
    if present.status.success() {
        return;
    }
    let busybox = ["/bin/busybox", "/usr/bin/busybox"]
        .iter()
        .find(|path| Path::new(path).exists());
    let busybox = fs::read(busybox.expect("busybox-static is installed")).unwrap();
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o755);
    header.set_size(busybox.len() as u64);
    tar.append_data(&mut header, "bin/busybox", busybox.as_slice())
        .unwrap();
    for applet in APPLETS {
        let mut link = tar::Header::new_gnu();
        link.set_entry_type(tar::EntryType::Symlink);
        link.set_size(0);
        tar.append_link(&mut link, format!("bin/{applet}"), "busybox")
            .unwrap();
    }
    let archive = tar.into_inner().unwrap();
    let mut import = Command::new("docker")
        .args([
            "import",
            "--change",
            "LABEL dev.causeway.test=1",
            "-",
            IMAGE,
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    import.stdin.take().unwrap().write_all(&archive).unwrap();
    assert!(import.wait().unwrap().success(), "docker import");
}
