//! Resolves names as the sandbox's own programs would: `/etc/hosts`, then the servers of
//! `/etc/resolv.conf` with its search list. Unlike the C library it keeps what it was told: which
//! server answered, and whether a name doesn't exist or nobody answered.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use super::super::report::{Answer, HostsLine, Resolution, Resolver};
use super::elapsed_us;

const PORT: u16 = 53;
/// An answer over UDP; longer ones come truncated and are asked for over TCP (RFC 1035 §4.2.1).
const LONGEST_DATAGRAM: usize = 4_096;

/// Resolves with what the sandbox is configured to use.
pub(super) struct Names<'a> {
    resolver: &'a Resolver,
    hosts: &'a [HostsLine],
    timeout: Duration,
}

/// One server's answer to one question.
struct Told {
    answer: Answer,
    addresses: Vec<IpAddr>,
    detail: Option<String>,
}

impl Told {
    fn nothing(answer: Answer, detail: Option<String>) -> Self {
        Self {
            answer,
            addresses: Vec::new(),
            detail,
        }
    }
}

impl<'a> Names<'a> {
    /// `timeout` is for the whole resolution of a name.
    pub(super) fn new(resolver: &'a Resolver, hosts: &'a [HostsLine], timeout: Duration) -> Self {
        Self {
            resolver,
            hosts,
            timeout,
        }
    }

    /// All IPv4 and IPv6 addresses of `name`.
    pub(super) async fn resolve(&self, name: &str) -> Resolution {
        let started = Instant::now();
        let resolution = |told: Told, server| Resolution {
            name: name.to_owned(),
            answer: told.answer,
            addresses: told.addresses,
            server,
            detail: told.detail,
            elapsed_us: elapsed_us(started),
        };

        let in_hosts: Vec<IpAddr> = self
            .hosts
            .iter()
            .filter(|line| {
                line.names
                    .iter()
                    .any(|known| known.eq_ignore_ascii_case(name))
            })
            .map(|line| line.address)
            .collect();
        if !in_hosts.is_empty() {
            let told = Told {
                answer: Answer::Found,
                addresses: in_hosts,
                detail: None,
            };
            return resolution(told, None);
        }

        let Some(&first) = self.resolver.nameservers.first() else {
            let why = "/etc/resolv.conf names no server".to_owned();
            return resolution(Told::nothing(Answer::Failed, Some(why)), None);
        };
        match tokio::time::timeout(self.timeout, self.ask_servers(name)).await {
            Ok((told, server)) => resolution(told, Some(server.unwrap_or(first))),
            Err(_) => resolution(Told::nothing(Answer::Timeout, None), Some(first)),
        }
    }

    /// Tries the name's candidates in order; what is said of the first one counts if none is found.
    async fn ask_servers(&self, name: &str) -> (Told, Option<IpAddr>) {
        let mut of_first = None;
        for candidate in self.candidates(name) {
            let candidate = match Name::from_str(&candidate) {
                Ok(candidate) => candidate,
                Err(error) => {
                    let why = format!("not a domain name: {error}");
                    return (Told::nothing(Answer::Failed, Some(why)), None);
                }
            };
            let (told, server) = self.ask_about(&candidate).await;
            if told.answer == Answer::Found {
                return (told, Some(server));
            }
            of_first.get_or_insert((told, Some(server)));
        }
        of_first.unwrap_or_else(|| (Told::nothing(Answer::Failed, None), None))
    }

    /// The absolute names that resolv.conf(5) tries for `name`.
    fn candidates(&self, name: &str) -> Vec<String> {
        if name.ends_with('.') {
            return vec![name.to_owned()];
        }
        let mut candidates: Vec<String> = self
            .resolver
            .search
            .iter()
            .filter(|domain| domain.as_str() != ".")
            .map(|domain| format!("{name}.{}.", domain.trim_end_matches('.')))
            .collect();
        let dots = name.matches('.').count();
        let position = if dots >= self.resolver.ndots() {
            0
        } else {
            candidates.len()
        };
        candidates.insert(position, format!("{name}."));
        candidates
    }

