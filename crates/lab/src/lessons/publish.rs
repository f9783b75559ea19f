//! EXPOSE documents a port, `-p` publishes it.

use engine::api::ContainerInspectResponse;

use super::prelude::*;

pub(super) const LESSON: Lesson = Lesson {
    name: "publish",
    title: "Ports: EXPOSE documents, -p publishes",
    story: "Three containers run the same server on port 8000. One says nothing about the port, \
            one exposes it, one publishes it on a free port of the host's loopback address. A \
            fourth is their neighbour.",
    needs: &[Need::OwnHost],
    tidy: &[
        "docker rm -f lab-silent lab-exposed lab-published lab-client",
        "docker network rm lab-net",
    ],
    teach: |bench, steps| Box::pin(teach(bench, steps)),
};

async fn teach(bench: &Bench<'_>, steps: &mut Vec<Step>) -> Result<()> {
    let net = bench.network("net", NetworkSetup::default()).await?;
    let plain = Setup {
        network: Some(net.clone()),
        http: Some(PORT),
        ..Setup::default()
    };
    let silent = bench.container("silent", plain.clone()).await?;
    let exposing = Setup {
        expose: vec![PORT],
        ..plain.clone()
    };
    let exposed = bench.container("exposed", exposing).await?;
    let publishing = Setup {
        publish: vec![PORT],
        ..plain.clone()
    };
    let published = bench.container("published", publishing).await?;
    let client = bench
        .container(
            "client",
            Setup {
                http: None,
                ..plain
            },
        )
        .await?;

    let engine = bench.inspect(&exposed).await?;
    steps.push(expose(&engine));
    let engine = bench.inspect(&published).await?;
    let asked = host_port(&engine).map(|port| Resource {
        host: "127.0.0.1".to_owned(),
        port,
        path: "/".to_owned(),
    });
    let host = bench
        .host(Request {
            get: asked.into_iter().collect(),
            ..Request::default()
        })
        .await?;
    steps.push(publish(&engine, &host));
    let names = [silent.name.as_str(), &exposed.name, &published.name];
    let inside = bench.look(&client, connecting(&names)).await?;
    steps.push(neighbours(&inside, names));
    Ok(())
}

/// The host's port that leads to [`PORT`].
fn host_port(engine: &ContainerInspectResponse) -> Option<u16> {
    let ports = engine.network_settings.as_ref()?.ports.as_ref()?;
    ports
        .get(&format!("{PORT}/tcp"))?
        .as_ref()?
        .first()?
        .host_port
        .as_ref()?
        .parse()
        .ok()
}

/// What the image or `--expose` says, and what is bound on the host.
fn documented(engine: &ContainerInspectResponse) -> String {
    let exposed = engine
        .config
        .iter()
        .flat_map(|config| config.exposed_ports.iter().flatten());
    let ports: Vec<&str> = exposed.map(String::as_str).collect();
    if ports.is_empty() {
        "none".to_owned()
    } else {
        ports.join(", ")
    }
}

fn lines(engine: &ContainerInspectResponse) -> [String; 2] {
    let published = match host_port(engine) {
        Some(port) => format!("{PORT}/tcp -> 127.0.0.1:{port}"),
        None => "none".to_owned(),
    };
    [
        format!("Config.ExposedPorts: {}", documented(engine)),
        format!("NetworkSettings.Ports: {published}"),
    ]
}

fn expose(engine: &ContainerInspectResponse) -> Step {
    Step::asks("What does EXPOSE do?")
        .by_hand(&[
            "docker network create lab-net",
            "docker run -d --name lab-silent --network lab-net busybox sh -c 'echo hello > /index.html; \
             httpd -f -p 8000'",
            "docker run -d --name lab-exposed --network lab-net --expose 8000 busybox sh -c 'echo hello > \
             /index.html; httpd -f -p 8000'",
            "docker inspect -f '{{json .Config.ExposedPorts}} {{json .NetworkSettings.Ports}}' \
             lab-exposed",
            "docker port lab-exposed",
        ])
        .saw(ENGINE, lines(engine))
        .answer("It writes a note. No port of the host was opened.")
        .same("documented", format!("{PORT}/tcp"), documented(engine))
        .same("port of the host", "none", view::or_none(host_port(engine)))
        .means(
            "EXPOSE in a Dockerfile (or `--expose`) tells people and tools which port the program \
             listens on. It changes nothing about who can reach it.",
        )
}

