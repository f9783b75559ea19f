//! The overlay network: one network across machines, shown on two.

mod cable;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use engine::api::NetworkInspect;
use futures_util::future::try_join;
use netcheck::probe::report::Interface;
use serde::Deserialize;
use tokio::time::{Instant, sleep};

use cable::{on_the_cable, smaller_packets};

use super::prelude::*;
use crate::machines::{Machine, packet};
use crate::wire::Packet;

pub(super) const LESSON: Lesson = Lesson {
    name: "overlay",
    title: "The overlay network: one network across machines",
    story: "An overlay network lets containers on different machines talk as if they were on one. \
            The engines form a swarm to agree on names and addresses, and carry the packets \
            inside other packets (VXLAN). The two machines here are containers, with an engine of \
            their own in each and a bridge for the cable between them.",
    needs: &[Need::Machines],
    tidy: &[
        "docker rm -f -v lab-m1 lab-m2",
        "docker network rm lab-cable",
    ],
    teach: |bench, steps| Box::pin(teach(bench, steps)),
};

/// The names in the machines, as by hand.
const OVERLAY: &str = "lab-over";
const ONE: &str = "lab-one";
const TWO: &str = "lab-two";
/// The bridge through which containers on overlay networks reach the outside, which the engine makes with the swarm.
const GATEWAY_BRIDGE: &str = "docker_gwbridge";
/// A machine that has joined, in the words of `docker node ls`.
const READY: &str = "Ready";
/// Until the engines know of both machines, and then of both containers.
const KNOWN_WITHIN: Duration = Duration::from_secs(30);
const TRY_AGAIN: Duration = Duration::from_millis(200);

async fn teach(bench: &Bench<'_>, steps: &mut Vec<Step>) -> Result<()> {
    let cable = bench.network("cable", NetworkSetup::default()).await?;
    let (first, second) = Box::pin(try_join(
        Machine::start(bench, "m1", &cable),
        Machine::start(bench, "m2", &cable),
    ))
    .await?;
    let manager = first.address.to_string();
    first
        .docker(&["swarm", "init", "--advertise-addr", &manager])
        .await?;
    let token = first
        .docker(&["swarm", "join-token", "--quiet", "worker"])
        .await?;
    let manager = format!("{manager}:2377");
    second
        .docker(&["swarm", "join", "--token", &token, &manager])
        .await?;
    steps.push(one_swarm(&joined(&first).await?));

    let network = ["network", "create", "--driver", "overlay", "--attachable"];
    first.docker(&[&network[..], &[OVERLAY]].concat()).await?;
    first.serve(ONE, OVERLAY, PORT).await?;
    second.serve(TWO, OVERLAY, PORT).await?;
    let watching = Setup {
        network: Some("host".to_owned()),
        watches: true,
        ..Setup::default()
    };
    let watching = bench.container("watching", watching).await?;
    let inside = talk(&first).await?;
    let is_request =
        |it: &Packet| it.text.starts_with("GET ") && *it.outer.from.ip() == first.address;
    let packet = packet(bench, &watching, is_request).await?;

    let known: NetworkInspect = first.json(&inspecting(OVERLAY)).await?;
    let peers: Peers = first.json(&inspecting(OVERLAY)).await?;
    let gateway: NetworkInspect = first.json(&inspecting(GATEWAY_BRIDGE)).await?;
    let theirs: NetworkInspect = second.json(&inspecting(OVERLAY)).await?;
    let machines = [first.address, second.address].map(IpAddr::from);
    steps.push(network_record(&known, &peers, &machines));
    steps.push(by_name(&inside, address_of(&theirs, TWO)));
    steps.push(on_the_cable(
        &packet,
        &machines,
        vxlan(&known),
        &bench.host(Request::default()).await?,
    ));
    steps.push(two_interfaces(&inside, &known, &gateway));
    steps.push(smaller_packets(
        &inside,
        &known,
        &first.host().await?,
        machines[0],
    ));
    Ok(())
}

fn inspecting(network: &str) -> [&str; 5] {
    ["network", "inspect", "--format", "{{json .}}", network]
}

