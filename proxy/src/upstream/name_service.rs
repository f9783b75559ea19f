//! Where a name is looked up: in `/etc/hosts`, then by the name servers of `/etc/resolv.conf`.
//!
//! The rules are those of the C library (`hosts: files dns`, resolv.conf(5)), so that the proxy
//! finds what every other program in its container finds: a name that is in `/etc/hosts` is asked
//! of no server; a line that can't be used is ignored, with a warning; without a name server, the
//! one on this machine is asked. But two servers are asked at a time, so that one that is down costs
//! nothing, and nothing is cached.

use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

use hickory_resolver::{
    Hosts, TokioResolver,
    config::{
        NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts, ServerOrderingStrategy,
    },
    net::{DnsError, NetError, NoRecords, runtime::TokioRuntimeProvider},
    proto::{
        op::{Query, ResponseCode},
        rr::{Name, Record, RecordType},
    },
};
use resolv_conf::{Config, ParseError, ScopedIp};
use tracing::{info, warn};

const HOSTS: &str = "/etc/hosts";
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// A kind of address, which has a record type of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AddressFamily {
    V4,
    V6,
}

impl AddressFamily {
    pub(crate) const ALL: [Self; 2] = [Self::V4, Self::V6];

    pub(crate) const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// For logs and metrics.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::V4 => "ipv4",
            Self::V6 => "ipv6",
        }
    }

    const fn other(self) -> Self {
        match self {
            Self::V4 => Self::V6,
            Self::V6 => Self::V4,
        }
    }

    const fn record_type(self) -> RecordType {
        match self {
            Self::V4 => RecordType::A,
            Self::V6 => RecordType::AAAA,
        }
    }
}

/// What is known about a name, once somebody has answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Its addresses; never none.
    Addresses(Vec<IpAddr>),
    /// It exists, without an address of the family.
    NoAddress,
    /// It doesn't exist (NXDOMAIN).
    NotFound,
}

/// The two files, and how to look a name up by what they say.
#[derive(Debug)]
pub(crate) struct SystemFiles {
    contents: [Content; 2],
    service: Arc<NameService>,
}

/// A file's content; why it can't be read, otherwise.
type Content = Result<Vec<u8>, io::ErrorKind>;

impl SystemFiles {
    pub(crate) fn read() -> Self {
        let contents = Self::contents();
        let service = Arc::new(NameService::new(&contents));
        Self { contents, service }
    }

    /// How to look names up now: the files are read again. The contents are compared, not the
    /// times of change, so that it doesn't matter how a file was written, replaced or mounted.
    pub(crate) fn refresh(&mut self) -> Arc<NameService> {
        let contents = Self::contents();
        if contents != self.contents {
            info!("{HOSTS} or {RESOLV_CONF} has changed");
            self.service = Arc::new(NameService::new(&contents));
            self.contents = contents;
        }
        Arc::clone(&self.service)
    }

    fn contents() -> [Content; 2] {
        [HOSTS, RESOLV_CONF].map(|path| fs::read(path).map_err(|error| error.kind()))
    }
}

#[derive(Debug)]
pub(crate) struct NameService {
    hosts: Hosts,
    resolv_conf: ResolvConf,
}

impl NameService {
    fn new([hosts, resolv_conf]: &[Content; 2]) -> Self {
        Self {
            hosts: read_hosts(hosts),
            resolv_conf: ResolvConf::read(resolv_conf),
        }
    }