    /// Asks the servers in turn, until one of them has an opinion.
    async fn ask_about(&self, name: &Name) -> (Told, IpAddr) {
        let servers = &self.resolver.nameservers;
        let share = self.timeout / u32::try_from(servers.len()).unwrap_or(u32::MAX).max(1);
        let mut last = (
            Told::nothing(Answer::Failed, None),
            IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        );
        for &server in servers {
            let both = async {
                tokio::join!(
                    ask(server, name, RecordType::A),
                    ask(server, name, RecordType::AAAA)
                )
            };
            let told = match tokio::time::timeout(share, both).await {
                Ok((v4, v6)) => merge(v4, v6),
                Err(_) => Told::nothing(Answer::Timeout, None),
            };
            let decided = matches!(
                told.answer,
                Answer::Found | Answer::NoData | Answer::NxDomain
            );
            last = (told, server);
            if decided {
                break;
            }
        }
        last
    }
}

/// The IPv4 answer decides unless only IPv6 has addresses.
fn merge(v4: io::Result<Told>, v6: io::Result<Told>) -> Told {
    let failed = |error: io::Error| {
        let answer = match error.kind() {
            io::ErrorKind::TimedOut => Answer::Timeout,
            _ => Answer::Failed,
        };
        Told::nothing(answer, Some(error.to_string()))
    };
    let (mut v4, v6) = (v4.unwrap_or_else(failed), v6.unwrap_or_else(failed));
    if v6.answer != Answer::Found {
        return v4;
    }
    if v4.answer != Answer::Found {
        return v6;
    }
    v4.addresses.extend(v6.addresses);
    v4
}

/// One question to one server.
async fn ask(server: IpAddr, name: &Name, kind: RecordType) -> io::Result<Told> {
    let mut question = Message::query();
    question.metadata.recursion_desired = true;
    question.add_query(Query::query(name.clone(), kind));
    let bytes = question.to_vec().map_err(io::Error::other)?;

    let mut answer = over_udp(server, &bytes, question.metadata.id).await?;
    if answer.metadata.truncation {
        answer = over_tcp(server, &bytes).await?;
    }
    let mut addresses: Vec<IpAddr> = answer
        .answers
        .iter()
        .filter_map(|record| match &record.data {
            RData::A(address) => Some(IpAddr::V4(address.0)),
            RData::AAAA(address) => Some(IpAddr::V6(address.0)),
            _ => None,
        })
        .collect();
    addresses.sort();
    addresses.dedup();
    Ok(match answer.metadata.response_code {
        ResponseCode::NoError if addresses.is_empty() => Told::nothing(Answer::NoData, None),
        ResponseCode::NoError => Told {
            answer: Answer::Found,
            addresses,
            detail: None,
        },
        ResponseCode::NXDomain => Told::nothing(Answer::NxDomain, None),
        ResponseCode::ServFail => Told::nothing(Answer::ServFail, None),
        ResponseCode::Refused => Told::nothing(Answer::Refused, None),
        other => Told::nothing(Answer::Failed, Some(other.to_string())),
    })
}

async fn over_udp(server: IpAddr, question: &[u8], id: u16) -> io::Result<Message> {
    let any = match server {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).await?;
    socket.connect(SocketAddr::new(server, PORT)).await?;
    socket.send(question).await?;
    let mut buffer = [0; LONGEST_DATAGRAM];
    loop {
        let length = socket.recv(&mut buffer).await?;
        let datagram = buffer.get(..length).unwrap_or_default();
        // Anything else on this port is a stray and not the answer.
        if let Ok(answer) = Message::from_vec(datagram)
            && answer.metadata.id == id
        {
            return Ok(answer);
        }
    }
}

/// Two bytes of length before each message (RFC 1035 §4.2.2).
async fn over_tcp(server: IpAddr, question: &[u8]) -> io::Result<Message> {
    let mut stream = TcpStream::connect(SocketAddr::new(server, PORT)).await?;
    let length = u16::try_from(question.len()).map_err(io::Error::other)?;
    stream.write_u16(length).await?;
    stream.write_all(question).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await?;
    Message::from_vec(&answer).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_follow_ndots_and_the_search_list() {
        let resolver = |options: &str| Resolver {
            search: vec!["lan".to_owned(), "example.org.".to_owned()],
            options: vec![options.to_owned()],
            ..Resolver::default()
        };
        let candidates = |options, name| {
            Names::new(&resolver(options), &[], Duration::from_secs(1)).candidates(name)
        };
        assert_eq!(
            candidates("ndots:0", "mongo"),
            ["mongo.", "mongo.lan.", "mongo.example.org."]
        );
        assert_eq!(
            candidates("edns0", "mongo"),
            ["mongo.lan.", "mongo.example.org.", "mongo."]
        );
        assert_eq!(candidates("edns0", "a.b")[0], "a.b.");
        assert_eq!(candidates("edns0", "a.b."), ["a.b."]);
    }
}
