//! Which packets the host puts its own address on, from the rules that the kernel has: those of
//! `nf_tables`, into which `iptables` writes too, unless it is the legacy one. Reading them takes
//! `CAP_NET_ADMIN`.
//!
//! The messages are those of netlink(7) with the types of `linux/netfilter/nf_tables.h`.

use std::ffi::CStr;
use std::io;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use rustix::net::netlink::{NETFILTER, SocketAddrNetlink};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, connect, recv, send, socket_with,
};

use super::super::report::{Masquerade, OutInterface};

const REQUEST_ALL: u16 = 0x301; // NLM_F_REQUEST | NLM_F_DUMP
const ERROR: u16 = 2;
const DONE: u16 = 3;
const GET_RULE: u16 = 10 << 8 | 7; // NFNL_SUBSYS_NFTABLES, NFT_MSG_GETRULE
const NEW_RULE: u16 = 10 << 8 | 6;
const IPV4: u8 = 2; // NFPROTO_IPV4

/// Of a message: length, type, flags, sequence, port.
const HEADER: usize = 16;
/// Family, version and resource, before the attributes.
const NFGENMSG: usize = 4;
/// The largest part of a dump that the kernel sends at once.
const PART: usize = 64 * 1024;

/// The rules for IPv4 that masquerade.
pub(super) fn ipv4() -> io::Result<Vec<Masquerade>> {
    let socket = socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        Some(NETFILTER),
    )?;
    connect(&socket, &SocketAddrNetlink::new(0, 0))?;
    send(&socket, &request(), SendFlags::empty())?;
    let mut rules = Vec::new();
    let mut part = vec![0; PART];
    loop {
        let (length, _) = recv(&socket, &mut part, RecvFlags::empty())?;
        if length == 0 || !take_rules(&part[..length], &mut rules)? {
            return Ok(rules);
        }
    }
}

fn request() -> Vec<u8> {
    let mut request = Vec::with_capacity(HEADER + NFGENMSG);
    request.extend(u32::to_ne_bytes(20));
    request.extend(GET_RULE.to_ne_bytes());
    request.extend(REQUEST_ALL.to_ne_bytes());
    request.extend([0; 8]);
    request.extend([IPV4, 0, 0, 0]);
    request
}

/// Takes the rules from a part of a dump; whether more is to come.
fn take_rules(mut part: &[u8], rules: &mut Vec<Masquerade>) -> io::Result<bool> {
    let broken = || io::Error::from(io::ErrorKind::InvalidData);
    while !part.is_empty() {
        let length = u32_at(part, 0).ok_or_else(broken)? as usize;
        let kind = u16_at(part, 4).ok_or_else(broken)?;
        let content = part.get(HEADER..length).ok_or_else(broken)?;
        match kind {
            DONE => return Ok(false),
            ERROR => {
                let code = content.first_chunk().ok_or_else(broken)?;
                return Err(io::Error::from_raw_os_error(-i32::from_ne_bytes(*code)));
            }
            NEW_RULE => rules.extend(content.get(NFGENMSG..).and_then(rule)),
            _ => {}
        }
        part = part.get(aligned(length)..).unwrap_or_default();
    }
    Ok(true)
}

/// A rule, if it masquerades. What else it asks of a packet isn't told.
fn rule(attributes: &[u8]) -> Option<Masquerade> {
    let mut found = Masquerade {
        table: text(find(attributes, 1)?)?,
        chain: text(find(attributes, 2)?)?,
        source: None,
        out: None,
    };
    let mut masquerades = false;
    let mut loaded = Loaded::Other;
    let mut mask = None;
    for (_, expression) in Attributes(find(attributes, 4)?) {
        let data = find(expression, 2).unwrap_or_default();
        match text(find(expression, 1)?)?.as_str() {
            "meta" => {
                const OUT_NAME: u32 = 7; // NFT_META_OIFNAME
                loaded = match be32(find(data, 2)?)? {
                    OUT_NAME => Loaded::OutName,
                    _ => Loaded::Other,
                };
            }
            "payload" => {
                const NETWORK_HEADER: u32 = 1;
                const SOURCE: u32 = 12; // its place in the header (RFC 791 §3.1)
                let place = (be32(find(data, 2)?)?, be32(find(data, 3)?)?);
                loaded = match place {
                    (NETWORK_HEADER, SOURCE) => Loaded::Source,
                    _ => Loaded::Other,
                };
                mask = None;
            }
            "bitwise" => mask = find(data, 4).and_then(|mask| find(mask, 1)),
            "cmp" => {
                let equal = be32(find(data, 2)?)? == 0;
                let value = find(find(data, 3)?, 1)?;
                match loaded {
                    Loaded::OutName => {
                        let name = text(value)?;
                        found.out = Some(OutInterface { name, equal });
                    }
                    Loaded::Source if equal => found.source = network(value, mask).map(Into::into),
                    Loaded::Source | Loaded::Other => {}
                }
            }
            "masq" => masquerades = true,
            "target" => masquerades |= text(find(data, 1)?)? == "MASQUERADE",
            _ => {}
        }
    }
    masquerades.then_some(found)
}

/// What the last expression has loaded, for the next to compare.
#[derive(Clone, Copy)]
enum Loaded {
    OutName,
    Source,
    Other,
}

