//! The Flask application, in a virtual environment under `target/`.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use testkit::process::Process;

/// A running Flask application.
pub(crate) struct Flask {
    _process: Process,
    pub(crate) address: SocketAddr,
}

impl Flask {
    /// Starts the application on a database.
    pub(crate) fn start(mongo_uri: &str, database: &str) -> Self {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/flask");
        let mut process = Process::start(
            Command::new(python(&sources.join("requirements.txt")))
                .arg(sources.join("app.py"))
                .args([mongo_uri, database])
                .stdout(Stdio::piped())
                .stderr(Stdio::null()),
        );
        let mut port = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut port)
            .unwrap();
        let port = port
            .trim()
            .parse()
            .expect("Flask should say which port it listens on");
        Self {
            _process: process,
            address: ([127, 0, 0, 1], port).into(),
        }
    }
}

/// What `tests/flask/read.py` says of the documents in a database.
pub(crate) fn read_with_pymongo(mongo_uri: &str, database: &str) -> String {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/flask");
    let mut reader = Command::new(python(&sources.join("requirements.txt")));
    reader
        .arg(sources.join("read.py"))
        .args([mongo_uri, database]);
    let output = reader.stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{:?}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// The interpreter of a virtual environment with the requirements, made if it isn't there yet.
fn python(requirements: &Path) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let lock = File::create(folder.join("flask.lock")).unwrap();
    lock.lock().unwrap();
    let venv = folder.join("flask");
    let python = venv.join("bin/python");
    let installed = venv.join("requirements.txt");
    let wanted = std::fs::read(requirements).unwrap();
    if std::fs::read(&installed).ok().as_ref() != Some(&wanted) {
        let make = ["-m", "venv", "--clear"].map(Path::new);
        command("python3", &[&make[..], &[&venv]].concat());
        let install = ["-m", "pip", "install", "--quiet", "--requirement"].map(Path::new);
        command(
            python.to_str().unwrap(),
            &[&install[..], &[requirements]].concat(),
        );
        std::fs::write(installed, wanted).unwrap();
    }
    python
}

fn command(program: &str, arguments: &[&Path]) {
    let status = Command::new(program)
        .args(arguments)
        .status()
        .expect("python3 should be there");
    assert!(status.success(), "{program} {arguments:?}: {status}");
}
