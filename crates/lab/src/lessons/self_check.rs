//! The eleven questions of the exercise's self-check, one by one.

use std::net::IpAddr;

use bollard::models::{ContainerInspectResponse, NetworkInspect};

use super::prelude::*;

pub(super) const LESSON: Lesson = Lesson {
    name: "self-check",
    title: "The eleven questions about a plain container",
    story: "A container started with nothing but an image gets a network all the same. These \
            questions follow one such container from the engine's view, from the inside and from \
            the host, until each address and each interface has been seen from both ends. The \
            exercise starts it with `docker run -it`; with `-dit` it runs in the background and \
            the same terminal can look at it.",
    needs: &[Need::DefaultBridge],
    tidy: &["docker rm -f lab-plain", "docker network rm lab-net"],
    teach: |bench, steps| Box::pin(teach(bench, steps)),
};

async fn teach(bench: &Bench<'_>, steps: &mut Vec<Step>) -> Result<()> {
    let plain = bench.container("plain", Setup::default()).await?;
    let engine = bench.inspect(&plain).await?;
    let bridge = bench.inspect_network(DEFAULT_BRIDGE).await?;
    let inside = bench.look(&plain, Request::default()).await?;
    let host = bench.host(Request::default()).await?;
    let rules = bench.host_rules().await?;
    steps.push(network(&engine));
    steps.push(interface_on_host(&engine, &inside, &host, &bridge));
    steps.push(interface_inside(&engine, &inside));
    steps.push(address(&engine, &inside));
    steps.push(default_gateway(&engine, &inside));
    steps.push(gateway_is_the_bridge(&inside, &host, &bridge, &rules));
    steps.push(dns_servers(&inside, &host));

    let net = bench.network("net", NetworkSetup::default()).await?;
    bench.connect(&net, &plain, &[]).await?;
    let created = bench.inspect_network(&net).await?;
    let engine = bench.inspect(&plain).await?;
    let inside = bench.look(&plain, resolving(&[&plain.name])).await?;
    let addresses: Vec<IpAddr> = [DEFAULT_BRIDGE, &net]
        .iter()
        .filter_map(|net| view::address(&engine, net))
        .collect();
    let host = bench.host(pinging(&addresses)).await?;
    steps.push(new_network(&created, &bridge));
    steps.push(connected(&engine, &inside, &created));
    steps.push(ping_both(&engine, &host, &addresses));
    steps.push(dns_after(&engine, &inside, &net));
    Ok(())
}

fn network(engine: &ContainerInspectResponse) -> Step {
    let endpoints = view::endpoints(engine);
    let names = endpoints.keys().copied().collect::<Vec<_>>().join(", ");
    Step::asks("On which network is this container running?")
        .by_hand(&[
            "docker run -dit --name lab-plain busybox /bin/sh",
            "docker inspect -f '{{json .NetworkSettings.Networks}}' lab-plain",
        ])
        .saw(
            ENGINE,
            endpoints
                .iter()
                .map(|(name, endpoint)| show::endpoint(name, endpoint)),
        )
        .answer(format!(
            "On `{names}`, the network a container joins when it asks for none."
        ))
        .same("networks", DEFAULT_BRIDGE, &names)
        .means(
            "Docker keeps one bridge network ready from the start: a switch made of software, on \
             the host, into which it plugs every container that doesn't ask for something else.",
        )
}

fn interface_on_host(
    engine: &ContainerInspectResponse,
    inside: &Report,
    host: &Report,
    bridge: &NetworkInspect,
) -> Step {
    let step = Step::asks(
        "What is the name of the network interface that the container is connected to, as it is \
         seen from the host?",
    )
    .by_hand(&[
        "docker exec lab-plain cat /sys/class/net/eth0/iflink",
        "ip -o link | grep \"^$(docker exec lab-plain cat /sys/class/net/eth0/iflink):\"",
    ])
    .means(
        "A veth is a cable with two plugs: what goes in at one end comes out at the other. Docker \
         puts one end into the container and the other into the bridge. Each end knows the other \
         by its number (its interface index), which is how they are matched here.",
    );
    let inner = view::address(engine, DEFAULT_BRIDGE).and_then(|ip| inside.interface_of(ip));
    let outer = inner
        .and_then(|inner| inner.link_index)
        .and_then(|index| host.interface(index));
    let step = step
        .saw(inside_of("plain"), inner.map(show::interface))
        .saw(HOST, outer.map(show::interface));
    let Some((inner, outer)) = inner.zip(outer) else {
        return step
            .answer("No interface of the host is the other end of the container's.")
            .check(
                "an interface of the host that is the other end",
                "none",
                false,
            );
    };
    let bridge = view::or_none(view::bridge_name(bridge));
    step.answer(format!(
        "`{}`: it has index {}, which the container's `{}` names as its other end, and it is \
         plugged into the bridge `{bridge}`.",
        outer.name, outer.index, inner.name
    ))
    .same("kind", "veth", view::or_none(outer.kind.as_ref()))
    .same(
        "index of its other end",
        inner.index,
        view::or_none(outer.link_index),
    )
    .same(
        "plugged into",
        &bridge,
        view::or_none(outer.bridge.as_ref()),
    )
}