/// The machines as the manager knows them, as soon as both are ready.
async fn joined(manager: &Machine<'_>) -> Result<Vec<Node>> {
    let until = Instant::now() + KNOWN_WITHIN;
    loop {
        let listed = manager.docker(&["node", "ls", "--format", "{{json .}}"]);
        let nodes = nodes(&listed.await?);
        let ready = nodes.len() == 2 && nodes.iter().all(|it| it.status == READY);
        if ready || Instant::now() > until {
            return Ok(nodes);
        }
        sleep(TRY_AGAIN).await;
    }
}

/// One asks the other, as soon as the engines have told each other of both.
async fn talk(machine: &Machine<'_>) -> Result<Report> {
    let request = Request {
        resolve: vec![TWO.to_owned()],
        get: vec![Resource {
            host: TWO.to_owned(),
            port: PORT,
            path: "/".to_owned(),
        }],
        ..Request::default()
    };
    let until = Instant::now() + KNOWN_WITHIN;
    loop {
        let inside = machine.look(ONE, &request).await?;
        let answered = inside.fetched.iter().any(|it| it.status == Some(200));
        if answered || Instant::now() > until {
            return Ok(inside);
        }
        sleep(TRY_AGAIN).await;
    }
}

/// A line of `docker node ls`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Node {
    hostname: String,
    status: String,
    manager_status: String,
}

fn nodes(listed: &str) -> Vec<Node> {
    let mut nodes: Vec<Node> = listed
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    nodes.sort_by(|one, other| one.hostname.cmp(&other.hostname));
    nodes
}

/// What the engine's record says beside what its API's description has.
#[derive(Debug, Default, Deserialize)]
struct Peers {
    #[serde(rename = "Peers", default)]
    peers: Vec<Peer>,
}

#[derive(Debug, Deserialize)]
struct Peer {
    #[serde(rename = "IP")]
    ip: IpAddr,
}

/// The address that an engine's record of a network has for one of its own containers.
fn address_of(network: &NetworkInspect, container: &str) -> Option<IpAddr> {
    let containers = network.containers.iter().flatten();
    let mut named = containers.filter(|(_, it)| it.name.as_deref() == Some(container));
    let (_, endpoint) = named.next()?;
    let address = endpoint.ipv4_address.as_deref()?;
    address.split('/').next()?.parse().ok()
}

/// The number by which VXLAN tells networks apart.
fn vxlan(network: &NetworkInspect) -> Option<String> {
    network
        .options
        .as_ref()?
        .get("com.docker.network.driver.overlay.vxlanid_list")
        .cloned()
}

fn one_swarm(nodes: &[Node]) -> Step {
    let ready = nodes.iter().filter(|it| it.status == READY).count();
    let leader = nodes.iter().find(|it| it.manager_status == "Leader");
    Step::asks("What makes two machines one swarm?")
        .by_hand(&[
            "docker network create lab-cable",
            "for m in m1 m2; do docker run -d --init --privileged --cgroupns private --name lab-$m --hostname $m \
             --network lab-cable --tmpfs /sock --tmpfs /run:exec -v /var/lib/docker \
             causeway/base-node:local start.sh; done",
            "for m in m1 m2; do until docker exec lab-$m docker version >/dev/null 2>&1; do sleep 1; done; done",
            "docker exec lab-m1 docker swarm init --advertise-addr eth0",
            "docker exec lab-m2 docker swarm join --token \
             $(docker exec lab-m1 docker swarm join-token -q worker) lab-m1:2377",
            "docker exec lab-m1 docker node ls",
        ])
        .saw(
            "the engine of m1",
            nodes
                .iter()
                .map(|it| format!("{} {} {}", it.hostname, it.status, it.manager_status)),
        )
        .answer("The first makes it and is its manager; the second joins with a token that the first gives out.")
        .same("machines that are ready", 2, ready)
        .same(
            "the manager",
            "m1",
            view::or_none(leader.map(|it| &it.hostname)),
        )
        .means(
            "The engines now know each other, by port 2377 for orders to the manager and port 7946 for who is \
             there. Containers notice nothing of it yet.",
        )
}

