//! The overlay network: one network across machines, on a swarm of one.

use std::net::IpAddr;

use bollard::models::NetworkInspect;

use super::prelude::*;
use crate::swarm;

pub(super) const LESSON: Lesson = Lesson {
    name: "overlay",
    title: "The overlay network: one network across machines",
    story: "An overlay network lets containers on different machines talk as if they were on one. \
            The engines form a swarm to agree on names and addresses, and carry the packets \
            inside other packets (VXLAN). A swarm of one machine is enough to see its parts; that \
            packets cross machines can't be shown on one.",
    needs: &[Need::Swarm],
    tidy: &[
        "docker rm -f lab-one lab-two",
        "docker network rm lab-over",
        "docker swarm leave --force",
        "docker network rm docker_gwbridge",
    ],
    teach: |bench, steps| Box::pin(teach(bench, steps)),
};

async fn teach(bench: &Bench<'_>, steps: &mut Vec<Step>) -> Result<()> {
    bench.join_swarm().await?;
    let setup = NetworkSetup {
        driver: Some("overlay"),
        attachable: true,
        ..NetworkSetup::default()
    };
    let net = bench.network("over", setup).await?;
    let serving = || Setup {
        network: Some(net.clone()),
        http: Some(PORT),
        ..Setup::default()
    };
    let one = bench.container("one", serving()).await?;
    let two = bench.container("two", serving()).await?;
    let network = bench.inspect_network(&net).await?;
    let gateway = bench.inspect_network(swarm::GATEWAY_BRIDGE).await?;
    let engine = bench.inspect(&two).await?;
    let asked = Request {
        resolve: vec![two.name.clone()],
        ..connecting(&[&two.name])
    };
    let inside = bench.look(&one, asked).await?;
    steps.push(network_record(&network));
    steps.push(by_name(&inside, &two.name, view::address(&engine, &net)));
    steps.push(two_interfaces(&inside, &network, &gateway));
    Ok(())
}

/// The numbers by which VXLAN tells networks apart.
fn vxlan(network: &NetworkInspect) -> Option<String> {
    network
        .options
        .as_ref()?
        .get("com.docker.network.driver.overlay.vxlanid_list")
        .cloned()
}

fn network_record(network: &NetworkInspect) -> Step {
    let id = vxlan(network);
    Step::asks("How does an overlay network differ in the engine's record?")
        .by_hand(&[
            "docker swarm init --advertise-addr 127.0.0.1",
            "docker network create --driver overlay --attachable lab-over",
            "docker run -dit --name lab-one --network lab-over busybox",
            "docker run -dit --name lab-two --network lab-over busybox",
            "docker network inspect -f '{{.Driver}} {{.Scope}} {{json .Options}}' lab-over",
        ])
        .saw(
            ENGINE,
            [
                show::network(network),
                format!("Scope {}", view::or_none(network.scope.as_ref())),
                format!("VXLAN id {}", view::or_none(id.as_ref())),
            ],
        )
        .answer(
            "Its driver is `overlay` and its scope the swarm: every member knows it. It has a \
             VXLAN number by which its packets are told from those of other networks.",
        )
        .same("driver", "overlay", view::or_none(network.driver.as_ref()))
        .same("scope", "swarm", view::or_none(network.scope.as_ref()))
        .check("a VXLAN id", view::or_none(id.as_ref()), id.is_some())
        .means(
            "VXLAN puts the packet of a container, addresses and all, into an ordinary UDP packet \
             between two machines (port 4789). The network in between needs to know nothing of it.",
        )
}

fn by_name(inside: &Report, name: &str, address: Option<IpAddr>) -> Step {
    Step::asks("Do containers on it find each other by name?")
        .by_hand(&["docker exec lab-one ping -c 1 lab-two"])
        .saw(
            inside_of("one"),
            inside.resolved.iter().map(show::resolution),
        )
        .saw(
            inside_of("one"),
            inside.connected.iter().map(show::connection),
        )
        .answer("Yes, as on any user-defined network.")
        .leads_to(inside, name, address)
        .reaches(inside, name, "the other by name")
        .means(
            "The members of the swarm tell each other who is where, so the embedded DNS server \
             answers for containers of all machines.",
        )
}