fn interface_inside(engine: &ContainerInspectResponse, inside: &Report) -> Step {
    let address = view::address(engine, DEFAULT_BRIDGE);
    let interface = address.and_then(|address| inside.interface_of(address));
    let name = view::or_none(interface.map(|interface| &interface.name));
    let others: Vec<&str> = inside
        .interfaces
        .iter()
        .filter(|interface| interface.kind.as_deref() == Some("veth"))
        .map(|interface| interface.name.as_str())
        .collect();
    Step::asks(
        "What is the name of the network interface that the container is connected to, as it is \
         seen from within the container?",
    )
    .by_hand(&["docker exec lab-plain ip addr"])
    .saw(inside_of("plain"), show::interfaces(inside))
    .answer(format!(
        "`{name}`, beside the loopback interface `lo` that every sandbox has."
    ))
    .same("the only veth inside", &name, others.join(", "))
    .check(
        format!(
            "it bears the address that the engine gave: {}",
            view::or_none(address)
        ),
        name.clone(),
        interface.is_some(),
    )
    .means(
        "Inside, the container's end of the cable looks like an ordinary network card. The name \
         differs from the host's because each end is named in its own sandbox.",
    )
}

fn address(engine: &ContainerInspectResponse, inside: &Report) -> Step {
    let given = view::endpoints(engine)
        .get(DEFAULT_BRIDGE)
        .and_then(|endpoint| {
            let prefix = endpoint.ip_prefix_len?;
            endpoint
                .ip_address
                .as_ref()
                .map(|address| format!("{address}/{prefix}"))
        });
    let given = view::or_none(given);
    let seen: Vec<String> = view::ipv4_addresses(inside)
        .iter()
        .map(ToString::to_string)
        .collect();
    Step::asks("What is the IP address of the container?")
        .by_hand(&[
            "docker inspect -f '{{.NetworkSettings.Networks.bridge.IPAddress}}' lab-plain",
            "docker exec lab-plain ip -4 addr",
        ])
        .saw(ENGINE, [format!("IPAddress {given}")])
        .saw(inside_of("plain"), seen.clone())
        .answer(format!(
            "`{given}`: the engine's record and the kernel inside agree."
        ))
        .same("address inside", &given, seen.join(", "))
        .means(
            "The number after the slash says how much of the address is the network's: with /16 \
             the first two numbers are shared by all its containers, the rest is the container's \
             own.",
        )
}

fn default_gateway(engine: &ContainerInspectResponse, inside: &Report) -> Step {
    let given = view::or_none(view::gateway(engine, DEFAULT_BRIDGE));
    let seen = view::or_none(inside.default_gateway());
    Step::asks(
        "Using the `route` command, what is the default gateway that the container uses to reach \
         the internet?",
    )
    .by_hand(&["docker exec lab-plain route -n"])
    .saw(inside_of("plain"), show::routes(inside))
    .saw(ENGINE, [format!("Gateway {given}")])
    .answer(format!(
        "`{seen}`: everything that isn't on the container's own network goes there."
    ))
    .same("default route", &given, &seen)
    .means(
        "The default gateway is the next stop for every packet whose destination isn't a \
         neighbour. Whoever owns that address carries the container's traffic outward.",
    )
}

