//! What goes over the wire between two machines: the packets of an overlay network (VXLAN), taken apart.
//!
//! A frame is Ethernet, IPv4 and UDP between the machines; eight bytes of VXLAN (RFC 7348 §5); then the whole
//! frame that a container sent. Headers: RFC 791 §3.1, RFC 768, RFC 9293 §3.1.

use std::net::{Ipv4Addr, SocketAddrV4};

use serde::{Deserialize, Serialize};

/// The port of VXLAN (RFC 7348 §5), which Docker takes too.
pub(super) const PORT: u16 = 4789;
/// What VXLAN adds to a packet: IPv4, UDP, VXLAN, and the Ethernet header of the frame inside.
pub(super) const OVERHEAD: u32 = 20 + 8 + 8 + 14;

const ETHERNET: usize = 14;
const TCP: u8 = 6;
const UDP: u8 = 17;
/// Text of a packet that is shown.
const SHOWN: usize = 60;

/// A container's TCP segment on its way from machine to machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Packet {
    /// The host's interface that it was seen on, by index.
    pub(super) interface: u32,
    /// Between the machines.
    pub(super) outer: Journey,
    /// The header between the two, eight bytes.
    pub(super) header: [u8; 8],
    /// The network's number (VNI), which that header holds.
    pub(super) vni: u32,
    /// Hardware addresses of the frame inside: from, to.
    pub(super) frame: [String; 2],
    /// Between the containers.
    pub(super) inner: Journey,
    /// The first line that the segment carries; empty where it carries none.
    pub(super) text: String,
}

/// From where to where a packet goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Journey {
    pub(super) from: SocketAddrV4,
    pub(super) to: SocketAddrV4,
    /// Bytes of the whole IP packet.
    pub(super) bytes: u16,
}

impl Packet {
    /// The packet in a frame, if it is VXLAN around a TCP segment.
    pub(super) fn parse(interface: u32, frame: &[u8]) -> Option<Self> {
        let (outer, datagram) = Ip::parse(frame)?;
        let outer_journey = outer.journey(datagram)?;
        if outer.protocol != UDP || outer_journey.to.port() != PORT {
            return None;
        }
        let (&header, carried) = datagram.get(8..)?.split_first_chunk::<8>()?;
        let [0x08, _, _, _, high, middle, low, _] = header else {
            return None;
        };
        let (inner, segment) = Ip::parse(carried)?;
        if inner.protocol != TCP {
            return None;
        }
        let words = usize::from(segment.get(12)? >> 4);
        let (to, from) = (carried.get(..6)?, carried.get(6..12)?);
        Some(Self {
            interface,
            outer: outer_journey,
            header,
            vni: u32::from_be_bytes([0, high, middle, low]),
            frame: [from, to].map(hardware_address),
            inner: inner.journey(segment)?,
            text: first_line(segment.get(words * 4..)?),
        })
    }
}

struct Ip {
    protocol: u8,
    from: Ipv4Addr,
    to: Ipv4Addr,
    bytes: u16,
}

impl Ip {
    /// The IPv4 packet in an Ethernet frame, and what it carries.
    fn parse(frame: &[u8]) -> Option<(Self, &[u8])> {
        let packet = frame.get(ETHERNET..)?;
        let is_ipv4 = frame.get(12..ETHERNET)? == [0x08, 0x00] && packet.first()? >> 4 == 4;
        let head = usize::from(packet.first()? & 0x0f) * 4;
        let bytes = u16::from_be_bytes(*packet.get(2..)?.first_chunk()?);
        let address = |at: usize| packet.get(at..)?.first_chunk().copied().map(Ipv4Addr::from);
        let ip = Self {
            protocol: *packet.get(9)?,
            from: address(12)?,
            to: address(16)?,
            bytes,
        };
        // Short frames are padded; a long one may have been cut off.
        let end = packet.len().min(usize::from(bytes));
        let carried = packet.get(head..end)?;
        is_ipv4.then_some((ip, carried))
    }

    /// With the ports, which TCP and UDP have at the same place.
    fn journey(&self, carried: &[u8]) -> Option<Journey> {
        let port = |at: usize| {
            carried
                .get(at..)?
                .first_chunk()
                .copied()
                .map(u16::from_be_bytes)
        };
        Some(Journey {
            from: SocketAddrV4::new(self.from, port(0)?),
            to: SocketAddrV4::new(self.to, port(2)?),
            bytes: self.bytes,
        })
    }
}

fn hardware_address(bytes: &[u8]) -> String {
    let pairs: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    pairs.join(":")
}

fn first_line(payload: &[u8]) -> String {
    let text = String::from_utf8_lossy(payload.get(..SHOWN).unwrap_or(payload));
    text.lines().next().unwrap_or_default().to_owned()
}

