//! Commands that go on until they are ended: `verify --watch`, `logs -f`.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::stack::Stack;
use super::support::{docker, run};

#[test]
fn watch_tells_in_words_what_begins_and_what_ends() {
    let stack = Stack::up();
    stack.assert_green();
    let watching = Endless::start(stack.command(&["verify", "--watch", "1"]));
    assert!(watching.next("verified").contains("expectations hold"));

    let (network, api) = (stack.network("public"), stack.container("api"));
    docker(&["network", "disconnect", &network, &api]);
    let began = watching.next("proxy → api");
    assert!(
        began.contains(" began: ") && began.contains("expected open, saw name"),
        "{began}"
    );

    let aliases = ["--alias", "api", "--alias", "flask-app"];
    let connect = [&["network", "connect"][..], &aliases, &[&network, &api]].concat();
    docker(&connect);
    let ended = watching.next("proxy → api: expected open");
    assert!(ended.contains(" ended after "), "{ended}");
    // With the time, and the whole of it at last.
    let verified = watching.next("verified");
    let time = verified.split(' ').next().unwrap();
    assert!(humantime::parse_rfc3339(time).is_ok(), "{verified}");
    watching.assert_ends_quietly();
}

#[test]
fn following_logs_is_ended_by_ctrl_c_and_that_is_no_error() {
    let stack = Stack::of(
        "
services:
  talker:
    image: IMAGE
    init: true
    labels: {dev.causeway.test: '1'}
    command: [sh, -c, 'echo here I am; exec busybox sleep 600']
",
    );
    let following = Endless::start(stack.command(&["logs", "-f"]));
    following.next("here I am");
    following.assert_ends_quietly();
}

/// A command that runs until it is ended.
struct Endless {
    child: Child,
    lines: Receiver<String>,
}

impl Endless {
    fn start(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, lines }
    }

    /// The next line with this part.
    fn next(&self, part: &str) -> String {
        let mut others = Vec::new();
        loop {
            match self.lines.recv_timeout(Duration::from_secs(60)) {
                Ok(line) if line.contains(part) => return line,
                Ok(line) => others.push(line),
                Err(error) => panic!("no line with {part:?}, only {others:#?}: {error}"),
            }
        }
    }

    /// Ctrl-C: exit status 130, and not a word.
    fn assert_ends_quietly(mut self) {
        run(Command::new("kill").args(["-INT", &self.child.id().to_string()]));
        let status = self.child.wait().unwrap();
        let mut said = String::new();
        let mut stderr = self.child.stderr.take().unwrap();
        stderr.read_to_string(&mut said).unwrap();
        said.extend(self.lines.iter());
        assert_eq!((status.code(), said.as_str()), (Some(130), ""));
    }
}

impl Drop for Endless {
    fn drop(&mut self) {
        // It has ended, or the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
