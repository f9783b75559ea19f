//! User-defined bridges: names that resolve, networks that are apart, and
//! containers that come and go while they run.

use engine::api::ContainerInspectResponse;

use super::prelude::*;

pub(super) const LESSON: Lesson = Lesson {
    name: "user-defined-bridge",
    title: "User-defined bridges: names inside, walls between",
    story: "Three containers on two networks of their own: web and api on the red one, db on the \
            blue one. Later api is plugged into the blue one as well, and taken out again. This \
            is the arrangement of proxy, application and database in small.",
    needs: &[],
    tidy: &[
        "docker rm -f lab-web lab-api lab-db",
        "docker network rm lab-red lab-blue",
    ],
    teach: |bench, steps| Box::pin(teach(bench, steps)),
};

/// The names of the networks and of the containers on the engine.
struct Stage<'a> {
    red: &'a str,
    blue: &'a str,
    web: &'a str,
    api: &'a str,
    db: &'a str,
}

async fn teach(bench: &Bench<'_>, steps: &mut Vec<Step>) -> Result<()> {
    let red = bench.network("red", NetworkSetup::default()).await?;
    let blue = bench.network("blue", NetworkSetup::default()).await?;
    let on = |network: &str| Setup {
        network: Some(network.to_owned()),
        http: Some(PORT),
        ..Setup::default()
    };
    let web = bench.container("web", on(&red)).await?;
    let api = bench.container("api", on(&red)).await?;
    let db = bench.container("db", on(&blue)).await?;
    let stage = Stage {
        red: &red,
        blue: &blue,
        web: &web.name,
        api: &api.name,
        db: &db.name,
    };

    let api_engine = bench.inspect(&api).await?;
    let db_engine = bench.inspect(&db).await?;
    let everyone = |stage: &Stage<'_>| {
        let db_address = view::address(&db_engine, stage.blue).map(|address| address.to_string());
        let hosts: Vec<String> = [stage.web, stage.api, stage.db]
            .into_iter()
            .map(ToOwned::to_owned)
            .chain(db_address)
            .collect();
        Request {
            resolve: hosts.iter().take(3).cloned().collect(),
            ..connecting(&hosts)
        }
    };
    let from_web = bench.look(&web, everyone(&stage)).await?;
    steps.push(by_name(&from_web, &api_engine, &stage));
    steps.push(apart(&from_web, &db_engine, &stage));

    bench.connect(&blue, &api, &[]).await?;
    let api_engine = bench.inspect(&api).await?;
    let from_api = bench.look(&api, everyone(&stage)).await?;
    steps.push(on_both(&from_api, &api_engine, &stage));
    let from_web = bench.look(&web, everyone(&stage)).await?;
    steps.push(no_bridge_between(&from_web, &db_engine, &stage));

    bench.disconnect(&blue, &api).await?;
    let api_engine = bench.inspect(&api).await?;
    let from_api = bench.look(&api, everyone(&stage)).await?;
    steps.push(taken_out(&from_api, &api_engine, &stage));
    Ok(())
}

/// What was seen of some of the hosts.
fn looks(report: &Report, hosts: &[&str]) -> Vec<String> {
    let asked = |host: &str| hosts.contains(&host);
    let names = report
        .resolved
        .iter()
        .filter(|resolution| asked(&resolution.name));
    let ports = report
        .connected
        .iter()
        .filter(|connection| asked(&connection.target.host));
    names
        .map(show::resolution)
        .chain(ports.map(show::connection))
        .collect()
}

fn by_name(from_web: &Report, api: &ContainerInspectResponse, stage: &Stage<'_>) -> Step {
    Step::asks("On a network of their own, does web reach api by its name?")
        .by_hand(&[
            "docker network create lab-red",
            "docker network create lab-blue",
            "docker run -dit --name lab-web --network lab-red busybox",
            "docker run -dit --name lab-api --network lab-red busybox",
            "docker run -dit --name lab-db --network lab-blue busybox",
            "docker exec lab-web ping -c 1 lab-api",
        ])
        .saw(inside_of("web"), show::resolver(&from_web.resolver))
        .saw(inside_of("web"), looks(from_web, &[stage.api]))
        .answer("Yes. On user-defined networks the name of a container is its address.")
        .same(
            "DNS server",
            EMBEDDED_DNS,
            show::list(&from_web.resolver.nameservers),
        )
        .leads_to(from_web, stage.api, view::address(api, stage.red))
        .reaches(from_web, stage.api, "api by name")
        .means(
            "Docker's embedded DNS server knows who is on the network. Addresses may change at \
             every start; the name stays, so configuration files hold names.",
        )
}

