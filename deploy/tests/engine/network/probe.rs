//! The probe: what it says of a sandbox is what the engine and the kernel say of it.

use std::net::IpAddr;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use netcheck::probe::image::Image;
use netcheck::probe::report::{Answer, Reach};
use netcheck::probe::request::{Resource, Target};
use netcheck::probe::run::{Place, many, one};
use netcheck::probe::{Report, Request};

use super::support::{Things, docker, engine, probe_binary, wait_until};

fn target(host: &str, port: u16) -> Target {
    Target {
        host: host.to_owned(),
        port,
    }
}

#[tokio::test]
async fn a_sandbox_and_the_host_are_reported_as_they_are() {
    let image = image().await;
    let engine = engine().await;
    let mut things = Things::default();
    let (open, closed) = (things.network(&[]), things.network(&["--internal"]));
    let web = things.server(
        8000,
        &[
            "--network",
            &open,
            "--network-alias",
            "shop",
            "--hostname",
            "web-host",
        ],
    );
    let vault = things.server(27017, &["--network", &closed, "--network-alias", "vault"]);
    let web_ip = address_of(&web, &open);
    let vault_ip = address_of(&vault, &closed);

    let from_web = Request {
        resolve: vec!["shop".into(), "vault".into(), "localhost".into()],
        connect: vec![
            target("shop", 8000),
            target("shop", 8001),
            target(&vault_ip, 27017),
        ],
        ping: vec!["shop".into(), "127.0.0.1".into()],
        get: vec![
            Resource {
                host: "shop".into(),
                port: 8000,
                path: "/nothing-here".into(),
            },
            Resource {
                host: "shop".into(),
                port: 8001,
                path: "/".into(),
            },
        ],
        ..Request::default()
    };
    let from_vault = Request {
        connect: vec![target("192.0.2.77", 80), target(&web_ip, 8000)],
        ..Request::default()
    };
    let from_host = Request {
        connect: vec![target(&web_ip, 8000), target(&vault_ip, 27017)],
        ping: vec![web_ip.clone()],
        ..Request::default()
    };
    let started = Instant::now();
    let reports = many(
        &engine,
        &image,
        &[
            (Place::Sandbox(web.clone()), from_web),
            (Place::Sandbox(vault.clone()), from_vault),
            (Place::Host, from_host),
        ],
    )
    .await;
    eprintln!("three probes took {:?}", started.elapsed());
    let [in_web, in_vault, on_host]: [Report; 3] = reports
        .into_iter()
        .map(Result::unwrap)
        .collect::<Vec<_>>()
        .try_into()
        .unwrap();

    // The sandbox: names, interface and its other end, addresses, routes, resolver, ports.
    assert_eq!(in_web.hostname, "web-host");
    assert_eq!(in_web.incomplete, Vec::<String>::new());
    let eth0 = in_web.interfaces.iter().find(|i| i.name == "eth0").unwrap();
    assert_eq!(eth0.kind.as_deref(), Some("veth"));
    assert_eq!(eth0.addresses[0].addr().to_string(), web_ip);
    let mac = inspect(
        &web,
        &format!("{{{{(index .NetworkSettings.Networks \"{open}\").MacAddress}}}}"),
    );
    assert_eq!(eth0.mac.as_deref(), Some(mac.as_str()));
    let veth = on_host.interface(eth0.link_index.unwrap()).unwrap();
    assert_eq!(
        (veth.kind.as_deref(), veth.link_index),
        (Some("veth"), Some(eth0.index))
    );
    let bridge = on_host
        .interfaces
        .iter()
        .find(|i| Some(&i.name) == veth.bridge.as_ref())
        .unwrap();
    assert!(bridge.kind.as_deref() == Some("bridge") && bridge.ports.contains(&veth.name));
    let gateway = in_web.default_gateway().unwrap();
    assert!(bridge.addresses.iter().any(|net| net.addr() == gateway));
    assert_eq!(
        in_web.resolver.nameservers,
        ["127.0.0.11".parse::<IpAddr>().unwrap()]
    );
    assert_eq!(in_web.resolver.ndots(), 0);
    assert!(
        in_web
            .hosts
            .iter()
            .any(|line| line.names.contains(&"web-host".to_owned()))
    );
    assert!(
        in_web
            .listening
            .iter()
            .any(|listener| listener.port == 8000)
    );

    // Names.
    let resolved: Vec<_> = in_web
        .resolved
        .iter()
        .map(|r| (r.name.as_str(), r.answer))
        .collect();
    assert_eq!(resolved[0], ("shop", Answer::Found));
    assert_eq!(in_web.resolved[0].addresses[0].to_string(), web_ip);
    assert_eq!(in_web.resolved[0].server.unwrap().to_string(), "127.0.0.11");
    assert_ne!(resolved[1].1, Answer::Found, "another network's alias");
    assert_eq!(resolved[2], ("localhost", Answer::Found));
    assert_eq!(in_web.resolved[2].server, None, "from /etc/hosts");

    // Reaching.
    let reach = |connection: usize| in_web.connected[connection].attempts[0].reach;
    assert_eq!(reach(0), Reach::Reached);
    assert_eq!(reach(1), Reach::Refused);
    assert_eq!(
        in_web.connected[1].attempts[0].error.as_deref(),
        Some("ECONNREFUSED")
    );
    assert_ne!(reach(2), Reach::Reached, "the networks are apart");
    assert!(
        in_web
            .pinged
            .iter()
            .all(|echo| echo.attempts[0].reach == Reach::Reached)
    );
    // Recent engines give an internal network no default route, older ones drop what follows it.
    let outside = in_vault.connected[0].attempts[0].reach;
    assert!(
        matches!(outside, Reach::Unreachable | Reach::Timeout),
        "{outside:?}"
    );
    assert_ne!(in_vault.connected[1].attempts[0].reach, Reach::Reached);
    assert_eq!(on_host.connected[0].attempts[0].reach, Reach::Reached);
    assert_eq!(on_host.connected[1].attempts[0].reach, Reach::Reached);
    assert_eq!(on_host.pinged[0].attempts[0].reach, Reach::Reached);
    assert_eq!(in_web.fetched[0].status, Some(404));
    assert!(in_web.fetched[0].body.contains("404"));
    assert_eq!(in_web.fetched[1].error.as_deref(), Some("ECONNREFUSED"));

    // Nothing stays behind; the engine removes what has ended.
    wait_until("no probe is left in the sandbox", || {
        let probes = docker(&[
            "ps",
            "--all",
            "--quiet",
            "--filter",
            "label=dev.causeway.probe",
        ]);
        let modes = probes.lines().map(|probe| {
            let format = "{{.HostConfig.NetworkMode}}";
            let asked = Command::new("docker")
                .args(["inspect", "--format", format, probe])
                .output();
            String::from_utf8_lossy(&asked.unwrap().stdout).into_owned()
        });
        !modes.into_iter().any(|mode| mode.contains(&web))
    });
}

