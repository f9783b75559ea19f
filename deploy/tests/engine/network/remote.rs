//! An engine that is asked over TCP, from another network: ports are asked at its address, and those
//! on its own loopback from there.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::thread;

use serde_json::Value;

use super::stack::{SHAPE, Stack};
use super::support::{busybox, run, unique};

/// The engine's host as another machine sees it.
const ADDRESS: &str = "10.215.0.1";

/// Another machine: a network namespace with a wire to this one. Gone on drop.
struct Machine {
    name: String,
    engine: String,
}

impl Machine {
    fn new() -> Self {
        let ip = |arguments: &str| run(Command::new("ip").args(arguments.split(' ')));
        let mut machine = Self {
            name: unique("far"),
            engine: String::new(),
        };
        let name = &machine.name;
        ip(&format!("netns add {name}"));
        // The wire goes with its other end.
        ip(&format!(
            "link add far-wire type veth peer name wire netns {name}"
        ));
        ip(&format!("address add {ADDRESS}/30 dev far-wire"));
        ip("link set far-wire up");
        ip(&format!("-n {name} address add 10.215.0.2/30 dev wire"));
        ip(&format!("-n {name} link set wire up"));
        ip(&format!("-n {name} link set lo up"));
        let listener = TcpListener::bind((ADDRESS, 0)).unwrap();
        machine.engine = format!("tcp://{}", listener.local_addr().unwrap());
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                thread::spawn(move || to_engine(&client));
            }
        });
        machine
    }

    /// `verify --json` on that machine.
    fn verify(&self, stack: &Stack, probe_image: Option<&str>) -> (i32, Value) {
        let mut there = Command::new("ip");
        there.args(["netns", "exec", &self.name, env!("CARGO_BIN_EXE_deploy")]);
        let mut verify = stack.command_by(there, &["--json", "verify"]);
        verify.env("DOCKER_HOST", &self.engine);
        if let Some(image) = probe_image {
            verify.env("CAUSEWAY_PROBE_IMAGE", image);
        }
        Stack::document(&mut verify)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = Command::new("ip")
            .args(["netns", "delete", &self.name])
            .output();
    }
}

/// Carries one connection to the engine's socket and back.
fn to_engine(client: &TcpStream) {
    let engine = UnixStream::connect("/var/run/docker.sock").unwrap();
    thread::scope(|both| {
        both.spawn(|| {
            _ = io::copy(&mut &*client, &mut &engine);
            _ = engine.shutdown(Shutdown::Write);
        });
        _ = io::copy(&mut &engine, &mut &*client);
        _ = client.shutdown(Shutdown::Write);
    });
}

/// Needs root: it makes a network namespace.
#[test]
fn what_an_engine_publishes_on_its_own_loopback_is_asked_there() {
    let machine = Machine::new();
    for address in ["127.0.0.1", "0.0.0.0"] {
        let stack = Stack::of(&SHAPE.replace("127.0.0.1:PORT", &format!("{address}:PORT")));
        stack.assert_green();
        let (code, document) = machine.verify(&stack, None);
        assert_eq!((code, &document["findings"]), (0, &serde_json::json!([])));

        // Where no probe can be had, one of them can be asked all the same.
        let (code, document) = machine.verify(&stack, Some(busybox()));
        let unjudged = document["unjudged"].to_string();
        let at = format!("({}:{}) (http): not asked", "127.0.0.1", stack.port);
        assert_eq!(code, 4, "{document:#}");
        assert_eq!(unjudged.contains(&at), address == "127.0.0.1", "{unjudged}");
    }
}