fn apart(from_web: &Report, db: &ContainerInspectResponse, stage: &Stage<'_>) -> Step {
    let address = view::address(db, stage.blue);
    let by_address = view::or_none(address);
    Step::asks("Does web reach db, which is on the other network?")
        .by_hand(&[
            "docker exec lab-web ping -c 1 lab-db   # fails: bad address 'lab-db'",
            "docker exec lab-web ping -c 1 -W 1 \"$(docker inspect -f '{{(index \
             .NetworkSettings.Networks \"lab-blue\").IPAddress}}' lab-db)\"   # fails: no reply",
        ])
        .saw(inside_of("web"), looks(from_web, &[stage.db, &by_address]))
        .answer("No: neither by name nor by address.")
        .leads_nowhere(from_web, stage.db, address)
        .cannot_reach(from_web, stage.db, "db by name")
        .cannot_reach(from_web, &by_address, "db by address")
        .means(
            "Knowing the address doesn't help: the host drops packets that go from one bridge to \
             another (iptables chains DOCKER-ISOLATION-STAGE-1 and -2 on most versions). That is \
             how a database is kept out of reach of everything that needn't talk to it.",
        )
}

fn on_both(from_api: &Report, api: &ContainerInspectResponse, stage: &Stage<'_>) -> Step {
    let endpoints = view::endpoints(api);
    let joined = |network| {
        if endpoints.contains_key(network) {
            "connected"
        } else {
            "missing"
        }
    };
    Step::asks("api is connected to the second network while it runs. What changes inside it?")
        .by_hand(&[
            "docker network connect lab-blue lab-api",
            "docker exec lab-api ip addr",
            "docker exec lab-api ping -c 1 lab-db",
            "docker exec lab-api ping -c 1 lab-web",
        ])
        .saw(
            ENGINE,
            endpoints
                .iter()
                .map(|(network, endpoint)| show::endpoint(network, endpoint)),
        )
        .saw(inside_of("api"), show::interfaces(from_api))
        .saw(inside_of("api"), looks(from_api, &[stage.web, stage.db]))
        .answer("It has a second interface and address, and reaches both neighbours by name.")
        .same("red network", "connected", joined(stage.red))
        .same("blue network", "connected", joined(stage.blue))
        .same("addresses inside", 2, view::ipv4_addresses(from_api).len())
        .reaches(from_api, stage.web, "web by name")
        .reaches(from_api, stage.db, "db by name")
        .means(
            "A container may stand in several networks, with one cable for each. This is how an \
             application stands between the public side and the database.",
        )
}

fn no_bridge_between(from_web: &Report, db: &ContainerInspectResponse, stage: &Stage<'_>) -> Step {
    let address = view::address(db, stage.blue);
    let by_address = view::or_none(address);
    Step::asks("api is on both networks now. Does that open a way from web to db?")
        .by_hand(&["docker exec lab-web ping -c 1 lab-db   # fails: bad address 'lab-db'"])
        .saw(
            inside_of("web"),
            looks(from_web, &[stage.api, stage.db, &by_address]),
        )
        .answer("No: api is a neighbour of both, but it passes nothing on.")
        .reaches(from_web, stage.api, "api by name")
        .leads_nowhere(from_web, stage.db, address)
        .cannot_reach(from_web, &by_address, "db by address")
        .means(
            "A container on two networks is no router. Only what api itself decides to ask the \
             database gets there.",
        )
}

