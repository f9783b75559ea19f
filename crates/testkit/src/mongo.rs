//! A real mongod in a container, from the image that `CAUSEWAY_MONGO_IMAGE` names.

use std::fs::{File, Permissions};
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mongodb::bson::{Document, doc};
use mongodb::error::ErrorKind;
use mongodb::{Client, Database};

use crate::wait::eventually;

mod replica_set;

pub use replica_set::{PASSWORD, ReplicaSet, USER};

/// Marks what tests have started.
const LABEL: &str = "dev.causeway.test=1";

/// After this a container ends and removes itself, even if its test was killed.
const LIFETIME: &str = "15m";

/// MongoDB's code for "not authorized on … to execute command …".
const UNAUTHORIZED: i32 = 13;

/// How long a mongod may take to start: 4 s where it is emulated and alone, far longer where it is
/// created with a user (it starts twice then) on a machine that is busy with other tests.
const START: Duration = Duration::from_secs(180);

/// A mongod of one's own, removed on drop.
#[derive(Debug)]
pub struct Mongo {
    container: String,
    port: u16,
}

impl Mongo {
    /// Starts a mongod and waits until it answers.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts a mongod whose only user is root, with this password. The stack's scripts for passwords
    /// are in its container.
    pub async fn start_with_root(password: &str) -> Self {
        let scripts = crate::repository().join("containers/mongo/rotate");
        Self::start_with(&[
            "--env",
            "MONGO_INITDB_ROOT_USERNAME=root",
            "--env",
            &format!("MONGO_INITDB_ROOT_PASSWORD={password}"),
            "--volume",
            &format!("{}:/rotate:ro", scripts.display()),
        ])
        .await
    }

    /// Starts a mongod that is initialised by the stack's own scripts, with root's password and those of
    /// some services' users; the others' are like their names.
    pub async fn start_as_the_stack_does(root: &str, passwords: &[(&str, &str)]) -> Self {
        // Read while it is initialised, by the container's own user.
        let secrets = ["api", "console", "keeper"].map(|user| {
            let given = passwords.iter().find(|(of, _)| *of == user);
            let password = given.map_or(user, |(_, password)| *password);
            let mut secret = tempfile::Builder::new()
                .permissions(Permissions::from_mode(0o644))
                .tempfile()
                .unwrap();
            secret.write_all(password.as_bytes()).unwrap();
            let path = secret.path().display();
            let volume = format!("{path}:/run/secrets/mongo_{user}_password:ro");
            (secret, volume)
        });
        let scripts = crate::repository().join("containers/mongo");
        let scripts = scripts.display();
        Self::start_with(&[
            "--env",
            "MONGO_INITDB_ROOT_USERNAME=root",
            "--env",
            &format!("MONGO_INITDB_ROOT_PASSWORD={root}"),
            "--volume",
            &format!("{scripts}/initdb.d:/docker-entrypoint-initdb.d:ro"),
            "--volume",
            &format!("{scripts}/rotate:/rotate:ro"),
            "--volume",
            &secrets[0].1,
            "--volume",
            &secrets[1].1,
            "--volume",
            &secrets[2].1,
        ])
        .await
    }

    /// Runs a command in its container with this standard input: what it prints.
    pub fn exec(&self, command: &[&str], input: &str) -> String {
        let mut child = Command::new("docker")
            .args(["exec", "--interactive", &self.container])
            .args(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).unwrap();
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{command:?}: {said}");
        said
    }

    async fn start_with(options: &[&str]) -> Self {
        // The port stays the same when the container is stopped and started.
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let container = run(&unique_name("mongo"), port, options);
        let mongo = Self { container, port };
        wait_for(&mongo.uri()).await;
        mongo
    }

    /// Where it listens, without credentials.
    pub fn uri(&self) -> String {
        format!("mongodb://127.0.0.1:{}", self.port)
    }

