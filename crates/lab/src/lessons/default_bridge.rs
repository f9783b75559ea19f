//! The default bridge: containers reach each other by address, not by name.

use std::net::IpAddr;

use engine::api::{ContainerInspectResponse, NetworkInspect};

use super::prelude::*;

pub(super) const LESSON: Lesson = Lesson {
    name: "default-bridge",
    title: "The default bridge: neighbours by address, strangers by name",
    story: "Two containers are started without any word about networks. Both land on the default \
            bridge. They can talk, but only to who knows the other's address.",
    needs: &[Need::DefaultBridge, Need::InterContainer],
    tidy: &["docker rm -f lab-one lab-two"],
    teach: |bench, steps| Box::pin(teach(bench, steps)),
};

async fn teach(bench: &Bench<'_>, steps: &mut Vec<Step>) -> Result<()> {
    let serving = || Setup {
        http: Some(PORT),
        ..Setup::default()
    };
    let one = bench.container("one", serving()).await?;
    let two = bench.container("two", serving()).await?;
    let bridge = bench.inspect_network(DEFAULT_BRIDGE).await?;
    let engine = [bench.inspect(&one).await?, bench.inspect(&two).await?];
    steps.push(same_network(&engine, &bridge));

    let address = view::address(&engine[1], DEFAULT_BRIDGE);
    let hosts: Vec<String> = address.iter().map(ToString::to_string).collect();
    let asked = Request {
        connect: hosts
            .iter()
            .map(|host| target(host))
            .chain([target(&two.name)])
            .collect(),
        ping: hosts.clone(),
        resolve: vec![two.name.clone()],
        ..Request::default()
    };
    let inside = bench.look(&one, asked).await?;
    steps.push(by_address(&inside, address));
    steps.push(by_name(&inside, &two.name, address));
    Ok(())
}

fn same_network(engine: &[ContainerInspectResponse; 2], bridge: &NetworkInspect) -> Step {
    let subnets = view::subnets(bridge);
    let addresses: Vec<Option<IpAddr>> = engine
        .iter()
        .map(|container| view::address(container, DEFAULT_BRIDGE))
        .collect();
    let within = addresses.iter().all(|address| {
        address.is_some_and(|address| subnets.iter().any(|subnet| subnet.contains(&address)))
    });
    let seen = view::listed(&addresses);
    Step::asks("Two containers are started without a network being named. Where are they?")
        .by_hand(&[
            "docker run -dit --name lab-one busybox",
            "docker run -d --name lab-two busybox httpd -f -p 8000",
            "docker network inspect -f '{{range .Containers}}{{println .Name .IPv4Address}}{{end}}' \
             bridge",
        ])
        .saw(
            ENGINE,
            engine.iter().flat_map(|container| {
                let name = view::or_none(container.name.as_deref());
                let name = name.trim_start_matches('/').to_owned();
                view::endpoints(container)
                    .into_iter()
                    .map(move |(network, endpoint)| {
                        format!("{name}: {}", show::endpoint(network, endpoint))
                    })
                    .collect::<Vec<_>>()
            }),
        )
        .saw(ENGINE, [show::network(bridge)])
        .answer(format!("Both are on the default bridge, as neighbours: {seen}."))
        .check("two addresses from the bridge's subnet", &seen, within)
        .check(
            "each has its own",
            &seen,
            addresses.first() != addresses.get(1),
        )
        .means(
            "Each container got its own address from the range of the bridge network, as \
             computers in one room get theirs from a router.",
        )
}

