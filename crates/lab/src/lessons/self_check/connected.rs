//! The questions about the container once it is on a second network.

use std::net::IpAddr;

use engine::api::{ContainerInspectResponse, NetworkInspect};

use crate::lessons::prelude::*;

pub(super) fn new_network(created: &NetworkInspect, bridge: &NetworkInspect) -> Step {
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

pub(super) fn connected(
    engine: &ContainerInspectResponse,
    inside: &Report,
    created: &NetworkInspect,
) -> Step {
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

pub(super) fn ping_both(
    engine: &ContainerInspectResponse,
    host: &Report,
    addresses: &[IpAddr],
) -> Step {
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

pub(super) fn dns_after(engine: &ContainerInspectResponse, inside: &Report, net: &str) -> Step {
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
