//! Processes that end with the test that started them.

use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};

pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process};
use serde_json::Value;

use crate::repository;
use crate::wait::{PATIENCE, until};

/// A process, killed on drop.
#[derive(Debug)]
pub struct Process(Child);

impl Process {
    /// Starts the command.
    #[track_caller]
    pub fn start(command: &mut Command) -> Self {
        match command.spawn() {
            Ok(child) => Self(child),
            Err(error) => panic!("{command:?}: {error}"),
        }
    }

    /// Sends it a signal.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }

    /// Whether it hasn't ended by itself.
    pub fn is_running(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    /// Waits for it to end by itself, which must come soon.
    #[track_caller]
    pub fn ended(&mut self) -> ExitStatus {
        until("the end of the process", || self.0.try_wait().unwrap())
    }
}

impl Deref for Process {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.0
    }
}

impl DerefMut for Process {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _already_ended = self.0.kill();
        let _already_waited = self.0.wait();
    }
}

/// Runs the command to its end; one that goes on where it should have ended is killed, so that it
/// doesn't hang the test.
#[track_caller]
pub fn output_of(command: &mut Command) -> Output {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let pid = Pid::from_child(&child);
    let (done, ended) = std::sync::mpsc::channel::<()>();
    let watchdog = std::thread::spawn(move || {
        if ended.recv_timeout(PATIENCE).is_err() {
            let _already_ended = kill_process(pid, Signal::KILL);
        }
    });
    let output = child.wait_with_output().unwrap();
    done.send(()).ok();
    watchdog.join().unwrap();
    output
}

/// What the command prints, which must succeed; panics with all of it if it fails.
#[track_caller]
pub fn run(command: &mut Command) -> String {
    let done = outcome_of(command);
    done.assert_code(0);
    done.stdout
}

/// The same with what it prints to standard error after the rest.
#[track_caller]
pub fn both(command: &mut Command) -> String {
    let done = outcome_of(command);
    done.assert_code(0);
    done.text
}

/// The folder of a package of a Debian release, which isn't installed (scripts/debian.sh).
#[track_caller]
pub fn debian(release: &str, package: &str) -> PathBuf {
    let script = repository().join("scripts/debian.sh");
    let folder = run(Command::new(script).args([release, package]));
    PathBuf::from(folder.trim_end())
}

/// What a command did.
#[derive(Debug)]
pub struct Outcome {
    command: String,
    /// Its exit status.
    pub code: i32,
    /// What it printed to standard output.
    pub stdout: String,
    /// Both outputs, for assertions about what the user reads.
    pub text: String,
}

/// What the command does, whatever that is.
#[track_caller]
pub fn outcome_of(command: &mut Command) -> Outcome {
    let output = command.output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    Outcome {
        command: format!("{command:?}:\n"),
        ..outcome(&output)
    }
}

/// What the command did that ended so.
pub fn outcome(output: &Output) -> Outcome {
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let text = format!("{stdout}{}", String::from_utf8_lossy(&output.stderr));
    Outcome {
        command: String::new(),
        code: output.status.code().unwrap_or(-1),
        stdout,
        text,
    }
}

impl Outcome {
    /// Asserts that it ended with this status.
    #[track_caller]
    pub fn assert_code(&self, code: i32) {
        assert_eq!(self.code, code, "{}{}", self.command, self.text);
    }

    /// Every line of the output, which is JSON.
    pub fn events(&self) -> Vec<Value> {
        let parse =
            |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("JSON: {line}"));
        self.stdout.lines().map(parse).collect()
    }

    /// Asserts that all of `parts` are said.
    #[track_caller]
    pub fn assert_says(&self, parts: &[&str]) {
        for part in parts {
            assert!(self.text.contains(part), "{part:?} in:\n{}", self.text);
        }
    }

    /// Asserts that both are said, and the first one before the second.
    #[track_caller]
    pub fn assert_order(&self, first: &str, second: &str) {
        self.assert_says(&[first, second]);
        let in_order = self.text.find(first) < self.text.find(second);
        assert!(in_order, "{}", self.text);
    }
}

/// Asserts that the process ended with `code` and said each of `parts` on standard error.
#[track_caller]
pub fn assert_refused(output: &Output, code: i32, parts: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    for part in parts {
        assert!(said.contains(part), "{part:?} isn't in {said:?}");
    }
}

/// What the program says to `--help`, which is no mistake.
#[track_caller]
pub fn help_of(program: &str) -> String {
    let output = output_of(Command::new(program).arg("--help"));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}
