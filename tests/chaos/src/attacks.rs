//! The attacks: what many clients do at once, to whom. None needs more than a network connection.

pub(crate) mod client;
mod frames;
pub(crate) mod peak;
pub(crate) mod process;
pub(crate) mod report;
pub(crate) mod round;
pub(crate) mod verdict;

use client::{Body, Client};
use frames::Flood;

use crate::stack::Service;

/// Clients in one container: each has an address, and with it source ports, of its own.
pub(crate) const PER_ADDRESS: usize = 2_500;

/// An attack, as it is listed.
#[derive(Debug)]
pub(crate) struct Attack {
    /// What `--only` calls it.
    pub(crate) name: &'static str,
    /// What is done.
    pub(crate) about: &'static str,
    /// Who takes part.
    pub(crate) squads: &'static [Squad],
    /// What is paused meanwhile, so that requests get no answer.
    pub(crate) paused: Option<Service>,
    /// Whether the bystander must be served as on any other day. Where the attackers ask for nothing
    /// but what anybody may ask for, ten times what there is, it is one of them.
    pub(crate) spares_bystander: bool,
}

/// Clients that do the same.
#[derive(Debug)]
pub(crate) struct Squad {
    /// Where they connect to.
    pub(crate) target: Target,
    /// How many there are, all at the same time.
    pub(crate) clients: usize,
    /// What each does.
    pub(crate) client: Client,
}

/// What a client connects to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// The published port, by the container that listens on it.
    Proxy,
    /// The same for TLS.
    Tls,
    /// The API, past the proxy: from a container on the network between the two.
    Api,
}

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

const fn attack(name: &'static str, about: &'static str, squads: &'static [Squad]) -> Attack {
    Attack {
        name,
        about,
        squads,
        paused: None,
        spares_bystander: true,
    }
}

/// Everyone asks for what anybody may ask for.
const fn rush(name: &'static str, about: &'static str, squads: &'static [Squad]) -> Attack {
    let mut attack = attack(name, about, squads);
    attack.spares_bystander = false;
    attack
}

const fn squad(target: Target, clients: usize, client: Client) -> Squad {
    Squad {
        target,
        clients,
        client,
    }
}

/// A body that never ends, behind the shortest head.
const fn body(length: usize, sent: usize, drips: bool) -> Client {
    Client::Unfinished {
        head: 0,
        body: Body::Sized { length, sent },
        drips,
    }
}

/// What a client does over HTTP/2.
const fn flood(clients: usize, flood: Flood) -> Squad {
    squad(Target::Tls, clients, Client::Flood(flood))
}

/// A head of that many bytes, and no end of it.
const fn head(bytes: usize) -> Client {
    Client::Unfinished {
        head: bytes,
        body: Body::None,
        drips: false,
    }
}

/// 64 MiB of unfinished bodies but for one byte.
const fn full(target: Target) -> [Squad; 3] {
    [
        squad(target, 64, body(MIB, MIB - 1, false)),
        squad(target, 1, body(MIB, 60, false)),
        squad(target, 1, body(MIB, 3, false)),
    ]
}

static FULL_PROXY: [Squad; 3] = full(Target::Proxy);
static FULL_API: [Squad; 3] = full(Target::Api);