/// The first bytes of an address, of which a mask may take some bits only.
fn network(value: &[u8], mask: Option<&[u8]>) -> Option<Ipv4Net> {
    let octets = |bytes: &[u8]| {
        let mut octets = [0; 4];
        octets.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Ipv4Addr::from(octets))
    };
    let mask = match mask {
        Some(mask) => octets(mask)?,
        None => octets(&vec![0xff; value.len()])?,
    };
    Ipv4Net::with_netmask(octets(value)?, mask).ok()
}

/// Attributes in a row (netlink(7), `struct nlattr`): their type and content.
struct Attributes<'a>(&'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        const TYPE: u16 = 0x3fff; // without the flags
        let length = usize::from(u16_at(self.0, 0)?);
        let kind = u16_at(self.0, 2)? & TYPE;
        let content = self.0.get(4..length)?;
        self.0 = self.0.get(aligned(length)..).unwrap_or_default();
        Some((kind, content))
    }
}

fn find(attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    Attributes(attributes).find_map(|(kind, content)| (kind == wanted).then_some(content))
}

fn text(content: &[u8]) -> Option<String> {
    let text = CStr::from_bytes_until_nul(content).map_or(content, CStr::to_bytes);
    String::from_utf8(text.to_vec()).ok()
}

fn be32(content: &[u8]) -> Option<u32> {
    content.first_chunk().copied().map(u32::from_be_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..)?
        .first_chunk()
        .copied()
        .map(u32::from_ne_bytes)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes
        .get(at..)?
        .first_chunk()
        .copied()
        .map(u16::from_ne_bytes)
}

const fn aligned(length: usize) -> usize {
    length.next_multiple_of(4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(4 + content.len()).unwrap();
        let mut out = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
        out.extend(content);
        out.resize(out.len().next_multiple_of(4), 0);
        out
    }

    fn expression(name: &str, data: &[Vec<u8>]) -> Vec<u8> {
        let name = attribute(1, format!("{name}\0").as_bytes());
        attribute(1, &[name, attribute(2, &data.concat())].concat())
    }

    fn number(kind: u16, value: u32) -> Vec<u8> {
        attribute(kind, &value.to_be_bytes())
    }

    fn data(kind: u16, value: &[u8]) -> Vec<u8> {
        attribute(kind, &attribute(1, value))
    }

    /// `-s 172.17.0.0/16 ! -o docker0`, and what becomes of such packets.
    fn rule_that(ends: Vec<u8>, source: [Vec<u8>; 2]) -> Vec<u8> {
        let meta = expression("meta", &[number(1, 1), number(2, 7)]);
        let name = expression("cmp", &[number(1, 1), number(2, 1), data(3, b"docker0\0")]);
        let payload = expression(
            "payload",
            &[number(1, 1), number(2, 1), number(3, 12), number(4, 2)],
        );
        let [mask, value] = source;
        let is = expression("cmp", &[number(1, 1), number(2, 0), value]);
        let expressions = [payload, mask, is, meta, name, ends].concat();
        [
            attribute(1, b"nat\0"),
            attribute(2, b"POSTROUTING\0"),
            attribute(4, &expressions),
        ]
        .concat()
    }

    #[test]
    fn rules_of_iptables_and_of_nft_are_read_alike() {
        let whole_bytes = || [Vec::new(), data(3, &[172, 17])];
        let masked = [
            expression("bitwise", &[number(1, 1), data(4, &[255, 255, 0, 0])]),
            data(3, &[172, 17, 0, 0]),
        ];
        let expected = Masquerade {
            table: "nat".into(),
            chain: "POSTROUTING".into(),
            source: Some("172.17.0.0/16".parse().unwrap()),
            out: Some(OutInterface {
                name: "docker0".into(),
                equal: false,
            }),
        };
        let target = |name: &[u8]| expression("target", &[attribute(1, name)]);
        let by_nft = rule_that(expression("masq", &[]), masked);
        assert_eq!(rule(&by_nft).as_ref(), Some(&expected));
        let by_iptables = rule_that(target(b"MASQUERADE\0"), whole_bytes());
        assert_eq!(rule(&by_iptables).as_ref(), Some(&expected));
        assert_eq!(rule(&rule_that(target(b"DNAT\0"), whole_bytes())), None);
    }

    #[test]
    fn what_is_cut_off_is_no_rule_and_no_panic() {
        let whole = rule_that(expression("masq", &[]), [Vec::new(), data(3, &[172, 17])]);
        for end in 0..whole.len() {
            _ = rule(&whole[..end]);
            let mut message = request();
            message.extend(&whole[..end]);
            _ = take_rules(&message, &mut Vec::new());
        }
    }

    #[test]
    fn the_end_and_errors_are_told_apart() {
        let message = |kind: u16, content: &[u8]| {
            let length = u32::try_from(HEADER + content.len()).unwrap();
            let mut out = length.to_ne_bytes().to_vec();
            out.extend(kind.to_ne_bytes());
            out.extend([0; 10]);
            out.extend(content);
            out
        };
        assert!(!take_rules(&message(DONE, &[0; 4]), &mut Vec::new()).unwrap());
        let refused = take_rules(&message(ERROR, &(-1_i32).to_ne_bytes()), &mut Vec::new());
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        let endless = take_rules(&message(NEW_RULE, &[])[..8], &mut Vec::new());
        assert_eq!(endless.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