fn gateway_is_the_bridge(
    inside: &Report,
    host: &Report,
    bridge: &NetworkInspect,
    rules: &Report,
) -> Step {
    let gateway = inside.default_gateway();
    let owner = gateway.and_then(|gateway| host.interface_of(gateway));
    let expected = view::or_none(view::bridge_name(bridge));
    let owner_name = view::or_none(owner.map(|owner| &owner.name));
    let gateway = view::or_none(gateway);
    let step = Step::asks(
        "Provide evidence that the container's default gateway is the address of the default \
         bridge network on the host.",
    )
    .by_hand(&[
        "ip -4 addr show docker0",
        "docker network inspect -f '{{json .IPAM.Config}}' bridge",
        "iptables -t nat -S POSTROUTING   # as root",
    ])
    .saw(inside_of("plain"), [format!("default via {gateway}")])
    .saw(HOST, owner.map(show::interface))
    .saw(ENGINE, [show::network(bridge)])
    .masqueraded(rules, bridge)
    .answer(format!(
        "`{gateway}` is the address of `{owner_name}`, the bridge on the host."
    ))
    .same(
        "owner of the gateway's address on the host",
        &expected,
        &owner_name,
    )
    .same(
        "kind",
        "bridge",
        view::or_none(owner.and_then(|owner| owner.kind.as_ref())),
    )
    .means(
        "The host itself is the container's router: it takes packets from the bridge, puts its \
         own address on them (masquerading) and sends them on. Replies come back the same way. The \
         rule for that is in the host's NAT table: it takes what comes from the bridge's subnet \
         and leaves by any other interface.",
    );
    // The engine's record of the default bridge may lack the gateway.
    match view::network_gateway(bridge) {
        Some(recorded) => step.same("gateway in the network's record", recorded, &gateway),
        None => step,
    }
}

fn dns_servers(inside: &Report, host: &Report) -> Step {
    let servers = show::list(&inside.resolver.nameservers);
    let stub = host.resolver.nameservers.iter().all(IpAddr::is_loopback);
    let compared = if stub {
        "The host itself asks a server on its loopback address, which a container can't reach; \
         Docker hands it servers that it can."
    } else {
        "They are the host's."
    };
    Step::asks(
        "What are the addresses of the DNS servers that the container uses to resolve names? \
         Provide evidence that they are identical to the host's.",
    )
    .by_hand(&[
        "docker exec lab-plain cat /etc/resolv.conf",
        "cat /etc/resolv.conf",
    ])
    .saw(inside_of("plain"), show::resolver(&inside.resolver))
    .saw(HOST, show::resolver(&host.resolver))
    .answer(format!("`{servers}`. {compared}"))
    .copied_servers(inside, host)
    .means(
        "On the default bridge the container receives a copy of the host's list of DNS servers, \
         so it asks the same servers as the host does. Servers on a loopback address (127.…) are \
         left out of the copy, since inside the container that address is the container itself.",
    )
}

fn new_network(created: &NetworkInspect, bridge: &NetworkInspect) -> Step {
    let subnet = view::subnets(created).first().copied();
    let apart = subnet.is_some_and(|subnet| {
        view::subnets(bridge)
            .iter()
            .all(|other| !other.contains(&subnet) && !subnet.contains(other))
    });
    Step::asks("Create a new bridge network and connect the running container to it.")
        .by_hand(&[
            "docker network create --driver bridge lab-net",
            "docker network connect lab-net lab-plain",
        ])
        .saw(ENGINE, [show::network(created), show::network(bridge)])
        .answer(format!(
            "Docker made the network, chose the free subnet `{}` for it and plugged the container \
             in while it ran.",
            view::or_none(subnet)
        ))
        .same("driver", "bridge", view::or_none(created.driver.as_ref()))
        .check(
            "a subnet apart from the default bridge's",
            view::or_none(subnet),
            apart,
        )
        .means(
            "Each bridge network is a switch of its own with its own range of addresses. A \
             container can be plugged into several, at any time, without a restart.",
        )
}