    /// A client that logs in there.
    pub async fn login(&self, user: &str, password: &str) -> Client {
        let credentials = format!("//{user}:{}@", password.replace('\'', "%27"));
        let uri = self.uri().replacen("//", &credentials, 1);
        Client::with_uri_str(uri).await.unwrap()
    }

    /// Kills it, as `kill -9` does.
    pub fn kill(&self) {
        docker(&["kill", &self.container]);
    }

    /// Starts it again.
    pub fn start_again(&self) {
        docker(&["start", &self.container]);
    }

    /// Freezes it: connections stay open and nothing answers.
    pub fn pause(&self) {
        docker(&["pause", &self.container]);
    }

    /// Lets it go on.
    pub fn unpause(&self) {
        docker(&["unpause", &self.container]);
    }
}

impl Drop for Mongo {
    fn drop(&mut self) {
        docker(&["rm", "--force", "--volumes", &self.container]);
    }
}

/// Asserts that whoever is logged in may not run this.
pub async fn assert_unauthorized(database: &Database, command: Document) {
    let what = format!("{}: {command}", database.name());
    let error = match database.run_command(command).await {
        Ok(answer) => panic!("{what} is allowed: {answer}"),
        Err(error) => error,
    };
    match *error.kind {
        ErrorKind::Command(ref refusal) => {
            assert_eq!(refusal.code, UNAUTHORIZED, "{what}: {error}");
        }
        _ => panic!("{what}: {error}"),
    }
}

/// The MongoDB that tests share, which only have databases of their own in it: `TEST_MONGO_URI`, or
/// one that the first test of a run starts and that ends by itself.
pub async fn shared_mongo_uri() -> String {
    if let Ok(uri) = std::env::var("TEST_MONGO_URI") {
        return uri;
    }
    let uri = {
        let lock = File::create(crate::scratch().join("mongo.lock")).unwrap();
        lock.lock().unwrap();
        let run_id =
            std::env::var("NEXTEST_RUN_ID").unwrap_or_else(|_| std::process::id().to_string());
        let name = format!("causeway-test-shared-{run_id}");
        let port = published_port(&name).unwrap_or_else(|| {
            run(&name, 0, &["--rm"]);
            published_port(&name).expect("a started container has a port")
        });
        format!("mongodb://127.0.0.1:{port}")
    };
    wait_for(&uri).await;
    uri
}

/// A name that no other test has.
pub fn unique_name(what: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let nanos = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_nanos();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!(
        "causeway-test-{what}-{}-{nanos}-{count}",
        std::process::id()
    )
}

/// Starts a container and returns its id.
fn run(name: &str, port: u16, options: &[&str]) -> String {
    let publish = format!("127.0.0.1:{port}:27017");
    let start = format!("exec timeout {LIFETIME} docker-entrypoint.sh mongod --quiet");
    let own = ["--name", name, "--publish", &publish];
    run_in(&[&own[..], options].concat(), &start)
}

/// Starts a container with these options that runs a shell's script, and returns its id.
fn run_in(options: &[&str], script: &str) -> String {
    let image = std::env::var("CAUSEWAY_MONGO_IMAGE")
        .unwrap_or_else(|_| "causeway/base-mongo:local".to_owned());
    let mut arguments = vec!["run", "--detach", "--entrypoint", "bash", "--label", LABEL];
    arguments.extend(options);
    arguments.extend([&image, "-c", script]);
    docker(&arguments)
}

fn published_port(name: &str) -> Option<u16> {
    let output = Command::new("docker")
        .args(["port", name, "27017/tcp"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().next()?.rsplit_once(':')?.1.parse().ok()
}

async fn wait_for(uri: &str) {
    let options = "directConnection=true&serverSelectionTimeoutMS=500";
    let client = Client::with_uri_str(format!("{uri}/?{options}"))
        .await
        .unwrap();
    let database = client.database("admin");
    eventually("MongoDB answers", START, || async {
        database.run_command(doc! { "ping": 1 }).await.ok()
    })
    .await;
}

fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker")
        .args(arguments)
        .output()
        .expect("docker should be there");
    assert!(
        output.status.success(),
        "docker {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
