//! Secrets stand in their files and where those are mounted; they appear nowhere else. Known ones
//! are planted before the first deploy, and then looked for wherever one could leak to.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{ErrorKind, Write as _},
    os::unix::fs::{DirBuilderExt, PermissionsExt, chown},
    process::Command,
};

use procfs::process::Process;

use crate::container::{Container, text};
use crate::stack::{Stack, both, label_filter, run};

/// User and group of the services that read secrets.
const READER: u32 = 999;

/// `ESRCH`: a process ended while its files were read.
const NO_SUCH_PROCESS: i32 = 3;

pub(crate) fn planted_secrets_are_found_in_their_files_and_nowhere_else(
    stack: &Stack,
    secrets: &Secrets,
) {
    secrets.are_mounted(stack);
    printed_by_deploy_and_compose(secrets, stack);
    recorded(secrets, stack);
    for container in Container::all(stack) {
        known_to_the_engine(secrets, &container, stack);
        for process in container.processes(stack) {
            shown_by_a_process(secrets, &process);
        }
        if container.service != "mongo" {
            in_the_image(secrets, &container, stack);
        }
    }
    for kind in ["network", "volume"] {
        let names = stack.docker(&[kind, "ls", "--quiet", "--filter", &label_filter()]);
        for name in names.lines() {
            secrets.are_not_in(kind, &stack.docker(&[kind, "inspect", name]));
        }
    }
    printed_by_a_deploy_that_fails(secrets, stack);
    kept_in_the_checkout(secrets, stack);
}

/// What everybody who works with the stack sees.
fn printed_by_deploy_and_compose(secrets: &Secrets, stack: &Stack) {
    for arguments in [
        "config",
        "plan",
        "--json plan",
        "--json up",
        "ps",
        "--json ps",
        "logs",
        "--json verify",
        "inspect",
        "inspect --format json",
        "inspect --format mermaid",
        "inspect --format svg",
    ] {
        let output = both(stack.deploy_command().args(arguments.split(' ')));
        secrets.are_not_in(&format!("deploy {arguments}"), &output);
    }
    secrets.are_not_in("docker compose config", &stack.compose(&["config"]));
}

/// A request came to the API with the proxy's token; neither its record nor its answer has it.
fn recorded(secrets: &Secrets, stack: &Stack) {
    let (status, answer) = stack.request("POST", "/", "hello");
    assert_eq!(status, 200, "{answer}");
    secrets.are_not_in("an answer", &answer);
    let id = answer.trim_end().rsplit(' ').next().unwrap();
    secrets.are_not_in("a document", &stack.find_document(id));
}

/// Settings, the way the image was built, and the log.
fn known_to_the_engine(secrets: &Secrets, container: &Container, stack: &Stack) {
    let service = &container.service;
    let image = text(&container.settings["Image"]);
    for arguments in [
        vec!["inspect", &container.id],
        vec!["image", "inspect", &image],
        vec!["history", "--no-trunc", &image],
    ] {
        let output = stack.docker(&arguments);
        secrets.are_not_in(&format!("{service}: docker {arguments:?}"), &output);
    }
    // May be empty: not every service has something to say.
    let log = both(stack.command("docker").args(["logs", &container.id]));
    secrets.are_not_in(service, &format!("log: {log}"));
}

/// Arguments and environment, which other processes may read.
fn shown_by_a_process(secrets: &Secrets, process: &Process) {
    for file in ["cmdline", "environ"] {
        let path = format!("/proc/{}/{file}", process.pid());
        match fs::read(&path) {
            // Neither has to hold anything: a process may be started without environment.
            Ok(bytes) => {
                let content = format!("{file}: {}", String::from_utf8_lossy(&bytes));
                secrets.are_not_in(&path, &content);
            }
            // Gone already, as processes of health checks are.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) if error.raw_os_error() == Some(NO_SUCH_PROCESS) => {}
            Err(error) => panic!("{path}: {error}: only root may look there"),
        }
    }
}

/// Every file of every layer.
fn in_the_image(secrets: &Secrets, container: &Container, stack: &Stack) {
    let found = stack.shell(&format!(
        "docker save {} | {{ grep --text --count --fixed-strings --file={} || true; }}",
        text(&container.settings["Image"]),
        secrets.patterns.path().display()
    ));
    assert_eq!(found.trim(), "0", "the image of {}", container.service);
}

/// An API that can't log in never becomes healthy; `deploy` shows its log then.
fn printed_by_a_deploy_that_fails(secrets: &Secrets, stack: &Stack) {
    let (user, nobody) = (
        "API_MONGO_USERNAME: causeway-api",
        "API_MONGO_USERNAME: nobody",
    );
    stack.edit("compose.yaml", user, nobody);
    for arguments in [&["up"][..], &["--json", "up", "--timeout", "5s"]] {
        let output = stack.deploy_command().args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let printed = [output.stdout, output.stderr].concat();
        secrets.are_not_in("a deploy that fails", &String::from_utf8_lossy(&printed));
    }
    stack.edit("compose.yaml", nobody, user);
}

