//! The commands that a learner is told to type really work: each is run in a shell as printed,
//! but for the names, so that tests don't collide, and the image, which is Debian's busybox.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use testkit::engine::{import, succeeds};
use testkit::net::local_port;

use super::support::{Lab, run};

/// An image of Debian's static busybox with its applets, of this test alone.
struct Busybox(String);

impl Busybox {
    /// `deploy` stands in for the DNS server that the usual image has and Debian's lacks.
    fn new(tag: &str, scratch: &Path, deploy: &Path) -> Self {
        let root = scratch.join("root");
        let bin = root.join("bin");
        std::fs::create_dir_all(&bin).unwrap();
        std::fs::create_dir_all(root.join("tmp")).unwrap();
        std::fs::copy("/bin/busybox", bin.join("busybox")).unwrap();
        std::fs::copy(deploy, bin.join("deploy")).unwrap();
        for applet in run(Command::new("/bin/busybox").arg("--list")).lines() {
            if applet != "busybox" {
                std::os::unix::fs::symlink("busybox", bin.join(applet)).unwrap();
            }
        }
        let name = format!("causeway-test/busybox:{tag}");
        import(&name, &root, &["CMD [\"sh\"]"]);
        Self(name)
    }
}

impl Drop for Busybox {
    fn drop(&mut self) {
        succeeds(&["rmi", "-f", &self.0]);
    }
}

/// A lesson's commands in a shell, cleaned up after whatever happens.
struct Shell<'a> {
    scratch: &'a Path,
    busybox: &'a str,
    prefix: String,
    port: u16,
    subnet: String,
    tidy: Vec<String>,
}

impl Shell<'_> {
    /// The command with names of this test's own.
    fn own(&self, command: &str) -> String {
        let command = match command.split_once(" sh -c 'echo lesson.lab 192.0.2.77") {
            Some((docker_run, _)) => {
                &format!("{docker_run} deploy lab guest --record lesson.lab=192.0.2.77")
            }
            None => command,
        };
        command
            .replace("lab-", &self.prefix)
            .replace(" busybox", &format!(" {}", self.busybox))
            .replace("8099", &self.port.to_string())
            .replace("10.213.7.", &self.subnet)
    }

    fn type_in(&self, command: &str) {
        let own = self.own(command);
        let path = format!(
            "{}:{}",
            std::env::var("PATH").unwrap(),
            // For `ping`, where the machine has none.
            self.scratch.join("root/bin").display()
        );
        let output = Command::new("sh")
            .args(["-c", &own])
            .env("PATH", path)
            .output()
            .unwrap();
        let expected = !command.contains("# fails");
        assert_eq!(
            output.status.success(),
            expected,
            "{own}\n{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

impl Drop for Shell<'_> {
    fn drop(&mut self) {
        for command in &self.tidy {
            _ = Command::new("sh").args(["-c", &self.own(command)]).output();
        }
    }
}

fn strings(value: &Value) -> Vec<String> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|text| text.as_str().unwrap().to_owned())
        .collect()
}

fn works_by_hand(lesson: &str) {
    let lab = Lab::new(lesson);
    let report = lab.report(&[lesson]);
    let tag = format!("{lesson}-{}", std::process::id());
    let busybox = Busybox::new(&tag, lab.path(), &lab.probe());
    let port = local_port();
    let lesson = &report["lessons"][0];
    let shell = Shell {
        scratch: lab.path(),
        busybox: &busybox.0,
        prefix: format!("labtest-{}-", std::process::id()),
        port,
        subnet: format!("10.214.{}.", std::process::id() % 256),
        tidy: strings(&lesson["tidy"]),
    };
    for step in lesson["steps"].as_array().unwrap() {
        for command in strings(&step["commands"]) {
            shell.type_in(&command);
        }
    }
    for command in &shell.tidy {
        shell.type_in(command);
    }
}

macro_rules! works_by_hand {
    ($($test:ident: $lesson:literal,)*) => {
        $(
            #[test]
            fn $test() {
                works_by_hand($lesson);
            }
        )*
    };
}

// The overlay lesson is left out: its commands take two machines, and half a minute.
works_by_hand! {
    self_check: "self-check",
    default_bridge: "default-bridge",
    user_defined_bridge: "user-defined-bridge",
    host: "host",
    none: "none",
    publish: "publish",
    dns: "dns",
    hostname: "hostname",
    ipam: "ipam",
}
