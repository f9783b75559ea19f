//! The sandbox's interfaces and addresses, asked of the kernel over rtnetlink.

use std::collections::BTreeMap;

use futures_util::TryStreamExt;
use ipnet::IpNet;
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};
use rtnetlink::packet_route::link::{
    InfoKind, LinkAttribute, LinkInfo, LinkLayerType, LinkMessage,
};
use rtnetlink::{Error, Handle};

use super::super::report::Interface;

/// Opens a netlink socket and serves it in the background.
pub(super) fn handle() -> std::io::Result<Handle> {
    let (connection, handle, _) = rtnetlink::new_connection()?;
    tokio::spawn(connection);
    Ok(handle)
}

/// Every interface with its addresses, by index.
pub(super) async fn all(handle: &Handle) -> Result<Vec<Interface>, Error> {
    let links: Vec<LinkMessage> = handle.link().get().execute().try_collect().await?;
    let addresses: Vec<AddressMessage> = handle.address().get().execute().try_collect().await?;

    let mut bridges: BTreeMap<u32, u32> = BTreeMap::new();
    let mut interfaces: BTreeMap<u32, Interface> = BTreeMap::new();
    for link in links {
        let index = link.header.index;
        if let Some(bridge) = link
            .attributes
            .iter()
            .find_map(|attribute| match attribute {
                LinkAttribute::Controller(bridge) => Some(*bridge),
                _ => None,
            })
        {
            bridges.insert(index, bridge);
        }
        interfaces.insert(index, interface(link));
    }
    for message in addresses {
        if let Some(interface) = interfaces.get_mut(&message.header.index) {
            interface.addresses.extend(address(&message));
        }
    }
    for (port, bridge) in bridges {
        let Some(port_name) = interfaces
            .get(&port)
            .map(|interface| interface.name.clone())
        else {
            continue;
        };
        let Some(bridge) = interfaces.get_mut(&bridge) else {
            continue;
        };
        bridge.ports.push(port_name);
        let bridge = bridge.name.clone();
        if let Some(port) = interfaces.get_mut(&port) {
            port.bridge = Some(bridge);
        }
    }
    Ok(interfaces.into_values().collect())
}

fn interface(link: LinkMessage) -> Interface {
    let mut interface = Interface {
        index: link.header.index,
        ..Interface::default()
    };
    for attribute in link.attributes {
        match attribute {
            LinkAttribute::IfName(name) => interface.name = name,
            LinkAttribute::Address(bytes) if !bytes.is_empty() => {
                let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                interface.mac = Some(hex.join(":"));
            }
            LinkAttribute::Mtu(mtu) => interface.mtu = mtu,
            LinkAttribute::OperState(state) => interface.state = state.to_string(),
            LinkAttribute::Link(index) => interface.link_index = Some(index),
            LinkAttribute::LinkInfo(info) => {
                interface.kind = info.iter().find_map(|info| match info {
                    LinkInfo::Kind(InfoKind::Other(kind)) => Some(kind.clone()),
                    LinkInfo::Kind(kind) => Some(kind.to_string()),
                    _ => None,
                });
            }
            _ => {}
        }
    }
    if link.header.link_layer_type == LinkLayerType::Loopback {
        interface.kind = Some("loopback".to_owned());
    }
    interface
}

/// `IFA_LOCAL` is the interface's own address; `IFA_ADDRESS` is the peer's on point-to-point
/// links and the same elsewhere (rtnetlink(7)).
fn address(message: &AddressMessage) -> Option<IpNet> {
    let mut own = None;
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(address) => own = Some(*address),
            AddressAttribute::Address(address) => own = own.or(Some(*address)),
            _ => {}
        }
    }
    IpNet::new(own?, message.header.prefix_len).ok()
}