fn taken_out(from_api: &Report, api: &ContainerInspectResponse, stage: &Stage<'_>) -> Step {
    let networks = view::endpoints(api)
        .into_keys()
        .collect::<Vec<_>>()
        .join(", ");
    Step::asks("api is disconnected from the second network again. What is left?")
        .by_hand(&[
            "docker network disconnect lab-blue lab-api",
            "docker exec lab-api ip addr",
            "docker exec lab-api ping -c 1 lab-db   # fails: bad address 'lab-db'",
        ])
        .saw(inside_of("api"), show::interfaces(from_api))
        .saw(inside_of("api"), looks(from_api, &[stage.web, stage.db]))
        .answer("The first interface alone: web is still there, db is out of sight.")
        .same("networks", stage.red, networks)
        .same("addresses inside", 1, view::ipv4_addresses(from_api).len())
        .reaches(from_api, stage.web, "web by name")
        .cannot_reach(from_api, stage.db, "db by name")
        .means(
            "The cable was pulled and its interface went with it, without a restart. Taking a \
             container out of a network is a quick way to isolate it when something is wrong.",
        )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::fixtures::{
        connection, interface, loopback, nameservers, resolution, unresolved,
    };
    use super::*;
    use crate::lesson::Verdict;
    use netcheck::probe::report::Connection;

    const STAGE: Stage<'_> = Stage {
        red: "red",
        blue: "blue",
        web: "web",
        api: "api",
        db: "db",
    };

    fn on(networks: &[(&str, &str)]) -> ContainerInspectResponse {
        let networks: serde_json::Map<_, _> = networks
            .iter()
            .map(|&(name, address)| (name.to_owned(), json!({"IPAddress": address})))
            .collect();
        serde_json::from_value(json!({"NetworkSettings": {"Networks": networks}})).unwrap()
    }

    fn api() -> ContainerInspectResponse {
        on(&[("red", "172.18.0.3")])
    }

    fn db() -> ContainerInspectResponse {
        on(&[("blue", "172.19.0.2")])
    }

    fn open(name: &str, address: &str) -> Connection {
        let mut connection = connection(address, None);
        connection.target.host = name.into();
        connection
    }

    fn from_web() -> Report {
        Report {
            resolver: nameservers(&["127.0.0.11"]),
            resolved: vec![resolution("api", &["172.18.0.3"]), resolution("db", &[])],
            connected: vec![
                open("api", "172.18.0.3"),
                unresolved("db"),
                connection("172.19.0.2", Some("timeout")),
            ],
            ..Report::default()
        }
    }

    fn from_api(both: bool) -> Report {
        let mut interfaces = vec![
            loopback(),
            interface(5, "eth0", "veth", Some(6), Some("172.18.0.3/16")),
        ];
        let mut connected = vec![open("web", "172.18.0.2")];
        if both {
            interfaces.push(interface(7, "eth1", "veth", Some(8), Some("172.19.0.3/16")));
            connected.push(open("db", "172.19.0.2"));
        } else {
            connected.push(unresolved("db"));
        }
        Report {
            interfaces,
            connected,
            ..Report::default()
        }
    }

    #[test]
    fn the_name_must_lead_to_the_neighbour() {
        assert_eq!(
            by_name(&from_web(), &api(), &STAGE).verdict(),
            Verdict::Passed
        );
        let elsewhere = on(&[("red", "172.18.0.9")]);
        assert_eq!(
            by_name(&from_web(), &elsewhere, &STAGE).verdict(),
            Verdict::Failed
        );
    }

    #[test]
    fn an_open_way_to_the_other_network_fails() {
        assert_eq!(apart(&from_web(), &db(), &STAGE).verdict(), Verdict::Passed);
        assert_eq!(
            no_bridge_between(&from_web(), &db(), &STAGE).verdict(),
            Verdict::Passed
        );
        let mut leak = from_web();
        leak.connected[2] = connection("172.19.0.2", None);
        assert_eq!(apart(&leak, &db(), &STAGE).verdict(), Verdict::Failed);
        assert_eq!(
            no_bridge_between(&leak, &db(), &STAGE).verdict(),
            Verdict::Failed
        );
    }

    #[test]
    fn connecting_and_disconnecting_show_inside() {
        let both = on(&[("red", "172.18.0.3"), ("blue", "172.19.0.3")]);
        assert_eq!(
            on_both(&from_api(true), &both, &STAGE).verdict(),
            Verdict::Passed
        );
        assert_eq!(
            on_both(&from_api(false), &both, &STAGE).verdict(),
            Verdict::Failed
        );
        assert_eq!(
            taken_out(&from_api(false), &api(), &STAGE).verdict(),
            Verdict::Passed
        );
        assert_eq!(
            taken_out(&from_api(true), &api(), &STAGE).verdict(),
            Verdict::Failed
        );
    }
}
