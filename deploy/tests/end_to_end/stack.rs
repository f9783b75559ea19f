//! A checkout of this repository, the stack that is deployed from it, and what to ask of it.

use std::{
    env, fs,
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use testkit::{engine::remove_labelled, net::local_port, repository};

use crate::container::by_service;

pub(crate) use testkit::process::{both, run};

/// The project that every end-to-end test runs as.
pub(crate) const PROJECT: &str = "causeway-e2e";

/// Selects what the tests' project owns, for `docker … --filter`.
pub(crate) fn label_filter() -> String {
    format!("label=com.docker.compose.project={PROJECT}")
}

/// A fresh checkout of this repository and the stack that it deploys; both are gone on drop.
pub(crate) struct Stack {
    checkout: tempfile::TempDir,
    target: PathBuf,
    port: u16,
    tls_port: u16,
    console_port: u16,
}

impl Stack {
    pub(crate) fn fresh_checkout() -> Self {
        let repository = repository();
        let held = run(Command::new("docker").args(["network", "ls", "--format", "{{.Name}}"]));
        for network in ["console-net-1", "public-net-1", "private-net-1"] {
            assert!(
                !held.lines().any(|name| name == network),
                "network {network} exists: a stack is up on this engine; `make test` brings one of \
                 its own"
            );
        }

        // What a clone would bring, with the changes that are not committed yet.
        let checkout = tempfile::Builder::new()
            .prefix("causeway-e2e-")
            .tempdir()
            .unwrap();
        let list = [
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ];
        let files = run(Command::new("git").args(list).current_dir(repository));
        for file in files.split_terminator('\0') {
            let (from, to) = (repository.join(file), checkout.path().join(file));
            if from.is_file() {
                fs::create_dir_all(to.parent().unwrap()).unwrap();
                fs::copy(from, to).unwrap();
            }
        }

        let target = std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| repository.join("target"), |dir| repository.join(dir));
        Self {
            checkout,
            target,
            port: local_port(),
            tls_port: local_port(),
            console_port: local_port(),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn tls_port(&self) -> u16 {
        self.tls_port
    }

    pub(crate) fn console_port(&self) -> u16 {
        self.console_port
    }

    /// Asks for a path through TLS, as the README does: the answer's body.
    pub(crate) fn request_with_tls(&self, path: &str) -> String {
        let url = format!("https://localhost:{}{path}", self.tls_port);
        let options = [
            "--silent",
            "--show-error",
            "--fail",
            "--cacert",
            "secrets/ca.pem",
        ];
        run(self.command("curl").args(options).arg(url))
    }

    /// Where the checkout is.
    pub(crate) fn path(&self) -> &Path {
        self.checkout.path()
    }

    /// Replaces text that stands in a file of the checkout once, as a user who edits it does.
    pub(crate) fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.path().join(file);
        let content = fs::read_to_string(&path).unwrap();
        assert_eq!(content.matches(from).count(), 1, "{from:?} in {file}");
        fs::write(&path, content.replace(from, to)).unwrap();
    }

    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.checkout.path())
            .env("CARGO_TARGET_DIR", &self.target)
            .env("CAUSEWAY_PORT", self.port.to_string())
            .env("CAUSEWAY_TLS_PORT", self.tls_port.to_string())
            .env("CAUSEWAY_CONSOLE_PORT", self.console_port.to_string())
            .env("NO_COLOR", "1")
            // A make above this test hands its job server down; the one below is its own.
            .env_remove("MAKEFLAGS")
            .env_remove("MAKELEVEL");
        command
    }

    pub(crate) fn make(&self, arguments: &[&str]) -> String {
        run(self
            .command("make")
            .args(arguments)
            .arg(format!("PROJECT={PROJECT}")))
    }

    pub(crate) fn deploy(&self, arguments: &[&str]) -> String {
        run(self.deploy_command().args(arguments))
    }

    pub(crate) fn deploy_command(&self) -> Command {
        let binary = self.target.join("deploy");
        let mut command = self.command(binary.to_str().unwrap());
        command.args(["-p", PROJECT]);
        command
    }

    /// Docker Compose 2, which `COMPOSE2` names (scripts/test.sh sets it).
    pub(crate) fn compose(&self, arguments: &[&str]) -> String {
        let binary = env::var("COMPOSE2")
            .unwrap_or_else(|_| panic!("COMPOSE2 is not set: run this through `make test`"));
        run(self.command(&binary).args(["-p", PROJECT]).args(arguments))
    }

    pub(crate) fn docker(&self, arguments: &[&str]) -> String {
        run(self.command("docker").args(arguments))
    }

    /// A line for the shell, where one command's output is another's input.
    pub(crate) fn shell(&self, line: &str) -> String {
        run(self
            .command("bash")
            .args(["-c", &format!("set -o pipefail; {line}")]))
    }

    pub(crate) fn container_ids(&self) -> String {
        let filter = label_filter();
        self.docker(&["ps", "--all", "--quiet", "--no-trunc", "--filter", &filter])
    }

    /// Sends one HTTP/1.0 request to the published port; the status is 0 where nothing answers.
    pub(crate) fn request(&self, method: &str, target: &str, body: &str) -> (u16, String) {
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

    /// The stored document as the mongo shell prints it.
    pub(crate) fn find_document(&self, id: &str) -> String {
        self.ask_mongo(&format!(
            "print(JSON.stringify(requests.findOne({{_id: ObjectId('{id}')}})));"
        ))
    }

    /// The ids of the documents with this URL, in order.
    pub(crate) fn stored_ids(&self, url: &str) -> Vec<String> {
        let stages = format!(
            "{{$match: {{url: '{url}'}}}}, {{$sort: {{_id: 1}}}}, {{$project: {{_id: {{$toString: '$_id'}}}}}}"
        );
        let printed = self.ask_mongo(&format!(
            "requests.aggregate([{stages}]).forEach(found => print('stored ' + found._id));"
        ));
        // The shell may put its prompt before it.
        let ids = printed
            .lines()
            .filter_map(|line| line.split_once("stored "));
        ids.map(|(_, id)| id.to_owned()).collect()
    }

    /// What a script in the mongo shell prints about the collection, as the root user.
    pub(crate) fn ask_mongo(&self, question: &str) -> String {
        let file = self.path().join("secrets/mongo_root_password");
        let password = fs::read_to_string(file).unwrap();
        self.mongo_shell(&format!(
            "db.getSiblingDB('admin').auth('root', '{}');
             const requests = db.getSiblingDB('myDatabase').requests;
             {question}",
            password.trim()
        ))
    }

    /// What a script in the mongo shell prints, from inside the container.
    pub(crate) fn mongo_shell(&self, script: &str) -> String {
        let services = by_service(self);
        let mongo = services["mongo"].first().unwrap();
        let mut shell = self
            .command("docker")
            .args(["exec", "--interactive", mongo, "mongosh", "--quiet"])
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
        remove_labelled(&format!("com.docker.compose.project={PROJECT}"));
    }
}
