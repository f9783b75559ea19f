//! Networks: the top-level section, a service's attachments, and what concerns name resolution.

use std::collections::BTreeMap;

use super::external::{check_external, external_and_name};
use super::forms::{address, cidr, is_name};
use crate::cursor::Cursor;
use crate::fields::Fields;
use crate::model::{
    Attachment, ExtraHost, Ipam, IpamPool, Network, NetworkKey, NetworkMode, ServiceName,
};

/// An entry of the top-level `networks`.
pub(super) fn network(key: &str, cursor: &Cursor<'_>) -> Option<Network> {
    if cursor.is_null() {
        return Some(named(format!("{}_{key}", cursor.context.project)));
    }
    let fields = Fields::of(cursor)?;
    let flag = |key| fields.get(key).and_then(|c| c.boolean()).unwrap_or(false);
    let (external, name) = external_and_name(key, &fields);
    let network = Network {
        external,
        driver: fields
            .get("driver")
            .and_then(|c| c.filled())
            .map(str::to_owned),
        driver_opts: fields
            .get("driver_opts")
            .and_then(|c| c.options())
            .unwrap_or_default(),
        internal: flag("internal"),
        attachable: flag("attachable"),
        enable_ipv6: flag("enable_ipv6"),
        ipam: fields.get("ipam").and_then(|c| ipam(&c)),
        labels: fields
            .get("labels")
            .and_then(|c| c.labels())
            .unwrap_or_default(),
        ..named(name)
    };
    check_external(&fields, external);
    fields.finish(&[("enable_ipv4", "networks always have IPv4 addresses")]);
    Some(network)
}

/// A network of the project with the engine's defaults.
pub(crate) fn named(name: String) -> Network {
    Network {
        name,
        external: false,
        driver: None,
        driver_opts: BTreeMap::new(),
        internal: false,
        attachable: false,
        enable_ipv6: false,
        ipam: None,
        labels: BTreeMap::new(),
    }
}

fn ipam(cursor: &Cursor<'_>) -> Option<Ipam> {
    let fields = Fields::of(cursor)?;
    let driver = fields
        .get("driver")
        .and_then(|c| c.filled())
        .map(str::to_owned);
    let pools = fields
        .get("config")
        .and_then(|c| c.items())
        .unwrap_or_default();
    fields.finish(&[]);
    let config = pools.iter().filter_map(|pool| {
        let fields = Fields::of(pool)?;
        let subnet = fields.required("subnet").and_then(|c| cidr(&c));
        let ip_range = fields.get("ip_range").and_then(|c| cidr(&c));
        let gateway = fields.get("gateway").and_then(|c| address(&c, "IP"));
        fields.finish(&[]);
        Some(IpamPool {
            subnet: subnet?,
            ip_range,
            gateway,
        })
    });
    Some(Ipam {
        driver,
        config: config.collect(),
    })
}

/// `networks` of a service: a list of names, or a mapping to settings.
pub(super) fn attachments(cursor: &Cursor<'_>) -> BTreeMap<NetworkKey, Attachment> {
    let mut attachments = BTreeMap::new();
    if cursor.is_list() {
        for item in cursor.items().unwrap_or_default() {
            let Some(name) = item.filled() else { continue };
            let previous = attachments.insert(NetworkKey(name.to_owned()), Attachment::default());
            if previous.is_some() {
                item.problem(format!("the network {name} is in the list already"));
            }
        }
        return attachments;
    }
    if cursor.is_scalar() {
        cursor.expected("a list of networks, or a mapping");
        return attachments;
    }
    for (name, network) in cursor.entries().unwrap_or_default() {
        let attachment = if network.is_null() {
            None
        } else {
            attachment(&network)
        };
        attachments.insert(NetworkKey(name.to_owned()), attachment.unwrap_or_default());
    }
    attachments
}

fn attachment(cursor: &Cursor<'_>) -> Option<Attachment> {
    let fields = Fields::of(cursor)?;
    let attachment = Attachment {
        aliases: fields
            .get("aliases")
            .and_then(|c| c.strings())
            .unwrap_or_default(),
        ipv4_address: fields.get("ipv4_address").and_then(|c| address(&c, "IPv4")),
        ipv6_address: fields.get("ipv6_address").and_then(|c| address(&c, "IPv6")),
    };
    fields.finish(&[]);
    Some(attachment)
}

pub(super) fn network_mode(cursor: &Cursor<'_>) -> Option<NetworkMode> {
    cursor.parse("none, host, bridge or service:NAME", |text| match text {
        "none" => Some(NetworkMode::None),
        "host" => Some(NetworkMode::Host),
        "bridge" => Some(NetworkMode::Bridge),
        _ => {
            let name = text.strip_prefix("service:").filter(|name| is_name(name))?;
            Some(NetworkMode::Service(ServiceName(name.to_owned())))
        }
    })
}

/// `extra_hosts`: a list of `host:address` or `host=address`, or a mapping of hosts to addresses.
pub(super) fn extra_hosts(cursor: &Cursor<'_>) -> Vec<ExtraHost> {
    let mut hosts = Vec::new();
    if cursor.is_list() {
        for item in cursor.items().unwrap_or_default() {
            let split = |text: &str| {
                let (host, address) = split_host(text)?;
                extra_host(host, address)
            };
            hosts.extend(item.parse("host:address", split));
        }
    } else {
        for (host, addresses) in cursor.entries().unwrap_or_default() {
            for address in addresses.one_or_more().unwrap_or_default() {
                let expected = "an IP address or host-gateway";
                hosts.extend(address.parse(expected, |text| extra_host(host, text)));
            }
        }
    }
    hosts
}

/// `host=address`, or `host:address`.
pub(super) fn split_host(text: &str) -> Option<(&str, &str)> {
    text.split_once('=').or_else(|| text.split_once(':'))
}

fn extra_host(host: &str, address: &str) -> Option<ExtraHost> {
    let address = address.trim_start_matches('[').trim_end_matches(']');
    let valid = address == "host-gateway" || address.parse::<std::net::IpAddr>().is_ok();
    (valid && !host.is_empty()).then(|| ExtraHost {
        host: host.to_owned(),
        address: address.to_owned(),
    })
}

/// A key that takes one value or a list of them.
pub(super) fn list_of<T>(
    fields: &Fields<'_>,
    key: &'static str,
    read: impl Fn(&Cursor<'_>) -> Option<T>,
) -> Vec<T> {
    let items = fields
        .get(key)
        .and_then(|cursor| cursor.one_or_more())
        .unwrap_or_default();
    items.iter().filter_map(read).collect()
}