/// What `deploy` records of its releases holds none.
fn kept_in_the_checkout(secrets: &Secrets, stack: &Stack) {
    let found = stack.shell(&format!(
        "grep --recursive --files-with-matches --fixed-strings --file={} . | sort",
        secrets.patterns.path().display()
    ));
    let files: Vec<String> = secrets
        .by_name
        .keys()
        .map(|it| format!("./secrets/{it}"))
        .collect();
    assert_eq!(found.lines().collect::<Vec<_>>(), files);
}

/// Values of secrets, by the secret's name.
pub(crate) type ByName = BTreeMap<String, String>;

/// The planted secrets, and what they were replaced by.
pub(crate) struct Secrets {
    /// The values in force.
    by_name: ByName,
    /// Those before.
    earlier: ByName,
    /// One a line, for grep, which is given none as an argument.
    patterns: tempfile::NamedTempFile,
}

impl Secrets {
    /// Writes a value of our own into the file of every secret that `compose.yaml` names, and of the
    /// authority's key. (A certificate is none, and is made for the key that is there.)
    pub(crate) fn plant(stack: &Stack) -> Self {
        let folder = stack.path().join("secrets");
        fs::DirBuilder::new().mode(0o700).create(&folder).unwrap();
        let description = fs::read_to_string(stack.path().join("compose.yaml")).unwrap();
        let names = description
            .lines()
            .filter_map(|line| line.trim().strip_prefix("file: ./secrets/"));
        let mut by_name = ByName::new();
        let mut patterns = tempfile::NamedTempFile::new().unwrap();
        for name in names.chain(["ca.key"]).filter(|it| *it != "tls.crt") {
            let secret = if is_key(name) {
                let key = "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256";
                run(Command::new("openssl").args(key.split(' ')))
            } else {
                format!("planted{}{}", name.replace('_', ""), std::process::id())
            };
            let file = folder.join(name);
            fs::write(&file, &secret).unwrap();
            chown(&file, Some(READER), Some(READER)).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
            let secret = telling(&secret);
            writeln!(patterns, "{secret}").unwrap();
            by_name.insert(name.to_owned(), secret.to_owned());
        }
        assert!(by_name.len() >= 3, "{:?}", by_name.keys());
        Self {
            by_name,
            earlier: ByName::new(),
            patterns,
        }
    }

    /// The value in force.
    pub(crate) fn value(&self, name: &str) -> &str {
        &self.by_name[name]
    }

    /// The value before.
    pub(crate) fn earlier(&self, name: &str) -> &str {
        &self.earlier[name]
    }

    /// Each file holds another value by now, and only that. Both are looked for from now on.
    pub(crate) fn were_replaced(&mut self, stack: &Stack) {
        for (name, value) in &mut self.by_name {
            let new = fs::read_to_string(stack.path().join("secrets").join(name)).unwrap();
            if name == "ca.key" {
                assert_eq!(telling(&new), value, "clients go on trusting it");
                continue;
            }
            assert!(
                is_key(name)
                    || new.len() >= 32 && new.bytes().all(|byte| byte.is_ascii_alphanumeric()),
                "{name}: one value, and a generated one"
            );
            let new = telling(&new).to_owned();
            writeln!(self.patterns, "{new}").unwrap();
            let old = std::mem::replace(value, new);
            assert_ne!(old, *value, "{name}");
            self.earlier.insert(name.clone(), old);
        }
    }

    pub(crate) fn are_not_in(&self, place: &str, content: &str) {
        assert!(!content.is_empty(), "{place}: nothing to look at");
        for (name, secret) in self.by_name.iter().chain(&self.earlier) {
            assert!(!content.contains(secret), "{place}: {name} is in it");
        }
    }

    /// The other way round: each is where it belongs, so that there was something to be found.
    fn are_mounted(&self, stack: &Stack) {
        let mut read = BTreeSet::new();
        for container in Container::all(stack) {
            let pid = container.settings["State"]["Pid"].as_i64().unwrap();
            for mount in container.settings["Mounts"].as_array().unwrap() {
                let path = text(&mount["Destination"]);
                if let Some(name) = path.strip_prefix("/run/secrets/") {
                    let seen = fs::read_to_string(format!("/proc/{pid}/root{path}")).unwrap();
                    if name == "tls.crt" {
                        continue;
                    }
                    // mongod was told of a new value; its container sees the file that was there
                    // when it started.
                    let expected = match self.earlier.get(name) {
                        Some(earlier) if container.service == "mongo" => earlier,
                        _ => &self.by_name[name],
                    };
                    let seen = telling(&seen);
                    assert_eq!(seen, expected, "{name} in {}", container.service);
                    read.insert(name.to_owned());
                }
            }
        }
        assert!(
            read.iter()
                .eq(self.by_name.keys().filter(|it| *it != "ca.key")),
            "only these are: {read:?}"
        );
    }
}

fn is_key(name: &str) -> bool {
    name.strip_suffix(".key").is_some()
}

/// What tells a secret from every other in one line: of a key in PEM, the one in its middle.
fn telling(secret: &str) -> &str {
    if secret.starts_with("-----BEGIN") {
        secret.lines().nth(2).unwrap()
    } else {
        secret
    }
}