fn connected(engine: &ContainerInspectResponse, inside: &Report, created: &NetworkInspect) -> Step {
    let name = created.name.clone().unwrap_or_default();
    let address = view::address(engine, &name);
    let interface = address.and_then(|address| inside.interface_of(address));
    let listed = created
        .containers
        .iter()
        .flatten()
        .any(|(id, _)| Some(id.as_str()) == engine.id.as_deref());
    let members = created.containers.iter().flatten().map(|(_, endpoint)| {
        format!(
            "Containers: {} {}",
            endpoint.name.as_deref().unwrap_or("?"),
            endpoint.ipv4_address.as_deref().unwrap_or("?")
        )
    });
    Step::asks(
        "Provide evidence that the container has been connected successfully to the created \
         network.",
    )
    .by_hand(&[
        "docker network inspect -f '{{json .Containers}}' lab-net",
        "docker exec lab-plain ip addr",
    ])
    .saw(ENGINE, members)
    .saw(inside_of("plain"), show::interfaces(inside))
    .answer(format!(
        "The network lists the container, and inside a second interface `{}` has appeared with \
         the new address `{}`.",
        view::or_none(interface.map(|interface| &interface.name)),
        view::or_none(address)
    ))
    .check(
        "the network lists the container",
        if listed { "listed" } else { "not listed" },
        listed,
    )
    .check(
        "the new address is on an interface inside",
        view::or_none(interface.map(show::interface)),
        interface.is_some(),
    )
    .same("addresses inside", 2, view::ipv4_addresses(inside).len())
    .means(
        "Connecting made a second cable (veth): one end in the container, the other in the new \
         bridge. The first network is still there, so the container now stands in both.",
    )
}

fn ping_both(engine: &ContainerInspectResponse, host: &Report, addresses: &[IpAddr]) -> Step {
    let endpoints = view::endpoints(engine);
    let step = Step::asks("From the host, ping the container at both of its addresses.")
        .by_hand(&[
            "for ip in $(docker inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}} \
             {{end}}' lab-plain); do ping -c 1 $ip; done",
        ])
        .saw(
            ENGINE,
            endpoints
                .iter()
                .map(|(name, endpoint)| show::endpoint(name, endpoint)),
        )
        .saw(HOST, host.pinged.iter().flat_map(show::ping))
        .means(
            "The host has an address on every bridge (it is the gateway), so it is a neighbour of \
             the container on both networks and needs no published port to reach it.",
        );
    let mut echoes = host.pinged.iter();
    if let Some(error) = echoes.find_map(|echo| view::icmp_unavailable(&echo.attempts)) {
        return step.skip(format!(
            "the engine doesn't let a container send ICMP: {error}"
        ));
    }
    let answered = host
        .pinged
        .iter()
        .filter(|echo| view::reached(&echo.attempts))
        .count();
    let step = step
        .answer(format!(
            "{answered} of {} addresses answer the host.",
            addresses.len()
        ))
        .same("addresses to ping", 2, addresses.len());
    addresses.iter().fold(step, |step, address| {
        step.answers_ping(host, &address.to_string())
    })
}