/// Sees the frames of every interface of its network namespace.
#[cfg(target_os = "linux")]
pub(super) struct Watch(std::os::fd::OwnedFd);

#[cfg(target_os = "linux")]
impl Watch {
    /// Takes `CAP_NET_RAW`. Bound to no interface, the socket has the frames of all (packet(7)).
    pub(super) fn open() -> nix::Result<Self> {
        use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};

        let flags = SockFlag::SOCK_CLOEXEC;
        let protocol = SockProtocol::EthAll;
        socket(AddressFamily::Packet, SockType::Raw, flags, protocol).map(Self)
    }

    /// Tells every packet of an overlay network, as a line of JSON, in a thread of its own.
    pub(super) fn tell(self, mut tell: impl FnMut(&str) + Send + 'static) {
        use std::os::fd::AsRawFd;

        use nix::sys::socket::{LinkAddr, recvfrom};

        std::thread::spawn(move || {
            let mut frame = [0; 2048];
            while let Ok((length, from)) = recvfrom::<LinkAddr>(self.0.as_raw_fd(), &mut frame) {
                let index = from.and_then(|it| u32::try_from(it.ifindex()).ok());
                let seen = frame.get(..length).unwrap_or_default();
                let packet = Packet::parse(index.unwrap_or_default(), seen);
                if let Some(line) = packet.and_then(|it| serde_json::to_string(&it).ok()) {
                    tell(&line);
                }
            }
        });
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn ip(protocol: u8, from: [u8; 4], to: [u8; 4], carried: &[u8]) -> Vec<u8> {
        let length = u16::try_from(20 + carried.len()).unwrap().to_be_bytes();
        let mut packet = vec![
            0x45, 0, length[0], length[1], 0, 0, 0, 0, 64, protocol, 0, 0,
        ];
        packet.extend(from.iter().chain(&to).chain(carried));
        packet
    }

    fn ethernet(packet: &[u8]) -> Vec<u8> {
        let (to, from) = ([2, 0x42, 10, 0, 1, 7], [2, 0x42, 10, 0, 1, 5]);
        [&to[..], &from[..], &[8, 0], packet].concat()
    }

    /// `text` from a container to another, on its way between their machines.
    pub(crate) fn frame(text: &str) -> Vec<u8> {
        let mut segment = vec![
            0x9c, 0x40, 0x1f, 0x40, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18, 1, 0,
        ];
        segment.extend([0; 4]);
        segment.extend(text.bytes());
        let inner = ethernet(&ip(TCP, [10, 0, 1, 5], [10, 0, 1, 7], &segment));
        let vxlan = [8, 0, 0, 0, 0, 0x10, 1, 0];
        let length = u16::try_from(16 + inner.len()).unwrap().to_be_bytes();
        let udp = [0xd4, 0x31, 0x12, 0xb5, length[0], length[1], 0, 0];
        let datagram = [&udp[..], &vxlan, &inner].concat();
        ethernet(&ip(UDP, [172, 18, 0, 2], [172, 18, 0, 3], &datagram))
    }

    #[test]
    fn both_journeys_and_the_number_are_found() {
        let packet = Packet::parse(7, &frame("GET / HTTP/1.1\r\nHost: two\r\n")).unwrap();
        assert_eq!(packet.vni, 4097);
        assert_eq!(packet.outer.from.to_string(), "172.18.0.2:54321");
        assert_eq!(packet.outer.to.to_string(), "172.18.0.3:4789");
        assert_eq!(packet.inner.from.to_string(), "10.0.1.5:40000");
        assert_eq!(packet.inner.to.to_string(), "10.0.1.7:8000");
        assert_eq!(packet.frame, ["02:42:0a:00:01:05", "02:42:0a:00:01:07"]);
        assert_eq!(packet.text, "GET / HTTP/1.1");
        let added = packet.outer.bytes - packet.inner.bytes;
        assert_eq!(u32::from(added), OVERHEAD);
        let line = serde_json::to_string(&packet).unwrap();
        assert_eq!(serde_json::from_str::<Packet>(&line).unwrap(), packet);
    }

    #[test]
    fn other_frames_are_none_and_no_length_is_believed() {
        let whole = frame("GET / HTTP/1.1\r\n");
        let head = whole.len() - "GET / HTTP/1.1\r\n".len();
        for end in 0..head {
            assert_eq!(Packet::parse(1, &whole[..end]), None, "{end}");
        }
        let mut other = whole.clone();
        other[36] = 0;
        assert_eq!(Packet::parse(1, &other), None, "another port");
        let mut other = whole;
        other[42] = 0;
        assert_eq!(Packet::parse(1, &other), None, "no number in it");
    }
}