    /// The addresses of `name` in one family. An error says that nobody could tell.
    pub(crate) async fn look_up(
        &self,
        name: &Name,
        family: AddressFamily,
    ) -> Result<Answer, NetError> {
        if let Some(answer) = self.in_hosts(name, family) {
            return Ok(answer);
        }
        if family == AddressFamily::V6 && self.resolv_conf.no_aaaa {
            return Ok(Answer::NoAddress);
        }
        let resolver = self.resolv_conf.resolver()?;
        let mut candidates = self.resolv_conf.candidates(name).into_iter();
        let (mut exists, mut failure) = (false, None);
        while let Some(candidate) = candidates.next() {
            match ask(&resolver, &candidate, family).await {
                Ok(Answer::Addresses(addresses)) => return Ok(Answer::Addresses(addresses)),
                Ok(Answer::NotFound) => {}
                Ok(Answer::NoAddress) => {
                    exists = true;
                    // Both families are to be those of one name: where the other one has addresses,
                    // this is the name.
                    if candidates.len() > 0
                        && let Answer::Addresses(_) =
                            ask(&resolver, &candidate, family.other()).await?
                    {
                        return Ok(Answer::NoAddress);
                    }
                }
                // One domain of the search list may be broken: the others are asked all the same.
                Err(error @ NetError::Dns(DnsError::ResponseCode(ResponseCode::ServFail))) => {
                    failure = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        match (failure, exists) {
            (Some(error), _) => Err(error),
            (None, true) => Ok(Answer::NoAddress),
            (None, false) => Ok(Answer::NotFound),
        }
    }

    /// What `/etc/hosts` says, if it has the name at all.
    fn in_hosts(&self, name: &Name, family: AddressFamily) -> Option<Answer> {
        let find = |family: AddressFamily| {
            let query = Query::query(name.clone(), family.record_type());
            let found = self.hosts.lookup_static_host(&query)?;
            Some(addresses(found.answers(), family))
        };
        find(family).or_else(|| find(family.other()).map(|_| Answer::NoAddress))
    }
}

/// Asks the name servers for exactly this name.
async fn ask(
    resolver: &TokioResolver,
    name: &Name,
    family: AddressFamily,
) -> Result<Answer, NetError> {
    match resolver.lookup(name.clone(), family.record_type()).await {
        Ok(found) => Ok(addresses(found.answers(), family)),
        Err(error) if error.is_nx_domain() => Ok(Answer::NotFound),
        Err(NetError::Dns(DnsError::NoRecordsFound(NoRecords {
            response_code: ResponseCode::NoError,
            ..
        }))) => Ok(Answer::NoAddress),
        Err(error) => Err(error),
    }
}

fn addresses(records: &[Record], family: AddressFamily) -> Answer {
    let addresses = records.iter().filter_map(|record| record.data.ip_addr());
    let mut addresses: Vec<_> = addresses
        .filter(|address| AddressFamily::of(*address) == family)
        .collect();
    addresses.sort_unstable();
    addresses.dedup();
    if addresses.is_empty() {
        Answer::NoAddress
    } else {
        Answer::Addresses(addresses)
    }
}

fn read_hosts(content: &Content) -> Hosts {
    let mut hosts = Hosts::default();
    if let Ok(content) = content {
        // Comments may be in any encoding.
        let text = String::from_utf8_lossy(content);
        if let Err(error) = hosts.read_hosts_conf(text.as_bytes()) {
            warn!(%error, "{HOSTS} can't be used");
        }
    }
    hosts
}

/// `/etc/resolv.conf`, as resolv.conf(5) has it.
#[derive(Debug)]
struct ResolvConf {
    servers: ResolverConfig,
    options: ResolverOpts,
    /// Domains that are tried behind a name.
    search: Vec<Name>,
    /// Dots that make a name be tried as it is first.
    dots: usize,
    no_aaaa: bool,
}

impl ResolvConf {
    /// Reads what can be used and warns, once, of what can't.
    fn read(content: &Content) -> Self {
        let (content, unreadable) = match content {
            Ok(content) => (content.as_slice(), None),
            Err(error) => (&[][..], Some(error)),
        };
        let (config, errors) = Config::parse_with_errors(content);
        let mut ignored: Vec<String> = errors.iter().map(|error| quote(content, error)).collect();
        let mut servers: Vec<IpAddr> = Vec::new();
        for server in &config.nameservers {
            match server {
                ScopedIp::V6(_, Some(_)) => ignored.push(format!("nameserver {server}")),
                server => servers.push(server.into()),
            }
        }
        let mut search = Vec::new();
        let mut domains: Vec<_> = config.get_last_search_or_domain().cloned().collect();
        if domains.is_empty() {
            domains.extend(config.get_system_domain());
        }
        for domain in domains {
            match Name::from_ascii(&domain) {
                Ok(domain) => search.push(domain),
                Err(_) => ignored.push(format!("search {domain}")),
            }
        }
        if !ignored.is_empty() {
            warn!(
                ignored = ignored.join("; "),
                "{RESOLV_CONF}: parts that can't be used"
            );
        }
        if servers.is_empty() {
            servers.push(Ipv4Addr::LOCALHOST.into());
            let reason = unreadable.map_or("none is named".to_owned(), ToString::to_string);
            warn!(reason, asked = %servers[0], "{RESOLV_CONF}: no name server");
        }
        let server = if config.use_vc {
            NameServerConfig::tcp
        } else {
            NameServerConfig::udp_and_tcp
        };
        let servers = servers.into_iter().map(server).collect();
        Self {
            servers: ResolverConfig::from_parts(None, Vec::new(), servers),
            options: options(&config),
            search,
            dots: config.ndots as usize,
            no_aaaa: config.no_aaaa,
        }
    }

    /// A resolver of its own for each look-up: one that gets no answer doesn't hold up the next,
    /// and no connection is older than the network that it goes through.
    fn resolver(&self) -> Result<TokioResolver, NetError> {
        let runtime = TokioRuntimeProvider::default();
        TokioResolver::builder_with_config(self.servers.clone(), runtime)
            .with_options(self.options.clone())
            .build()
    }

    /// The names to try for `name`, in their order.
    fn candidates(&self, name: &Name) -> Vec<Name> {
        let mut absolute = name.clone();
        absolute.set_fqdn(true);
        // RFC 6761 §6.3: localhost is nobody's to define.
        if name.is_fqdn() || absolute.is_localhost() {
            return vec![absolute];
        }
        let search = |domain: &Name| name.clone().append_domain(domain).ok();
        let mut candidates: Vec<Name> = self.search.iter().filter_map(search).collect();
        let dots = name.iter().count().saturating_sub(1);
        let first = if dots >= self.dots {
            0
        } else {
            candidates.len()
        };
        candidates.insert(first, absolute);
        candidates
    }
}

/// The options that the resolver knows; limits as in the C library.
fn options(config: &Config) -> ResolverOpts {
    let mut options = ResolverOpts::default();
    options.timeout = Duration::from_secs(config.timeout.clamp(1, 30).into());
    // Ours are all queries, the resolver's those after the first.
    options.attempts = config.attempts.clamp(1, 5) as usize - 1;
    options.edns0 = config.edns0;
    options.server_ordering_strategy = if config.rotate {
        ServerOrderingStrategy::RoundRobin
    } else {
        ServerOrderingStrategy::UserProvidedOrder
    };
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    options
}

/// The line with the error in it.
fn quote(content: &[u8], error: &ParseError) -> String {
    let number = match error {
        ParseError::InvalidUtf8(number, _)
        | ParseError::InvalidIp(number, _)
        | ParseError::InvalidValue(number)
        | ParseError::InvalidOptionValue(number)
        | ParseError::InvalidOption(number)
        | ParseError::InvalidDirective(number)
        | ParseError::ExtraData(number) => *number,
    };
    let line = content.split(|byte| *byte == b'\n').nth(number);
    String::from_utf8_lossy(line.unwrap_or_default())
        .trim()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolv_conf(text: &str) -> ResolvConf {
        ResolvConf::read(&Ok(text.as_bytes().to_vec()))
    }

    fn servers(conf: &ResolvConf) -> Vec<String> {
        let servers = conf.servers.name_servers().iter();
        servers.map(|server| server.ip.to_string()).collect()
    }

    fn candidates(conf: &ResolvConf, name: &str) -> Vec<String> {
        let name = Name::from_ascii(name).unwrap();
        let candidates = conf.candidates(&name).into_iter();
        candidates.map(|name| name.to_string()).collect()
    }

    #[test]
    fn what_cannot_be_used_is_ignored_and_the_rest_is_not() {
        for text in [
            "",
            "search lan",
            "nameserver",
            "nameserver 300.1.1.1",
            "nameserver fe80::1%eth0",
            "\u{fffd}\n;\nnonsense\n",
        ] {
            assert_eq!(servers(&resolv_conf(text)), ["127.0.0.1"], "{text}");
        }
        assert_eq!(
            servers(&ResolvConf::read(&Err(io::ErrorKind::NotFound))),
            ["127.0.0.1"]
        );
        let conf = resolv_conf(
            "nameserver 300.1.1.1\nnonsense\nnameserver 10.0.0.1\noptions what ndots:x timeout:0\n\
             search a..b lan\nnameserver fd00::1\n",
        );
        assert_eq!(servers(&conf), ["10.0.0.1", "fd00::1"]);
        assert_eq!(candidates(&conf, "a"), ["a.lan.", "a."]);
        assert_eq!(conf.options.timeout, Duration::from_secs(1));
    }

    #[test]
    fn the_search_list_and_ndots_are_as_in_the_manual() {
        let conf = resolv_conf("search lan example.com\noptions ndots:2 attempts:3 timeout:4");
        assert_eq!(
            candidates(&conf, "a.b"),
            ["a.b.lan.", "a.b.example.com.", "a.b."]
        );
        assert_eq!(candidates(&conf, "a.b.c")[0], "a.b.c.");
        assert_eq!(candidates(&conf, "a."), ["a."]);
        assert_eq!(candidates(&conf, "localhost"), ["localhost."]);
        assert_eq!(conf.options.attempts, 2);
        assert_eq!(conf.options.timeout, Duration::from_secs(4));
        let conf = resolv_conf("domain lan\noptions ndots:0");
        assert_eq!(candidates(&conf, "a"), ["a.", "a.lan."]);
    }

    #[tokio::test]
    async fn a_name_in_the_hosts_file_is_asked_of_no_server() {
        let hosts = "\u{feff}# \n10.0.0.1 app App\n10.0.0.2\tapp # app2\nnonsense app\n::1 six\n";
        let contents = [Ok(hosts.as_bytes().to_vec()), Ok(Vec::new())];
        let service = NameService::new(&contents);
        let look_up = async |name: &str, family| {
            let name = Name::from_ascii(name).unwrap();
            service.look_up(&name, family).await.unwrap()
        };
        let addresses = ["10.0.0.1", "10.0.0.2"].map(|text| text.parse().unwrap());
        let found = Answer::Addresses(addresses.to_vec());
        assert_eq!(look_up("app", AddressFamily::V4).await, found);
        assert_eq!(look_up("APP.", AddressFamily::V4).await, found);
        assert_eq!(look_up("app", AddressFamily::V6).await, Answer::NoAddress);
        assert_eq!(look_up("six", AddressFamily::V4).await, Answer::NoAddress);
    }
}