#[tokio::test]
async fn a_stopped_container_has_no_sandbox_to_look_into() {
    let image = image().await;
    let mut things = Things::default();
    let stopped = things.container(&[], &["true"]);
    docker(&["wait", &stopped]);
    let error = one(
        &engine().await,
        &image,
        &Place::Sandbox(stopped.clone()),
        &Request::default(),
    )
    .await
    .unwrap_err();
    assert!(error.to_string().contains("running"), "{error}");
}

#[tokio::test]
async fn an_executable_that_needs_libraries_is_refused_with_what_to_do() {
    let error = Image::from_executable(&engine().await, Path::new("/bin/true"))
        .await
        .unwrap_err();
    assert!(error.message.contains("linked dynamically"), "{error}");
    assert!(error.next.contains("make tool"), "{}", error.next);
    let error = Image::from_executable(&engine().await, Path::new("/etc/passwd"))
        .await
        .unwrap_err();
    assert!(error.message.contains("no Linux executable"), "{error}");
}

async fn image() -> Image {
    Image::from_executable(&engine().await, &probe_binary())
        .await
        .unwrap()
}

fn inspect(container: &str, format: &str) -> String {
    docker(&["inspect", "--format", format, container])
}

fn address_of(container: &str, network: &str) -> String {
    inspect(
        container,
        &format!("{{{{(index .NetworkSettings.Networks \"{network}\").IPAddress}}}}"),
    )
}
