//! What goes over the cable between the two machines, and what room it needs there.

use std::net::IpAddr;

use engine::api::NetworkInspect;
use netcheck::probe::report::Interface;

use super::on_overlay;
use crate::lessons::prelude::*;
use crate::wire::{OVERHEAD, Packet};

pub(super) fn on_the_cable(
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

pub(super) fn smaller_packets(
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
