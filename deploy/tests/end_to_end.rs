//! The product as a newcomer meets it: a fresh checkout, `make deploy`, a request, a load run,
//! `make deploy` again, `make down`, and the same file under Docker's own Compose.
//!
//! One test, because its steps are one story on one engine, and because the stack's networks bear
//! fixed names. It runs as project `causeway-e2e` on a port of its own, so that neither the
//! data nor the secrets of a stack of yours are touched; a running stack holds the network names,
//! and then the test says so instead of starting.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed step fails the test"
)]

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

const PROJECT: &str = "causeway-e2e";

#[test]
fn deploy_use_redeploy_and_take_down() {
    let stack = Stack::fresh_checkout();

    let first = stack.make(&["deploy"]);
    assert!(
        first.contains(&stack.url()),
        "the deploy ends with the URL:\n{first}"
    );

    // The request that shows it works, and its document in the database.
    let (status, body) = stack.request("GET", "/?a=b", "");
    assert_eq!(status, 200, "{body}");
    let id = body
        .strip_prefix("Request information stored successfully: ")
        .unwrap_or_else(|| panic!("unexpected body: {body}"))
        .trim_end();
    assert!(
        id.len() == 24 && id.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{id}"
    );
    let document = stack.find_document(id);
    assert!(
        document.contains(&format!("{}/?a=b", stack.url())),
        "the document bears the request's URL: {document}"
    );

    let load = stack.make(&[
        "load",
        "CONNECTIONS=64",
        "DURATION=5s",
        "METHOD=POST",
        "BODY=hello",
    ]);
    let statuses: Vec<&str> = load
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with('['))
        .collect();
    assert!(
        statuses.iter().any(|line| line.starts_with("[200] "))
            && statuses
                .iter()
                .all(|line| line.starts_with("[200] ") || line.contains("deadline")),
        "every response of the load run is 200:\n{load}"
    );

    // Nothing changed: the same containers, in seconds.
    let before = stack.container_ids();
    assert_eq!(before.lines().count(), 3, "{before}");
    let started = Instant::now();
    let second = stack.make(&["deploy"]);
    assert!(second.to_lowercase().contains("no changes"), "{second}");
    assert!(
        started.elapsed() < Duration::from_secs(60),
        "took {:?}",
        started.elapsed()
    );
    assert_eq!(stack.container_ids(), before);

    // Down leaves the volume; the next deploy finds the data in it.
    stack.make(&["down"]);
    assert_eq!(stack.container_ids(), "");
    assert_eq!(
        stack.docker(&["network", "ls", "-q", "--filter", &label_filter()]),
        ""
    );
    assert_eq!(
        stack
            .docker(&["volume", "ls", "-q", "--filter", &label_filter()])
            .trim(),
        format!("{PROJECT}_mongo-data")
    );
    stack.make(&["deploy"]);
    assert!(
        stack.find_document(id).contains(id),
        "data survives down and deploy"
    );
    stack.deploy(&["down", "--volumes"]);
    assert_eq!(
        stack.docker(&["volume", "ls", "-q", "--filter", &label_filter()]),
        ""
    );

    // Docker's own Compose takes the same file.
    stack.compose(&["config", "--quiet"]);
    stack.compose(&["up", "--detach", "--no-build"]);
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let (status, body) = stack.request("GET", "/", "");
        if status == 200 {
            break;
        }
        assert!(
            Instant::now() < deadline,
            "under docker-compose: {status} {body}"
        );
        std::thread::sleep(Duration::from_millis(200));
    }
    stack.compose(&["down", "--volumes"]);
}

fn label_filter() -> String {
    format!("label=com.docker.compose.project={PROJECT}")
}

/// A fresh checkout of this repository and the stack that it deploys; both are gone on drop.
struct Stack {
    checkout: tempfile::TempDir,
    target: PathBuf,
    port: u16,
}

