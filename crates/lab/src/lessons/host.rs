//! The `host` network: no sandbox of its own, and what that costs.

use engine::api::ContainerInspectResponse;
use netcheck::probe::report::Interface;

use super::prelude::*;

pub(super) const LESSON: Lesson = Lesson {
    name: "host",
    title: "The host network: no wall at all",
    story: "With `--network host` a container gets no network stack of its own: it uses the \
            host's, with all its interfaces and ports. Nothing has to be published, and nothing \
            is kept apart.",
    needs: &[Need::OwnHost, Need::DefaultBridge],
    tidy: &["docker rm -f lab-web lab-plain"],
    teach: |bench, steps| Box::pin(teach(bench, steps)),
};

async fn teach(bench: &Bench<'_>, steps: &mut Vec<Step>) -> Result<()> {
    let on_host = |port| Setup {
        network: Some("host".to_owned()),
        http: Some(port),
        ..Setup::default()
    };
    let web = bench.container("web", on_host(0)).await?;
    let plain = bench.container("plain", Setup::default()).await?;
    let engine = bench.inspect(&web).await?;
    let port = web.http_port().unwrap_or_default();
    let before = bench.host(Request::default()).await?;
    let inside = bench.look(&web, Request::default()).await?;
    let sheltered = bench.look(&plain, Request::default()).await?;
    let host = bench.host(fetching("127.0.0.1", port)).await?;
    steps.push(interfaces(&engine, &inside, [&before, &host], &sheltered));
    steps.push(ports(&engine, &host, port));
    steps.push(names(&inside, &host));

    let said = bench.failing_container("second", on_host(port)).await?;
    steps.push(lost(&inside, &sheltered, port, &said));
    Ok(())
}

fn names_of(report: &Report) -> Vec<&str> {
    report
        .interfaces
        .iter()
        .map(|interface| interface.name.as_str())
        .collect()
}

/// The host's interfaces that were there before and after the look inside: on a
/// busy engine the cables of other containers come and go.
fn lasting<'a>(before: &'a Report, after: &Report) -> Vec<(u32, &'a str)> {
    let there = |interface: &&Interface| {
        after
            .interfaces
            .iter()
            .any(|other| other.index == interface.index)
    };
    let lasting = before.interfaces.iter().filter(there);
    lasting
        .map(|interface| (interface.index, interface.name.as_str()))
        .collect()
}

fn interfaces(
    engine: &ContainerInspectResponse,
    inside: &Report,
    [before, after]: [&Report; 2],
    sheltered: &Report,
) -> Step {
    let lasting = lasting(before, after);
    let shared = lasting
        .iter()
        .filter(|(index, name)| {
            inside
                .interface(*index)
                .is_some_and(|own| own.name == *name)
        })
        .count();
    let sandbox = engine
        .network_settings
        .as_ref()
        .and_then(|settings| settings.sandbox_key.clone());
    let sandbox = view::or_none(sandbox);
    let endpoints = view::endpoints(engine);
    let address = view::address(engine, "host");
    let plain = names_of(sheltered).join(", ");
    Step::asks("Which interfaces does a container on the host network see?")
        .by_hand(&[
            "docker run -d --name lab-web --network host busybox sh -c 'echo hello > /index.html; \
             httpd -f -p 8099'",
            "docker run -dit --name lab-plain busybox",
            "docker exec lab-web ip -o link",
            "docker exec lab-plain ip -o link",
            "ip -o link",
        ])
        .saw(
            ENGINE,
            endpoints
                .iter()
                .map(|(network, endpoint)| show::endpoint(network, endpoint)),
        )
        .saw(ENGINE, [format!("SandboxKey {sandbox}")])
        .saw(inside_of("web"), [names_of(inside).join(", ")])
        .saw(HOST, [names_of(after).join(", ")])
        .saw(inside_of("plain"), [plain.clone()])
        .answer(format!(
            "All of the host's. An ordinary container has its own few beside it ({plain})."
        ))
        .same("interfaces of the host seen inside", lasting.len(), shared)
        .check(
            "the host has some",
            lasting.len().to_string(),
            !lasting.is_empty(),
        )
        .check(
            "the sandbox is the host's default one",
            &sandbox,
            sandbox.ends_with("/default"),
        )
        .same("address from the engine", "none", view::or_none(address))
        .check(
            "the bridge of the other containers is visible",
            names_of(inside).join(", "),
            sheltered
                .default_gateway()
                .is_some_and(|gateway| inside.interface_of(gateway).is_some()),
        )
        .means(
            "There is no cable and no second network stack: for the network the process is simply \
             one more process of the host.",
        )
}

fn ports(engine: &ContainerInspectResponse, host: &Report, port: u16) -> Step {
    let published = engine
        .network_settings
        .iter()
        .flat_map(|settings| settings.ports.iter().flatten())
        .filter(|(_, bindings)| {
            bindings
                .as_ref()
                .is_some_and(|bindings| !bindings.is_empty())
        })
        .count();
    let fetched = host.fetched.first();
    Step::asks("Where does its server answer, though no port was published?")
        .by_hand(&[
            "docker port lab-web",
            "curl --silent --retry 5 --retry-connrefused http://127.0.0.1:8099/",
        ])
        .saw(ENGINE, [format!("published ports: {published}")])
        .saw(HOST, fetched.map(show::fetched))
        .answer(format!(
            "On the host's own port {port}, on every address of the host."
        ))
        .same("published ports", 0, published)
        .same(
            "HTTP status",
            200,
            view::or_none(fetched.and_then(|fetched| fetched.status)),
        )
        .means(
            "The server opened the port on the host itself. It costs nothing in speed, and the \
             port is open to whoever can reach the host.",
        )
}

