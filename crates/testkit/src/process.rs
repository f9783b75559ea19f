//! Processes that end with the test that started them.

use std::ops::{Deref, DerefMut};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process};

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

/// Asserts that the process ended with `code` and said each of `parts` on standard error.
#[track_caller]
pub fn assert_refused(output: &Output, code: i32, parts: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    for part in parts {
        assert!(said.contains(part), "{part:?} isn't in {said:?}");
    }
}