/// Every attack.
pub(crate) static ALL: &[Attack] = &[
    attack(
        "heads",
        "4,500 clients send 62 KiB of a head that doesn't end",
        &[squad(Target::Proxy, 4_500, head(62 * KIB))],
    ),
    attack(
        "heads-with-bodies",
        "2,100 clients send a head of 61 KB and one of ten bytes of its body",
        &[squad(
            Target::Proxy,
            2_100,
            Client::Unfinished {
                head: 61_000,
                body: Body::Sized {
                    length: 10,
                    sent: 1,
                },
                drips: false,
            },
        )],
    ),
    Attack {
        name: "streams",
        about: "2,100 clients send a head of 61 KB and 256 KiB of a chunked body, while the API is paused",
        squads: &[squad(
            Target::Proxy,
            2_100,
            Client::Unfinished {
                head: 61_000,
                body: Body::Chunked { sent: 256 * KIB },
                drips: false,
            },
        )],
        paused: Some(Service::Api),
        // Nobody can be served.
        spares_bystander: false,
    },
    attack(
        "slow-bodies",
        "9,800 clients send ten bytes one by one, 63 all but the last byte of 1 MiB",
        &[
            squad(Target::Proxy, 9_800, body(10, 1, true)),
            squad(Target::Proxy, 63, body(MIB, MIB - 1, false)),
        ],
    ),
    attack(
        "tiny-bodies",
        "10,600 clients send 51 bytes each, one of ten bytes of their body among them",
        &[squad(Target::Proxy, 10_600, body(10, 1, false))],
    ),
    attack(
        "full-bodies",
        "66 clients send 64 MiB less a byte of bodies of 1 MiB, none to its end",
        &FULL_PROXY,
    ),
    attack(
        "api-heads",
        "2,200 clients send 120 KB of a head that doesn't end, past the proxy",
        &[squad(Target::Api, 2_200, head(120_000))],
    ),
    attack(
        "api-full-bodies",
        "the 66 clients of full-bodies, past the proxy",
        &FULL_API,
    ),
    attack(
        "slow-readers",
        "20,000 clients send 16 requests at once, and take a byte of the responses a second",
        &[squad(
            Target::Proxy,
            20_000,
            Client::SlowReader { requests: 16 },
        )],
    ),
    attack(
        "tls-hellos",
        "10,000 clients begin a TLS handshake, and send a byte of it now and then",
        &[squad(Target::Tls, 10_000, Client::Hello)],
    ),
    attack(
        "tls-handshakes",
        "500 clients make one full TLS handshake after the other, and ask for nothing",
        &[squad(Target::Tls, 500, Client::Handshake)],
    ),
    attack(
        "tls-heads",
        "2,500 clients send 62 KiB of a head that doesn't end, over TLS",
        &[squad(Target::Tls, 2_500, head(62 * KIB))],
    ),
    attack(
        "tls-slow-readers",
        "2,500 clients send 16 requests at once over TLS, and take a byte of the responses a second",
        &[squad(
            Target::Tls,
            2_500,
            Client::SlowReader { requests: 16 },
        )],
    ),
    attack(
        "h2-resets",
        "100 clients send requests over HTTP/2 and take each back at once",
        &[flood(100, Flood::RapidReset)],
    ),
    attack(
        "h2-frames",
        "400 clients send heads that don't end, pings, settings and empty DATA, as fast as they can",
        &[
            flood(100, Flood::Continuation),
            flood(100, Flood::Ping),
            flood(100, Flood::Settings),
            flood(100, Flood::EmptyData),
        ],
    ),
    attack(
        "h2-windows",
        "1,000 clients ask for 100 answers each over HTTP/2, and leave no window for any",
        &[flood(1_000, Flood::ZeroWindow)],
    ),
    attack(
        "h2-streams",
        "1,000 clients send 100 bodies each over HTTP/2, none to its end",
        &[flood(1_000, Flood::Streams)],
    ),
    rush(
        "rush-hello",
        "10,000 clients ask for /hello as fast as it is answered",
        &[squad(
            Target::Proxy,
            10_000,
            Client::Eager {
                path: "/hello",
                body: 0,
            },
        )],
    ),
    rush(
        "rush-writes",
        "10,000 clients have something stored as fast as it is answered, 16 others bodies of 1 MiB",
        &[
            squad(
                Target::Proxy,
                10_000,
                Client::Eager {
                    path: "/",
                    body: 51,
                },
            ),
            squad(
                Target::Proxy,
                16,
                Client::Eager {
                    path: "/",
                    body: MIB,
                },
            ),
        ],
    ),
];

impl Attack {
    /// The attack of that name.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        ALL.iter().find(|attack| attack.name == name)
    }

    /// How many take part.
    pub(crate) fn clients(&self) -> usize {
        self.squads.iter().map(|squad| squad.clients).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn attacks_and_faults_are_told_apart_by_their_names() {
        let names = ALL.iter().map(|attack| attack.name);
        let faults = crate::faults::ALL.iter().map(|entry| entry.name);
        let all: BTreeSet<&str> = names.chain(faults).collect();
        assert_eq!(all.len(), ALL.len() + crate::faults::ALL.len());
    }

    #[test]
    fn the_bodies_that_fill_a_budget_lack_one_byte_of_64_mib() {
        let sent: usize = FULL_API
            .iter()
            .map(|squad| match squad.client {
                Client::Unfinished {
                    body: Body::Sized { sent, .. },
                    ..
                } => sent * squad.clients,
                _ => 0,
            })
            .sum();
        assert_eq!(sent, 64 * MIB - 1);
    }
}