fn two_interfaces(inside: &Report, network: &NetworkInspect, gateway: &NetworkInspect) -> Step {
    let subnets = view::subnets(network);
    let on_overlay = inside.interfaces.iter().find(|interface| {
        let within = |net: &ipnet::IpNet| subnets.iter().any(|subnet| subnet.contains(&net.addr()));
        interface.addresses.iter().any(within)
    });
    let way_out = view::or_none(view::network_gateway(gateway));
    let mtu = on_overlay.map_or(0, |interface| interface.mtu);
    Step::asks("Which interfaces does a container on it have, and which way leads out?")
        .by_hand(&[
            "docker exec lab-one ip addr",
            "docker exec lab-one ip route",
            "ip -4 addr show docker_gwbridge",
        ])
        .saw(inside_of("one"), show::interfaces(inside))
        .saw(inside_of("one"), show::routes(inside))
        .saw(ENGINE, [show::network(gateway)])
        .answer(format!(
            "One on the overlay (`{}`, with packets of at most {mtu} bytes), and one on \
             `docker_gwbridge`, whose gateway {way_out} is the way out.",
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
             adds a second cable into a local bridge. The smaller packets leave room for the 50 \
             bytes that VXLAN wraps around each.",
        )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::fixtures::{connection, default_route, interface, ip, loopback, resolution};
    use super::*;
    use crate::lesson::Verdict;

    fn overlay(scope: &str) -> NetworkInspect {
        serde_json::from_value(json!({
            "Name": "over", "Driver": "overlay", "Scope": scope,
            "IPAM": {"Config": [{"Subnet": "10.0.1.0/24", "Gateway": "10.0.1.1"}]},
            "Options": {"com.docker.network.driver.overlay.vxlanid_list": "4097"},
        }))
        .unwrap()
    }

    fn gateway() -> NetworkInspect {
        serde_json::from_value(json!({
            "Name": "docker_gwbridge", "Driver": "bridge",
            "IPAM": {"Config": [{"Subnet": "172.18.0.0/16", "Gateway": "172.18.0.1"}]},
        }))
        .unwrap()
    }

    #[test]
    fn the_record_must_be_of_the_swarm() {
        assert_eq!(network_record(&overlay("swarm")).verdict(), Verdict::Passed);
        assert_eq!(network_record(&overlay("local")).verdict(), Verdict::Failed);
    }

    #[test]
    fn the_other_must_answer_by_name() {
        let mut inside = Report {
            resolved: vec![resolution("10.0.1.5", &["10.0.1.5"])],
            connected: vec![connection("10.0.1.5", None)],
            ..Report::default()
        };
        let address = Some(ip("10.0.1.5"));
        assert_eq!(
            by_name(&inside, "10.0.1.5", address).verdict(),
            Verdict::Passed
        );
        inside.connected = vec![connection("10.0.1.5", Some("timeout"))];
        assert_eq!(
            by_name(&inside, "10.0.1.5", address).verdict(),
            Verdict::Failed
        );
    }

    #[test]
    fn the_way_out_is_the_gateway_bridge() {
        let inside = |gateway: &str| Report {
            interfaces: vec![
                loopback(),
                interface(7, "eth0", "veth", Some(8), Some("10.0.1.4/24")),
                interface(9, "eth1", "veth", Some(10), Some("172.18.0.3/16")),
            ],
            routes: vec![default_route(gateway)],
            ..Report::default()
        };
        let verdict = |report| two_interfaces(&report, &overlay("swarm"), &gateway()).verdict();
        assert_eq!(verdict(inside("172.18.0.1")), Verdict::Passed);
        assert_eq!(verdict(inside("10.0.1.1")), Verdict::Failed);
        let mut cut = inside("172.18.0.1");
        cut.interfaces.remove(1);
        assert_eq!(verdict(cut), Verdict::Failed);
    }
}
