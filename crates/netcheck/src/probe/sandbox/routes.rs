//! The sandbox's routes, asked of the kernel over rtnetlink.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use futures_util::TryStreamExt;
use ipnet::IpNet;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteType,
};
use rtnetlink::{Error, Handle, RouteMessageBuilder};

use super::super::report::{Interface, Route};

/// The unicast routes of the main tables of IPv4 and IPv6.
pub(super) async fn main_tables(
    handle: &Handle,
    interfaces: &[Interface],
) -> Result<Vec<Route>, Error> {
    let mut routes = Vec::new();
    for question in [
        RouteMessageBuilder::<Ipv4Addr>::new().build(),
        RouteMessageBuilder::<Ipv6Addr>::new().build(),
    ] {
        let messages: Vec<RouteMessage> =
            handle.route().get(question).execute().try_collect().await?;
        routes.extend(
            messages
                .iter()
                .filter_map(|message| route(message, interfaces)),
        );
    }
    Ok(routes)
}

fn route(message: &RouteMessage, interfaces: &[Interface]) -> Option<Route> {
    let header = &message.header;
    let mut table = u32::from(header.table);
    let mut destination = match header.address_family {
        AddressFamily::Inet => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        _ => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let (mut gateway, mut interface, mut source, mut metric) = (None, None, None, None);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Table(id) => table = *id,
            RouteAttribute::Destination(to) => destination = address(to)?,
            RouteAttribute::Gateway(via) => gateway = address(via),
            RouteAttribute::PrefSource(from) => source = address(from),
            RouteAttribute::Priority(priority) => metric = Some(*priority),
            RouteAttribute::Oif(index) => {
                let found = interfaces
                    .iter()
                    .find(|interface| interface.index == *index);
                interface = found.map(|interface| interface.name.clone());
            }
            _ => {}
        }
    }
    let ours = table == u32::from(RouteHeader::RT_TABLE_MAIN) && header.kind == RouteType::Unicast;
    let destination = IpNet::new(destination, header.destination_prefix_length).ok()?;
    ours.then_some(Route {
        destination,
        gateway,
        interface,
        source,
        metric,
    })
}

fn address(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some(IpAddr::V4(*address)),
        RouteAddress::Inet6(address) => Some(IpAddr::V6(*address)),
        _ => None,
    }
}