fn by_address(inside: &Report, address: Option<IpAddr>) -> Step {
    let address = view::or_none(address);
    let tcp = inside
        .connected
        .iter()
        .filter(|connection| connection.target.host == address);
    Step::asks("Does the first reach the second by its address?")
        .by_hand(&["docker exec lab-one ping -c 1 \"$(docker inspect -f \
             '{{.NetworkSettings.Networks.bridge.IPAddress}}' lab-two)\""])
        .saw(inside_of("one"), tcp.map(show::connection))
        .saw(inside_of("one"), inside.pinged.iter().map(show::echo))
        .answer(format!("Yes: {address} answers."))
        .reaches(inside, &address, "TCP port 8000")
        .answers_ping(inside, &address)
        .means(
            "Both cables end in the same bridge, and the bridge passes what it gets on to the end \
             that the address belongs to. No port has to be published for that.",
        )
}

fn by_name(inside: &Report, name: &str, address: Option<IpAddr>) -> Step {
    let tcp = inside
        .connected
        .iter()
        .filter(|connection| connection.target.host == name);
    Step::asks("Does the first reach the second by its name?")
        .by_hand(&["docker exec lab-one ping -c 1 lab-two   # fails: bad address 'lab-two'"])
        .saw(inside_of("one"), show::resolver(&inside.resolver))
        .saw(
            inside_of("one"),
            inside.resolved.iter().map(show::resolution),
        )
        .saw(inside_of("one"), tcp.map(show::connection))
        .answer("No: on the default bridge nothing knows the containers' names.")
        .leads_nowhere(inside, name, address)
        .cannot_reach(inside, name, "TCP port 8000 by name")
        .means(
            "The container asks the DNS servers that the host uses, and those have never heard of \
             it. Since addresses change with every start, this makes the default bridge useless \
             for services that have to find each other. User-defined networks solve it.",
        )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::fixtures::{connection, echo, ip, resolution, unresolved};
    use super::*;
    use crate::lesson::Verdict;

    fn at(address: &str) -> ContainerInspectResponse {
        serde_json::from_value(json!({
            "Name": "/one", "NetworkSettings": {"Networks": {"bridge": {"IPAddress": address}}},
        }))
        .unwrap()
    }

    fn bridge() -> NetworkInspect {
        serde_json::from_value(json!({
            "Name": "bridge", "IPAM": {"Config": [{"Subnet": "172.17.0.0/16"}]},
        }))
        .unwrap()
    }

    #[test]
    fn both_have_their_own_address_in_the_subnet() {
        let verdict = |a, b| same_network(&[at(a), at(b)], &bridge()).verdict();
        assert_eq!(verdict("172.17.0.2", "172.17.0.3"), Verdict::Passed);
        assert_eq!(verdict("172.17.0.2", "172.17.0.2"), Verdict::Failed);
        assert_eq!(verdict("172.17.0.2", "172.18.0.3"), Verdict::Failed);
    }

    fn seen() -> Report {
        Report {
            connected: vec![connection("172.17.0.3", None), unresolved("two")],
            pinged: vec![echo("172.17.0.3", None)],
            resolved: vec![resolution("two", &[])],
            ..Report::default()
        }
    }

    #[test]
    fn an_address_that_does_not_answer_fails() {
        let address = Some(ip("172.17.0.3"));
        assert_eq!(by_address(&seen(), address).verdict(), Verdict::Passed);
        let mut silent = seen();
        silent.pinged = vec![echo("172.17.0.3", Some("timeout"))];
        assert_eq!(by_address(&silent, address).verdict(), Verdict::Failed);
        silent.pinged = vec![echo("172.17.0.3", Some("EPERM"))];
        assert_eq!(
            by_address(&silent, address).verdict(),
            Verdict::Passed,
            "TCP decides alone"
        );
        silent.connected[0] = connection("172.17.0.3", Some("timeout"));
        assert_eq!(by_address(&silent, address).verdict(), Verdict::Failed);
    }

    #[test]
    fn a_name_that_leads_there_fails() {
        let address = Some(ip("172.17.0.3"));
        assert_eq!(by_name(&seen(), "two", address).verdict(), Verdict::Passed);
        let mut found = seen();
        found.resolved = vec![resolution("two", &["172.17.0.3"])];
        assert_eq!(by_name(&found, "two", address).verdict(), Verdict::Failed);
    }
}
