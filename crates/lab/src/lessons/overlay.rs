//! The overlay network: one network across machines, shown on two.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use bollard::models::NetworkInspect;
use futures_util::future::try_join;
use netcheck::probe::report::Interface;
use serde::Deserialize;
use tokio::time::{Instant, sleep};

use super::prelude::*;
use crate::machines::Machine;
use crate::wire::{OVERHEAD, Packet};

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
    let packet = bench.packet(&watching, is_request).await?;

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
            "for m in m1 m2; do docker run -d --init --privileged --name lab-$m --hostname $m \
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

fn on_the_cable(
    packet: &Packet,
    machines: &[IpAddr; 2],
    vxlan: Option<String>,
    host: &Report,
) -> Step {
    let Packet { outer, inner, .. } = packet;
    let port = host
        .interfaces
        .iter()
        .find(|it| it.index == packet.interface);
    let bridge = port.and_then(|it| it.bridge.as_deref());
    let header = u64::from_be_bytes(packet.header);
    let [from, to] = &packet.frame;
    let added = u32::from(outer.bytes).saturating_sub(u32::from(inner.bytes));
    Step::asks("What goes over the cable when one sends the other a request?")
        .by_hand(&[
            "timeout 20 tcpdump -nn -c 12 -i any udp port 4789 & sleep 1; \
             docker exec lab-m1 docker exec lab-one ping -c 3 lab-two; wait  # takes root",
        ])
        .saw(
            format!(
                "the host, on {} of bridge {}",
                view::or_none(port.map(|it| &it.name)),
                view::or_none(bridge)
            ),
            [
                format!("IPv4 {} > {}, {} bytes", outer.from.ip(), outer.to.ip(), outer.bytes),
                format!("  UDP {} > {}", outer.from.port(), outer.to.port()),
                format!("    VXLAN {header:016x}: VNI {}", packet.vni),
                format!("      Ethernet {from} > {to}"),
                format!("        IPv4 {} > {}, {} bytes", inner.from.ip(), inner.to.ip(), inner.bytes),
                format!("          TCP {} > {}", inner.from.port(), inner.to.port()),
                format!("            {:?}", packet.text),
            ],
        )
        .answer(format!(
            "A UDP packet from machine to machine, port {}. In it, behind eight bytes that name the network \
             ({}), is the whole frame that the container sent, with the containers' addresses.",
            outer.to.port(),
            packet.vni
        ))
        .same(
            "between the machines",
            show::list(machines),
            show::list(&[(*outer.from.ip()).into(), (*outer.to.ip()).into()]),
        )
        .same("VNI", view::or_none(vxlan), packet.vni)
        .same("a container's port inside", PORT, inner.to.port())
        .same("bytes around it", OVERHEAD, added)
        .check(
            "on a port of the bridge between the machines",
            view::or_none(bridge),
            bridge.is_some(),
        )
        .means(
            "The network in between needs to know nothing of it, but it sees everything: the request can be \
             read. On a cable that isn't yours alone the network wants `--opt encrypted`.",
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

fn smaller_packets(
    inside: &Report,
    network: &NetworkInspect,
    machine: &Report,
    address: IpAddr,
) -> Step {
    let on_overlay = on_overlay(inside, network);
    let on_cable = machine
        .interfaces
        .iter()
        .find(|it| it.addresses.iter().any(|net| net.addr() == address));
    let mtu = |interface: Option<&Interface>| interface.map_or(0, |it| it.mtu);
    let (small, large) = (mtu(on_overlay), mtu(on_cable));
    Step::asks("Why may a container on it send only smaller packets?")
        .by_hand(&[
            "docker exec lab-m1 docker exec lab-one ip link show eth0",
            "docker exec lab-m1 ip link show eth0",
        ])
        .saw("inside lab-one on m1", on_overlay.map(show::interface))
        .saw("machine m1", on_cable.map(show::interface))
        .answer(format!(
            "Its packets have {small} bytes at most, those of the machine {large}: {OVERHEAD} go around each."
        ))
        .check(
            format!("{small} and {OVERHEAD} bytes around it fit into {large}"),
            format!("{}", small + OVERHEAD),
            small > 0 && small + OVERHEAD <= large,
        )
        .means(
            "An engine takes it for granted that 1,500 bytes get from machine to machine. Where a tunnel or a \
             cloud's network lets fewer through, large packets vanish while small ones arrive: connections open, \
             and hang at the first page. Then the network wants `--opt com.docker.network.driver.mtu=…`, less by \
             those bytes.",
        )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::fixtures::{default_route, interface, ip, loopback, resolution};
    use super::*;
    use crate::lesson::Verdict;
    use crate::wire::tests::frame;

    const MACHINES: [&str; 2] = ["172.18.0.2", "172.18.0.3"];

    fn overlay(scope: &str) -> NetworkInspect {
        serde_json::from_value(json!({
            "Name": "lab-over", "Driver": "overlay", "Scope": scope,
            "IPAM": {"Config": [{"Subnet": "10.0.1.0/24", "Gateway": "10.0.1.1"}]},
            "Options": {"com.docker.network.driver.overlay.vxlanid_list": "4097"},
            "Containers": {"2b1c": {"Name": "lab-two", "IPv4Address": "10.0.1.7/24"}},
        }))
        .unwrap()
    }

    fn gateway() -> NetworkInspect {
        serde_json::from_value(json!({
            "Name": "docker_gwbridge", "Driver": "bridge",
            "IPAM": {"Config": [{"Subnet": "172.19.0.0/16", "Gateway": "172.19.0.1"}]},
        }))
        .unwrap()
    }

    /// Inside of a container on the overlay.
    fn inside(mtu: u32, gateway: &str) -> Report {
        let mut own = interface(7, "eth0", "veth", Some(8), Some("10.0.1.5/24"));
        own.mtu = mtu;
        Report {
            interfaces: vec![
                loopback(),
                own,
                interface(9, "eth1", "veth", Some(10), Some("172.19.0.3/16")),
            ],
            routes: vec![default_route(gateway)],
            ..Report::default()
        }
    }

    #[test]
    fn a_machine_that_has_not_joined_is_missed() {
        let listed = |other: &str| {
            let m1 = r#"{"Hostname":"m1","Status":"Ready","ManagerStatus":"Leader"}"#;
            let m2 = format!(r#"{{"Hostname":"m2","Status":"{other}","ManagerStatus":""}}"#);
            one_swarm(&nodes(&format!("{m2}\n{m1}"))).verdict()
        };
        assert_eq!(listed("Ready"), Verdict::Passed);
        assert_eq!(listed("Down"), Verdict::Failed);
    }

    #[test]
    fn the_record_must_be_of_the_swarm_and_know_both_machines() {
        let verdict = |scope: &str, peers: serde_json::Value| {
            let peers = serde_json::from_value(json!({"Peers": peers})).unwrap();
            network_record(&overlay(scope), &peers, &MACHINES.map(ip)).verdict()
        };
        let both = json!([{"Name": "b", "IP": MACHINES[1]}, {"Name": "a", "IP": MACHINES[0]}]);
        assert_eq!(verdict("swarm", both.clone()), Verdict::Passed);
        assert_eq!(verdict("local", both), Verdict::Failed);
        let one = json!([{"Name": "a", "IP": MACHINES[0]}]);
        assert_eq!(verdict("swarm", one), Verdict::Failed);
    }

    #[test]
    fn the_other_must_answer_by_name() {
        let verdict = |status: Option<u16>| {
            let fetched = json!([{
                "host": TWO, "port": PORT, "path": "/", "status": status, "body": "", "error": null,
                "elapsed_us": 1
            }]);
            let report = Report {
                resolved: vec![resolution(TWO, &["10.0.1.7"])],
                fetched: serde_json::from_value(fetched).unwrap(),
                ..Report::default()
            };
            by_name(&report, address_of(&overlay("swarm"), TWO)).verdict()
        };
        assert_eq!(verdict(Some(200)), Verdict::Passed);
        assert_eq!(verdict(None), Verdict::Failed);
    }

    #[test]
    fn the_packet_is_of_this_network_and_between_these_machines() {
        let mut port = interface(7, "veth7", "veth", Some(8), None);
        port.bridge = Some("br-cable".into());
        let host = Report {
            interfaces: vec![port],
            ..Report::default()
        };
        let packet = Packet::parse(7, &frame("GET / HTTP/1.1\r\n")).unwrap();
        let verdict = |machines: [&str; 2], vni: &str, host: &Report| {
            on_the_cable(&packet, &machines.map(ip), Some(vni.to_owned()), host).verdict()
        };
        assert_eq!(verdict(MACHINES, "4097", &host), Verdict::Passed);
        assert_eq!(verdict(MACHINES, "4098", &host), Verdict::Failed);
        let others = ["172.18.0.2", "172.18.0.4"];
        assert_eq!(verdict(others, "4097", &host), Verdict::Failed);
        assert_eq!(
            verdict(MACHINES, "4097", &Report::default()),
            Verdict::Failed
        );
    }

    #[test]
    fn the_way_out_is_the_gateway_bridge() {
        let verdict = |report| two_interfaces(&report, &overlay("swarm"), &gateway()).verdict();
        assert_eq!(verdict(inside(1450, "172.19.0.1")), Verdict::Passed);
        assert_eq!(verdict(inside(1450, "10.0.1.1")), Verdict::Failed);
        let mut cut = inside(1450, "172.19.0.1");
        cut.interfaces.remove(1);
        assert_eq!(verdict(cut), Verdict::Failed);
    }

    #[test]
    fn its_packets_must_leave_room_for_what_goes_around_them() {
        let machine = Report {
            interfaces: vec![interface(5, "eth0", "veth", Some(6), Some("172.18.0.2/16"))],
            ..Report::default()
        };
        let verdict = |mtu| {
            let inside = inside(mtu, "172.19.0.1");
            smaller_packets(&inside, &overlay("swarm"), &machine, ip(MACHINES[0])).verdict()
        };
        assert_eq!(verdict(1450), Verdict::Passed);
        assert_eq!(verdict(1500), Verdict::Failed);
    }
}