fn dns_after(engine: &ContainerInspectResponse, inside: &Report, net: &str) -> Step {
    let servers = show::list(&inside.resolver.nameservers);
    let address = view::address(engine, net);
    let resolution = inside.resolved.first();
    Step::asks(
        "After the container has been connected to a custom bridge network, what is the address \
         of the DNS server it uses? What does it mean?",
    )
    .by_hand(&[
        "docker exec lab-plain cat /etc/resolv.conf",
        "docker exec lab-plain nslookup -type=a lab-plain",
    ])
    .saw(inside_of("plain"), show::resolver(&inside.resolver))
    .saw(inside_of("plain"), resolution.map(show::resolution))
    .answer(format!(
        "`{servers}`: Docker's embedded DNS server, which knows the containers of user-defined \
         networks by name."
    ))
    .same("servers", EMBEDDED_DNS, &servers)
    .same(
        "the container's own name through it",
        view::or_none(address),
        view::or_none(resolution.map(view::resolved)),
    )
    .means(
        "127.0.0.11 is a loopback address, so it exists in this sandbox alone: Docker listens \
         there inside each container. It answers names of containers itself and forwards all \
         others to the host's DNS servers. This is what lets one service find another by name, \
         whatever address it has today.",
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::lesson::Verdict;
    use netcheck::probe::report::{Masquerade, OutInterface};

    fn engine() -> ContainerInspectResponse {
        serde_json::from_value(json!({
            "Id": "c1",
            "NetworkSettings": {"Networks": {
                "bridge": {"IPAddress": "172.17.0.2", "IPPrefixLen": 16, "Gateway": "172.17.0.1"},
                "net": {"IPAddress": "172.18.0.2", "IPPrefixLen": 16, "Gateway": "172.18.0.1"},
            }},
        }))
        .unwrap()
    }

    fn alone() -> ContainerInspectResponse {
        let mut engine = engine();
        let settings = engine.network_settings.as_mut().unwrap();
        settings.networks.as_mut().unwrap().remove("net");
        engine
    }

    fn bridge() -> NetworkInspect {
        serde_json::from_value(json!({
            "Name": "bridge", "Id": "b1", "Driver": "bridge",
            "IPAM": {"Config": [{"Subnet": "172.17.0.0/16", "Gateway": "172.17.0.1"}]},
            "Options": {"com.docker.network.bridge.name": "docker0"},
        }))
        .unwrap()
    }

    fn net() -> NetworkInspect {
        serde_json::from_value(json!({
            "Name": "net", "Id": "0123456789abcdef", "Driver": "bridge",
            "IPAM": {"Config": [{"Subnet": "172.18.0.0/16", "Gateway": "172.18.0.1"}]},
            "Containers": {"c1": {"Name": "plain", "IPv4Address": "172.18.0.2/16"}},
        }))
        .unwrap()
    }

    fn inside() -> Report {
        Report {
            interfaces: vec![
                interface(1, "lo", "loopback", None, Some("127.0.0.1/8")),
                interface(18, "eth0", "veth", Some(19), Some("172.17.0.2/16")),
            ],
            routes: vec![default_route("172.17.0.1")],
            resolver: nameservers(&["192.0.2.53"]),
            ..Report::default()
        }
    }

    fn host() -> Report {
        let mut veth = interface(19, "veth9d2840e", "veth", Some(18), None);
        veth.bridge = Some("docker0".into());
        Report {
            interfaces: vec![
                veth,
                interface(5, "docker0", "bridge", None, Some("172.17.0.1/16")),
            ],
            resolver: nameservers(&["192.0.2.53"]),
            ..Report::default()
        }
    }

    use super::super::fixtures::{default_route, echo, interface, nameservers, resolution};

    #[test]
    fn network_is_the_default_bridge_and_no_other() {
        assert_eq!(network(&alone()).verdict(), Verdict::Passed);
        assert_eq!(network(&engine()).verdict(), Verdict::Failed);
    }

    #[test]
    fn the_host_end_is_found_by_index_and_must_point_back() {
        let step = interface_on_host(&alone(), &inside(), &host(), &bridge());
        assert_eq!(step.verdict(), Verdict::Passed);
        assert!(step.answer.contains("veth9d2840e"));
        let mut crossed = host();
        crossed.interfaces[0].link_index = Some(99);
        let step = interface_on_host(&alone(), &inside(), &crossed, &bridge());
        assert_eq!(step.verdict(), Verdict::Failed);
        let step = interface_on_host(&alone(), &inside(), &Report::default(), &bridge());
        assert_eq!(step.verdict(), Verdict::Failed);
    }

    #[test]
    fn the_inside_bears_the_given_address() {
        assert_eq!(
            interface_inside(&alone(), &inside()).verdict(),
            Verdict::Passed
        );
        assert_eq!(address(&alone(), &inside()).verdict(), Verdict::Passed);
        let mut other = inside();
        other.interfaces[1].addresses = vec!["172.17.0.9/16".parse().unwrap()];
        assert_eq!(
            interface_inside(&alone(), &other).verdict(),
            Verdict::Failed
        );
        assert_eq!(address(&alone(), &other).verdict(), Verdict::Failed);
    }

    fn rules(source: &str, out: &str) -> Report {
        Report {
            masquerading: vec![Masquerade {
                table: "nat".into(),
                chain: "POSTROUTING".into(),
                source: Some(source.parse().unwrap()),
                out: Some(OutInterface {
                    name: out.into(),
                    equal: false,
                }),
            }],
            ..Report::default()
        }
    }

    fn gateway(rules: &Report) -> Step {
        gateway_is_the_bridge(&inside(), &host(), &bridge(), rules)
    }

    #[test]
    fn the_rule_for_masquerading_is_the_bridge_s() {
        let step = gateway(&rules("172.17.0.0/16", "docker0"));
        assert_eq!(step.verdict(), Verdict::Passed);
        let rule = "-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE";
        assert_eq!(step.evidence.last().unwrap().lines, [rule]);
        let step = gateway(&rules("172.17.0.0/16", "br-other"));
        assert_eq!(step.verdict(), Verdict::Failed);
        let unseen = gateway(&rules("172.18.0.0/16", "br-other"));
        assert_eq!(unseen.verdict(), Verdict::Passed);
        assert!(unseen.evidence.last().unwrap().lines[0].contains("not seen here"));
    }

    #[test]
    fn the_gateway_is_the_bridge() {
        assert_eq!(
            default_gateway(&alone(), &inside()).verdict(),
            Verdict::Passed
        );
        let seen = rules("172.17.0.0/16", "docker0");
        assert_eq!(gateway(&seen).verdict(), Verdict::Passed);
        let mut other = inside();
        other.routes = vec![default_route("172.17.0.254")];
        assert_eq!(default_gateway(&alone(), &other).verdict(), Verdict::Failed);
        assert_eq!(
            gateway_is_the_bridge(&other, &host(), &bridge(), &seen).verdict(),
            Verdict::Failed
        );
    }

    #[test]
    fn dns_servers_are_the_host_s_as_far_as_a_container_can_use_them() {
        assert_eq!(dns_servers(&inside(), &host()).verdict(), Verdict::Passed);
        let with = |servers: &[&str]| Report {
            resolver: nameservers(servers),
            ..host()
        };
        let mixed = with(&["192.0.2.53", "127.0.0.1", "2001:db8::53"]);
        assert_eq!(dns_servers(&inside(), &mixed).verdict(), Verdict::Passed);
        let stub = with(&["127.0.0.53"]);
        assert_eq!(dns_servers(&inside(), &stub).verdict(), Verdict::Passed);
        let other = with(&["192.0.2.54"]);
        assert_eq!(dns_servers(&inside(), &other).verdict(), Verdict::Failed);
    }

    #[test]
    fn the_new_network_has_a_subnet_of_its_own() {
        assert_eq!(new_network(&net(), &bridge()).verdict(), Verdict::Passed);
        assert_eq!(new_network(&bridge(), &bridge()).verdict(), Verdict::Failed);
    }

    #[test]
    fn connected_means_listed_and_plugged_in() {
        let mut both = inside();
        both.interfaces.push(interface(
            21,
            "eth1",
            "veth",
            Some(22),
            Some("172.18.0.2/16"),
        ));
        assert_eq!(
            connected(&engine(), &both, &net()).verdict(),
            Verdict::Passed
        );
        assert_eq!(
            connected(&engine(), &inside(), &net()).verdict(),
            Verdict::Failed
        );
        let unlisted = NetworkInspect {
            containers: None,
            ..net()
        };
        assert_eq!(
            connected(&engine(), &both, &unlisted).verdict(),
            Verdict::Failed
        );
    }

    #[test]
    fn both_addresses_must_answer() {
        let addresses = ["172.17.0.2".parse().unwrap(), "172.18.0.2".parse().unwrap()];
        let mut host = host();
        host.pinged = vec![echo("172.17.0.2", None), echo("172.18.0.2", None)];
        let step = ping_both(&engine(), &host, &addresses);
        assert_eq!(step.verdict(), Verdict::Passed);
        let lines = &step.evidence.last().unwrap().lines;
        assert_eq!(
            lines[1],
            "16 bytes from 172.17.0.2: seq=1 ttl=64 time=0.300 ms"
        );
        host.pinged[1] = echo("172.18.0.2", Some("timeout"));
        assert_eq!(
            ping_both(&engine(), &host, &addresses).verdict(),
            Verdict::Failed
        );
        host.pinged[0] = echo("172.17.0.2", Some("EPERM"));
        assert_eq!(
            ping_both(&engine(), &host, &addresses).verdict(),
            Verdict::Skipped
        );
    }

    #[test]
    fn the_embedded_server_answers_after_connecting() {
        let mut inside = inside();
        inside.resolver = nameservers(&["127.0.0.11"]);
        inside.resolved = vec![resolution("plain", &["172.18.0.2"])];
        assert_eq!(
            dns_after(&engine(), &inside, "net").verdict(),
            Verdict::Passed
        );
        inside.resolved = vec![resolution("plain", &[])];
        assert_eq!(
            dns_after(&engine(), &inside, "net").verdict(),
            Verdict::Failed
        );
        inside.resolver = nameservers(&["192.0.2.53"]);
        assert_eq!(
            dns_after(&engine(), &inside, "net").verdict(),
            Verdict::Failed
        );
    }
}