impl Stack {
    fn fresh_checkout() -> Self {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let held = run(Command::new("docker").args(["network", "ls", "--format", "{{.Name}}"]));
        for network in ["public-net-1", "private-net-1"] {
            assert!(
                !held.lines().any(|name| name == network),
                "network {network} exists: a stack is up on this engine; run `make down` first"
            );
        }

        // What a clone would bring, with the changes that are not committed yet.
        let checkout = tempfile::Builder::new()
            .prefix("causeway-e2e-")
            .tempdir()
            .unwrap();
        let files = run(Command::new("git")
            .args([
                "ls-files",
                "-z",
                "--cached",
                "--others",
                "--exclude-standard",
            ])
            .current_dir(repository));
        for file in files.split_terminator('\0') {
            let (from, to) = (repository.join(file), checkout.path().join(file));
            if from.is_file() {
                fs::create_dir_all(to.parent().unwrap()).unwrap();
                fs::copy(from, to).unwrap();
            }
        }

        let target = std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| repository.join("target"), |dir| repository.join(dir));
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        Self {
            checkout,
            target,
            port,
        }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.checkout.path())
            .env("CARGO_TARGET_DIR", &self.target)
            .env("CAUSEWAY_PORT", self.port.to_string())
            .env("NO_COLOR", "1")
            // A make above this test hands its job server down; the one below is its own.
            .env_remove("MAKEFLAGS")
            .env_remove("MAKELEVEL");
        command
    }

    fn make(&self, arguments: &[&str]) -> String {
        run(self
            .command("make")
            .args(arguments)
            .arg(format!("PROJECT={PROJECT}")))
    }

    fn deploy(&self, arguments: &[&str]) -> String {
        let binary = self.target.join("deploy");
        run(self
            .command(binary.to_str().unwrap())
            .args(["-p", PROJECT])
            .args(arguments))
    }

    fn compose(&self, arguments: &[&str]) -> String {
        run(self
            .command("docker-compose")
            .args(["-p", PROJECT])
            .args(arguments))
    }

    fn docker(&self, arguments: &[&str]) -> String {
        run(self.command("docker").args(arguments))
    }

    fn container_ids(&self) -> String {
        self.docker(&[
            "ps",
            "--all",
            "--quiet",
            "--no-trunc",
            "--filter",
            &label_filter(),
        ])
    }

    /// Sends one HTTP/1.0 request to the published port; the status is 0 where nothing answers.
    fn request(&self, method: &str, target: &str, body: &str) -> (u16, String) {
        let mut response = String::new();
        let sent = TcpStream::connect(("127.0.0.1", self.port)).and_then(|mut stream| {
            stream.set_read_timeout(Some(Duration::from_secs(15)))?;
            write!(
                stream,
                "{method} {target} HTTP/1.0\r\nHost: 127.0.0.1:{}\r\nContent-Length: {}\r\n\r\n{body}",
                self.port,
                body.len()
            )?;
            stream.read_to_string(&mut response)
        });
        if let Err(error) = sent {
            return (0, error.to_string());
        }
        let (head, body) = response.split_once("\r\n\r\n").unwrap_or((&response, ""));
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok())
            .unwrap_or(0);
        (status, body.to_owned())
    }

    /// The stored document as the mongo shell prints it, read with the root user's credentials
    /// from inside the container.
    fn find_document(&self, id: &str) -> String {
        let script = format!(
            "const path = '/run/secrets/mongo_root_password';
             const text = typeof cat === 'function' ? cat(path) : require('fs').readFileSync(path, 'utf8');
             db.getSiblingDB('admin').auth('root', text.trim());
             print(JSON.stringify(db.getSiblingDB('myDatabase').requests.findOne({{_id: ObjectId('{id}')}})));"
        );
        let mut shell = self
            .command("docker")
            .args([
                "exec",
                "--interactive",
                &format!("{PROJECT}-mongo-1"),
                "mongosh",
                "--quiet",
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        shell
            .stdin
            .take()
            .unwrap()
            .write_all(script.as_bytes())
            .unwrap();
        String::from_utf8(shell.wait_with_output().unwrap().stdout).unwrap()
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // By our own project label, whichever tool created it.
        let list = |kind: &[&str]| {
            let output = self
                .command("docker")
                .args(kind)
                .args(["--quiet", "--filter", &label_filter()])
                .output()
                .map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
            output
                .unwrap_or_default()
                .split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        for (kind, remove) in [
            (vec!["ps", "--all"], vec!["rm", "--force"]),
            (vec!["network", "ls"], vec!["network", "rm"]),
            (vec!["volume", "ls"], vec!["volume", "rm"]),
        ] {
            let names = list(&kind);
            if !names.is_empty() {
                let _ = self.command("docker").args(remove).args(names).output();
            }
        }
    }
}

/// Runs a command to its end and returns what it printed; panics with all of it if it failed.
fn run(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{command:?}: {}\n{stdout}\n{stderr}",
        output.status
    );
    stdout.into_owned()
}