fn network_record(network: &NetworkInspect, peers: &Peers, machines: &[IpAddr]) -> Step {
    let id = vxlan(network);
    let sorted = |addresses: BTreeSet<IpAddr>| show::list(&Vec::from_iter(addresses));
    let expected = sorted(machines.iter().copied().collect());
    let seen = sorted(peers.peers.iter().map(|it| it.ip).collect());
    Step::asks("How does an overlay network differ in the engine's record?")
        .by_hand(&[
            "docker exec lab-m1 docker network create --driver overlay --attachable lab-over",
            "docker exec lab-m1 docker run -dit --name lab-one --network lab-over busybox",
            "docker exec lab-m2 docker run -dit --name lab-two --network lab-over busybox httpd -f -p 8000",
            "docker exec lab-m1 docker network inspect \
             -f '{{.Driver}} {{.Scope}} {{json .Options}} {{json .Peers}}' lab-over",
        ])
        .saw(
            "the engine of m1",
            [
                show::network(network),
                format!("Scope {}", view::or_none(network.scope.as_ref())),
                format!("VXLAN id {}", view::or_none(id.as_ref())),
                format!("Peers {seen}"),
            ],
        )
        .answer(
            "Its driver is `overlay` and its scope the swarm: every member knows it. It has a \
             VXLAN number by which its packets are told from those of other networks, and the \
             machines that have containers on it for peers.",
        )
        .same("driver", "overlay", view::or_none(network.driver.as_ref()))
        .same("scope", "swarm", view::or_none(network.scope.as_ref()))
        .check("a VXLAN id", view::or_none(id.as_ref()), id.is_some())
        .same("peers", expected, seen)
        .means(
            "A bridge is something in one machine's kernel. This network is an agreement: each machine makes \
             its own part when a container on it needs it, and knows at which machine an address is.",
        )
}

fn by_name(inside: &Report, address: Option<IpAddr>) -> Step {
    let status = inside.fetched.first().and_then(|it| it.status);
    Step::asks("Do containers on two machines find each other by name?")
        .by_hand(&[
            "docker exec lab-m1 docker exec lab-one ping -c 1 lab-two",
            "docker exec lab-m1 docker exec lab-one wget -qO- http://lab-two:8000/  # fails: it has no page, and says 404",
        ])
        .saw(
            "inside lab-one on m1",
            inside.resolved.iter().map(show::resolution),
        )
        .saw(
            "inside lab-one on m1",
            inside.fetched.iter().map(show::fetched),
        )
        .answer("Yes, as on any user-defined network.")
        .leads_to(inside, TWO, address)
        .same("status of the answer", 200, view::or_none(status))
        .means(
            "The members of the swarm tell each other who is where, so the embedded DNS server \
             answers for containers of all machines.",
        )
}

fn two_interfaces(inside: &Report, network: &NetworkInspect, gateway: &NetworkInspect) -> Step {
    let on_overlay = on_overlay(inside, network);
    let way_out = view::or_none(view::network_gateway(gateway));
    Step::asks("Which interfaces does a container on it have, and which way leads out?")
        .by_hand(&[
            "docker exec lab-m1 docker exec lab-one ip addr",
            "docker exec lab-m1 docker exec lab-one ip route",
            "docker exec lab-m1 ip -4 addr show docker_gwbridge",
        ])
        .saw("inside lab-one on m1", show::interfaces(inside))
        .saw("inside lab-one on m1", show::routes(inside))
        .saw("the engine of m1", [show::network(gateway)])
        .answer(format!(
            "One on the overlay (`{}`), and one on `docker_gwbridge`, whose gateway {way_out} is the way out.",
            view::or_none(on_overlay.map(|interface| &interface.name))
        ))
        .check(
            "an address from the overlay's subnet",
            view::or_none(on_overlay.map(show::interface)),
            on_overlay.is_some(),
        )
        .same(
            "default gateway",
            &way_out,
            view::or_none(inside.default_gateway()),
        )
        .same("addresses inside", 2, view::ipv4_addresses(inside).len())
        .means(
            "The overlay itself leads to other containers only. For everything else the engine \
             adds a second cable into a local bridge.",
        )
}

/// The interface that has an address of the network.
fn on_overlay<'a>(inside: &'a Report, network: &NetworkInspect) -> Option<&'a Interface> {
    let subnets = view::subnets(network);
    inside.interfaces.iter().find(|interface| {
        let within = |net: &ipnet::IpNet| subnets.iter().any(|subnet| subnet.contains(&net.addr()));
        interface.addresses.iter().any(within)
    })
}

#[cfg(test)]
mod tests;
