//! Who can connect: in a network namespace of its own, as in a container. Needs root.

use std::process::{Command, Stdio};

use testkit::process::{Process, outcome_of, run};
use testkit::wait::wait_until;

/// What curl writes where nobody answered.
const NOTHING: &str = "000";
const REFUSED: &str = "403";
/// It wants a token.
const ANSWERED: &str = "401";

const GATEWAY: [&str; 2] = ["10.9.0.1", "fd00:9::1"];
const CONSOLE: [&str; 2] = ["10.9.0.2", "fd00:9::2"];
const NEIGHBOUR: [&str; 2] = ["10.9.0.3", "fd00:9::3"];
/// The console on a network without a gateway, and who shares it.
const SHARED: [&str; 2] = ["10.8.0.2", "fd00:8::2"];
const SHARING: [&str; 2] = ["10.8.0.3", "fd00:8::3"];

/// A namespace with the console in it, and one with the other ends of its two cables.
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

/// Lays a cable between interfaces of the same name.
fn connect(outside: &Process, inside: &Process, name: &str, theirs: &[[&str; 2]], ours: [&str; 2]) {
    let cable = format!(
        "link add {name} type veth peer name {name} netns {}",
        inside.id()
    );
    ip(outside, &[&cable]);
    for (namespace, addresses) in [(outside, theirs), (inside, &[ours])] {
        ip(namespace, &[&format!("link set {name} up")]);
        for [four, six] in addresses {
            ip(
                namespace,
                &[
                    &format!("address add {four}/24 dev {name}"),
                    &format!("address add {six}/64 dev {name} nodad"),
                ],
            );
        }
    }
}

impl Network {
    fn with_console(settings: &[(&str, &str)]) -> Self {
        let (outside, inside) = (namespace(), namespace());
        ip(&outside, &["link set lo up"]);
        ip(&inside, &["link set lo up"]);
        connect(&outside, &inside, "eth0", &[GATEWAY, NEIGHBOUR], CONSOLE);
        connect(&outside, &inside, "eth1", &[SHARING], SHARED);
        let [via4, via6] = GATEWAY;
        ip(
            &inside,
            &[
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

    fn reached_inside(&self, address: &str) -> String {
        fetch(&mut within(&self.inside, "curl"), address)
    }

    fn reached_outside(&self, source: &str, address: &str) -> String {
        let mut curl = within(&self.outside, "curl");
        fetch(curl.args(["--interface", source]), address)
    }
}

/// The status that is answered.
fn fetch(curl: &mut Command, address: &str) -> String {
    let host = if address.contains(':') {
        format!("[{address}]")
    } else {
        address.to_owned()
    };
    curl.args(["--silent", "--max-time", "10", "--noproxy", "*"]);
    curl.args(["--header", "Host: localhost", "--output", "/dev/null"]);
    curl.args(["--write-out", "%{http_code}"]);
    outcome_of(curl.arg(format!("http://{host}:8081/"))).stdout
}

#[test]
fn nobody_but_the_machine_itself_and_its_gateway_is_answered() {
    let network = Network::with_console(&[]);
    for (family, address) in CONSOLE.into_iter().enumerate() {
        assert_eq!(network.reached_inside(address), ANSWERED, "{address}");
        let gateway = network.reached_outside(GATEWAY[family], address);
        assert_eq!(gateway, ANSWERED, "{address}");
        let neighbour = network.reached_outside(NEIGHBOUR[family], address);
        assert_eq!(neighbour, REFUSED, "{address}");
    }
    assert_eq!(network.reached_inside("::1"), ANSWERED);
}

#[test]
fn on_networks_without_a_gateway_nobody_can_connect() {
    let network = Network::with_console(&[]);
    for (family, address) in SHARED.into_iter().enumerate() {
        let sharing = network.reached_outside(SHARING[family], address);
        assert_eq!(sharing, NOTHING, "{address}");
    }
}

#[test]
fn the_same_where_only_ipv4_is_listened_on() {
    let network = Network::with_console(&[("CONSOLE_LISTEN", "0.0.0.0:8081")]);
    let answer = |from: [&str; 2], to: [&str; 2]| network.reached_outside(from[0], to[0]);
    assert_eq!(answer(GATEWAY, CONSOLE), ANSWERED);
    assert_eq!(answer(NEIGHBOUR, CONSOLE), REFUSED);
    assert_eq!(answer(SHARING, SHARED), NOTHING);
}

#[test]
fn anybody_can_connect_where_that_is_asked_for() {
    let network = Network::with_console(&[("CONSOLE_CLIENTS", "any")]);
    for family in 0..2 {
        for (from, to) in [(NEIGHBOUR, CONSOLE), (SHARING, SHARED)] {
            let answer = network.reached_outside(from[family], to[family]);
            assert_eq!(answer, ANSWERED, "{}", to[family]);
        }
    }
}