fn publish(engine: &ContainerInspectResponse, host: &Report) -> Step {
    let fetched = host.fetched.first();
    let hostname = engine
        .config
        .as_ref()
        .and_then(|config| config.hostname.clone());
    let greeting = format!("hello from {}", view::or_none(hostname));
    let listening = host_port(engine)
        .is_some_and(|port| host.listening.iter().any(|listener| listener.port == port));
    Step::asks("What does -p do?")
        .by_hand(&[
            "docker run -d --name lab-published --network lab-net -p 127.0.0.1::8000 busybox sh -c \
             'echo hello > /index.html; httpd -f -p 8000'",
            "docker port lab-published",
            "curl --silent --retry 5 --retry-connrefused \"http://$(docker port lab-published 8000)/\"",
        ])
        .saw(ENGINE, lines(engine))
        .saw(HOST, fetched.map(show::fetched))
        .saw(
            HOST,
            [format!(
                "a socket listens on that port: {}",
                if listening { "yes (docker-proxy)" } else { "no (the kernel redirects alone)" }
            )],
        )
        .answer(format!(
            "It opens port {} of the host and passes what comes there on to port {PORT} of the \
             container.",
            view::or_none(host_port(engine))
        ))
        .check("a port of the host", view::or_none(host_port(engine)), host_port(engine).is_some())
        .same(
            "what answers there",
            &greeting,
            fetched.map_or("nothing", |fetched| fetched.body.trim_end()),
        )
        .means(
            "Publishing is the door from outside. The engine rewrites the destination of incoming \
             packets to the container's address (an iptables DNAT rule), and a small process, \
             docker-proxy, serves connections that the rule doesn't catch. Without an address \
             before the port the door is open on all of the host's addresses.",
        )
}

fn neighbours(inside: &Report, [silent, exposed, published]: [&str; 3]) -> Step {
    Step::asks("Does a neighbour on the same network need either of them?")
        .by_hand(&[
            "docker run -dit --name lab-client --network lab-net busybox",
            "docker exec lab-client wget -q -O - http://lab-silent:8000/",
            "docker exec lab-client wget -q -O - http://lab-exposed:8000/",
            "docker exec lab-client wget -q -O - http://lab-published:8000/",
        ])
        .saw(
            inside_of("client"),
            inside.connected.iter().map(show::connection),
        )
        .answer("No: all three answer on port 8000.")
        .reaches(inside, silent, "the one that says nothing")
        .reaches(inside, exposed, "the one that exposes")
        .reaches(inside, published, "the one that publishes")
        .means(
            "Within a network every port is open between neighbours. So what must not be reached \
             belongs on a network of its own; leaving out EXPOSE or -p protects nothing there.",
        )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::fixtures::connection;
    use super::*;
    use crate::lesson::Verdict;
    use netcheck::probe::report::Fetched;

    fn engine(port: Option<&str>) -> ContainerInspectResponse {
        let bindings = port.map(|port| json!([{"HostIp": "127.0.0.1", "HostPort": port}]));
        serde_json::from_value(json!({
            "Config": {"Hostname": "0123456789ab", "ExposedPorts": {"8000/tcp": {}}},
            "NetworkSettings": {"Ports": {"8000/tcp": bindings}},
        }))
        .unwrap()
    }

    fn answered(body: &str) -> Report {
        let resource = Resource {
            host: "127.0.0.1".into(),
            port: 32_768,
            path: "/".into(),
        };
        let status = Some(200);
        let fetched = Fetched {
            resource,
            status,
            body: body.into(),
            error: None,
            elapsed_us: 1,
        };
        Report {
            fetched: vec![fetched],
            ..Report::default()
        }
    }

    #[test]
    fn exposing_must_not_publish() {
        assert_eq!(expose(&engine(None)).verdict(), Verdict::Passed);
        assert_eq!(expose(&engine(Some("32768"))).verdict(), Verdict::Failed);
    }

    #[test]
    fn the_published_port_must_lead_to_this_container() {
        let right = answered("hello from 0123456789ab\n");
        assert_eq!(
            publish(&engine(Some("32768")), &right).verdict(),
            Verdict::Passed
        );
        let other = answered("hello from somebody else\n");
        assert_eq!(
            publish(&engine(Some("32768")), &other).verdict(),
            Verdict::Failed
        );
        assert_eq!(publish(&engine(None), &right).verdict(), Verdict::Failed);
    }

    #[test]
    fn every_neighbour_must_answer() {
        let names = ["172.18.0.2", "172.18.0.3", "172.18.0.4"];
        let mut inside = Report {
            connected: names.iter().map(|name| connection(name, None)).collect(),
            ..Report::default()
        };
        assert_eq!(neighbours(&inside, names).verdict(), Verdict::Passed);
        inside.connected[0] = connection(names[0], Some("ECONNREFUSED"));
        assert_eq!(neighbours(&inside, names).verdict(), Verdict::Failed);
    }
}