fn names(inside: &Report, host: &Report) -> Step {
    Step::asks("What does the container take for its own name and its DNS servers?")
        .by_hand(&[
            "docker exec lab-web hostname",
            "hostname",
            "docker exec lab-web cat /etc/resolv.conf",
        ])
        .saw(inside_of("web"), [format!("hostname {}", inside.hostname)])
        .saw(inside_of("web"), show::resolver(&inside.resolver))
        .saw(HOST, [format!("hostname {}", host.hostname)])
        .saw(HOST, show::resolver(&host.resolver))
        .answer(format!(
            "The host's: it believes to be `{}`.",
            inside.hostname
        ))
        .same("host name", &host.hostname, &inside.hostname)
        .same(
            "DNS servers",
            show::list(&host.resolver.nameservers),
            show::list(&inside.resolver.nameservers),
        )
        .means(
            "Names of other containers don't resolve here either: Docker's embedded DNS server \
             serves sandboxes on user-defined networks only.",
        )
}

fn lost(inside: &Report, sheltered: &Report, port: u16, said: &str) -> Step {
    let sees = inside.listening.len();
    let plain = sheltered.listening.len();
    let in_use = said.to_lowercase().contains("in use");
    let own = inside
        .listening
        .iter()
        .any(|listener| listener.port == port);
    Step::asks("Which isolation is lost?")
        .by_hand(&[
            "docker run --rm --network host busybox httpd -f -p 8099   # fails: Address already in use",
            "docker exec lab-web netstat -tln",
            "docker exec lab-plain netstat -tln",
        ])
        .saw("inside a second container", [said])
        .saw(inside_of("web"), [format!("listening TCP sockets in sight: {sees}")])
        .saw(inside_of("plain"), [format!("listening TCP sockets in sight: {plain}")])
        .answer(format!(
            "Ports collide (a second server on port {port} can't start), and every server of the \
             host is within reach of the container, loopback included."
        ))
        .check("a second server on the same port is refused", said, in_use)
        .check("its own socket is among the host's", format!("{sees} sockets"), own)
        .means(
            "Databases that listen on the host's 127.0.0.1 \"for safety\" are open to such a \
             container. Use the host network for tools that need it, such as monitoring agents, \
             and for nothing that takes requests from strangers.",
        )
}

/// A request to fetch `/` from a host.
fn fetching(host: &str, port: u16) -> Request {
    let resource = Resource {
        host: host.to_owned(),
        port,
        path: "/".to_owned(),
    };
    Request {
        get: vec![resource],
        ..Request::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::fixtures::{default_route, interface, ip, loopback, nameservers};
    use super::*;
    use crate::lesson::Verdict;
    use netcheck::probe::report::{Fetched, Listener};

    fn engine(sandbox: &str) -> ContainerInspectResponse {
        serde_json::from_value(json!({"NetworkSettings": {
            "SandboxKey": sandbox, "Networks": {"host": {"IPAddress": ""}}, "Ports": {},
        }}))
        .unwrap()
    }

    fn host() -> Report {
        Report {
            hostname: "machine".into(),
            interfaces: vec![
                loopback(),
                interface(2, "docker0", "bridge", None, Some("172.17.0.1/16")),
            ],
            resolver: nameservers(&["192.0.2.53"]),
            listening: vec![Listener {
                address: ip("0.0.0.0"),
                port: 40_000,
            }],
            fetched: vec![Fetched {
                resource: Resource {
                    host: "127.0.0.1".into(),
                    port: 40_000,
                    path: "/".into(),
                },
                status: Some(200),
                body: "hello".into(),
                error: None,
                elapsed_us: 1,
            }],
            ..Report::default()
        }
    }

    fn plain() -> Report {
        Report {
            hostname: "0123456789ab".into(),
            interfaces: vec![loopback()],
            routes: vec![default_route("172.17.0.1")],
            ..Report::default()
        }
    }

    #[test]
    fn a_sandbox_of_its_own_fails() {
        let verdict = |engine: &ContainerInspectResponse, inside: &Report| {
            interfaces(engine, inside, [&host(), &host()], &plain()).verdict()
        };
        assert_eq!(
            verdict(&engine("/run/docker/netns/default"), &host()),
            Verdict::Passed
        );
        assert_eq!(
            verdict(&engine("/run/docker/netns/a1b2"), &host()),
            Verdict::Failed
        );
        assert_eq!(
            verdict(&engine("/run/docker/netns/default"), &plain()),
            Verdict::Failed
        );
    }

    #[test]
    fn the_host_port_must_answer() {
        assert_eq!(
            ports(&engine("default"), &host(), 40_000).verdict(),
            Verdict::Passed
        );
        assert_eq!(
            ports(&engine("default"), &plain(), 40_000).verdict(),
            Verdict::Failed
        );
    }

    #[test]
    fn names_are_the_host_s() {
        assert_eq!(names(&host(), &host()).verdict(), Verdict::Passed);
        assert_eq!(names(&plain(), &host()).verdict(), Verdict::Failed);
    }

    #[test]
    fn a_second_server_must_be_refused() {
        let said = "cannot listen on TCP port 40000: Address already in use (os error 98)";
        assert_eq!(
            lost(&host(), &plain(), 40_000, said).verdict(),
            Verdict::Passed
        );
        assert_eq!(
            lost(&host(), &plain(), 40_000, "ready http=40000").verdict(),
            Verdict::Failed
        );
        assert_eq!(
            lost(&plain(), &plain(), 40_000, said).verdict(),
            Verdict::Failed
        );
    }
}
