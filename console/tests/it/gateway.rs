//! Who can connect: in a network namespace of its own, as in a container. Needs root.

use std::process::{Command, Stdio};

use testkit::process::{Process, outcome_of, run};
use testkit::wait::wait_until;

/// curl's exit codes.
const ANSWERED: i32 = 0;
const TIMED_OUT: i32 = 28;

const GATEWAY: [&str; 2] = ["10.9.0.1", "fd00:9::1"];
const CONSOLE: [&str; 2] = ["10.9.0.2", "fd00:9::2"];
const NEIGHBOUR: [&str; 2] = ["10.9.0.3", "fd00:9::3"];

/// A namespace with the console in it, and one with the other end of its cable.
struct Network {
    outside: Process,
    inside: Process,
    _console: Process,
    _token: tempfile::NamedTempFile,
}

fn namespace() -> Process {
    let idle = Process::start(
        Command::new("unshare")
            .args(["--net", "cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null()),
    );
    let own = std::fs::read_link("/proc/self/ns/net").unwrap();
    wait_until("a network namespace", || {
        std::fs::read_link(format!("/proc/{}/ns/net", idle.id())).is_ok_and(|it| it != own)
    });
    idle
}

fn within(namespace: &Process, program: &str) -> Command {
    let mut command = Command::new("nsenter");
    command.args(["--net", "--target", &namespace.id().to_string(), program]);
    command
}

fn ip(namespace: &Process, lines: &[&str]) {
    for line in lines {
        run(within(namespace, "ip").args(line.split(' ')));
    }
}

impl Network {
    fn with_console(settings: &[(&str, &str)]) -> Self {
        let (outside, inside) = (namespace(), namespace());
        let cable = format!(
            "link add cable type veth peer name eth0 netns {}",
            inside.id()
        );
        ip(&outside, &[&cable, "link set lo up", "link set cable up"]);
        ip(&inside, &["link set lo up", "link set eth0 up"]);
        for addresses in [GATEWAY, NEIGHBOUR] {
            let [four, six] = addresses;
            ip(
                &outside,
                &[
                    &format!("address add {four}/24 dev cable"),
                    &format!("address add {six}/64 dev cable nodad"),
                ],
            );
        }
        let ([four, six], [via4, via6]) = (CONSOLE, GATEWAY);
        ip(
            &inside,
            &[
                &format!("address add {four}/24 dev eth0"),
                &format!("address add {six}/64 dev eth0 nodad"),
                &format!("route add default via {via4}"),
                &format!("-6 route add default via {via6}"),
            ],
        );
        let token = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(token.path(), "a-token-to-log-in-with-0123456789abcdef").unwrap();
        let console = Process::start(
            within(&inside, env!("CARGO_BIN_EXE_console"))
                .env("CONSOLE_LISTEN", "[::]:8081")
                .env("CONSOLE_TOKEN_FILE", token.path())
                .env("CONSOLE_MONGO_URI", "mongodb://127.0.0.1:1")
                .envs(settings.iter().copied())
                .stdout(Stdio::null()),
        );
        let network = Self {
            outside,
            inside,
            _console: console,
            _token: token,
        };
        wait_until("the console's port", || {
            network.reached_inside("127.0.0.1") == ANSWERED
        });
        network
    }

    fn reached_inside(&self, address: &str) -> i32 {
        fetch(&mut within(&self.inside, "curl"), address)
    }

    fn reached_outside(&self, source: &str, address: &str) -> i32 {
        let mut curl = within(&self.outside, "curl");
        fetch(curl.args(["--interface", source]), address)
    }
}

fn fetch(curl: &mut Command, address: &str) -> i32 {
    let host = if address.contains(':') {
        format!("[{address}]")
    } else {
        address.to_owned()
    };
    let options = ["--silent", "--max-time", "2", "--noproxy", "*"];
    outcome_of(curl.args(options).arg(format!("http://{host}:8081/"))).code
}

#[test]
fn nobody_but_the_machine_itself_and_its_gateway_can_connect() {
    let network = Network::with_console(&[]);
    for (family, address) in CONSOLE.into_iter().enumerate() {
        assert_eq!(network.reached_inside(address), ANSWERED, "{address}");
        let gateway = network.reached_outside(GATEWAY[family], address);
        assert_eq!(gateway, ANSWERED, "{address}");
        // Not refused: for them, nothing is there.
        let neighbour = network.reached_outside(NEIGHBOUR[family], address);
        assert_eq!(neighbour, TIMED_OUT, "{address}");
    }
    assert_eq!(network.reached_inside("::1"), ANSWERED);
}

#[test]
fn the_same_where_only_ipv4_is_listened_on() {
    let network = Network::with_console(&[("CONSOLE_LISTEN", "0.0.0.0:8081")]);
    let ([console, _], [gateway, _], [neighbour, _]) = (CONSOLE, GATEWAY, NEIGHBOUR);
    assert_eq!(network.reached_outside(gateway, console), ANSWERED);
    assert_eq!(network.reached_outside(neighbour, console), TIMED_OUT);
}

#[test]
fn anybody_can_connect_where_that_is_asked_for() {
    let network = Network::with_console(&[("CONSOLE_CLIENTS", "any")]);
    for (family, address) in CONSOLE.into_iter().enumerate() {
        let neighbour = network.reached_outside(NEIGHBOUR[family], address);
        assert_eq!(neighbour, ANSWERED, "{address}");
    }
}
