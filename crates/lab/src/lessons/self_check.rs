//! The eleven questions of the exercise's self-check, one by one.

mod connected;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use engine::api::{ContainerInspectResponse, NetworkInspect};

use super::prelude::*;
use connected::{connected, dns_after, new_network, ping_both};

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
