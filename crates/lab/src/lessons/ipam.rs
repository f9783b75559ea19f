//! Addresses come from the network's pool: subnet, mask, gateway.

use std::net::{IpAddr, Ipv4Addr};

use engine::api::{ContainerInspectResponse, NetworkInspect};
use engine::error::Error;
use ipnet::{IpNet, Ipv4Net};
use rand::RngExt;

use super::prelude::*;

pub(super) const LESSON: Lesson = Lesson {
    name: "ipam",
    title: "Addresses: the pool of a network (IPAM)",
    story: "Every network has a pool of addresses, and the engine hands them out as a DHCP server \
            would. Here the pool is chosen by hand, so that each address can be told in advance.",
    needs: &[],
    tidy: &[
        "docker rm -f lab-one lab-two lab-fixed",
        "docker network rm lab-net",
    ],
    teach: |bench, steps| Box::pin(teach(bench, steps)),
};

/// Tries to find a pool that nobody uses.
const ATTEMPTS: usize = 8;

async fn teach(bench: &Bench<'_>, steps: &mut Vec<Step>) -> Result<()> {
    let host = bench.host(Request::default()).await?;
    let (net, pool) = create(bench, &host).await?;
    let on = |address| Setup {
        network: Some(net.clone()),
        address,
        ..Setup::default()
    };
    let one = bench.container("one", on(None)).await?;
    let two = bench.container("two", on(None)).await?;
    let network = bench.inspect_network(&net).await?;
    let host = bench.host(Request::default()).await?;
    steps.push(pool_as_asked(&network, &host, pool));

    let engine = [bench.inspect(&one).await?, bench.inspect(&two).await?];
    let inside = bench.look(&one, Request::default()).await?;
    steps.push(from_the_pool(&engine, &inside, &net, pool));

    let wanted = nth(pool, 77);
    let fixed = bench.container("fixed", on(Some(wanted))).await?;
    let inside = bench.look(&fixed, Request::default()).await?;
    steps.push(fixed_address(&inside, wanted));

    let outside = Ipv4Addr::new(192, 0, 2, 77);
    let refusal = bench.container("outside", on(Some(outside))).await.err();
    steps.push(outside_the_pool(refusal.as_ref(), outside));
    Ok(())
}

/// The address at `offset` within a /24.
fn nth(pool: Ipv4Net, offset: u8) -> Ipv4Addr {
    let [a, b, c, _] = pool.network().octets();
    Ipv4Addr::new(a, b, c, offset)
}

/// Creates the network with a /24 that the host has no route to and no other
/// network uses.
async fn create(bench: &Bench<'_>, host: &Report) -> Result<(String, Ipv4Net)> {
    let mut refused = None;
    for _ in 0..ATTEMPTS {
        let third = rand::rng().random();
        let pool = Ipv4Net::new_assert(Ipv4Addr::new(10, 213, third, 0), 24);
        if taken(host, pool) {
            continue;
        }
        let setup = NetworkSetup {
            pool: Some((pool.to_string(), nth(pool, 1).to_string())),
            ..NetworkSetup::default()
        };
        match bench.network("net", setup).await {
            Ok(name) => return Ok((name, pool)),
            Err(error) => refused = Some(error),
        }
    }
    Err(refused.unwrap_or_else(|| {
        Error::failed(
            "the host has routes to all of 10.213.0.0/16, where the lesson looks for a free subnet",
            "run the other lessons; this one can't be taught here",
        )
    }))
}

fn taken(host: &Report, pool: Ipv4Net) -> bool {
    let pool = IpNet::V4(pool);
    let routes = host.routes.iter().map(|route| route.destination);
    routes
        .filter(|route| route.prefix_len() > 0)
        .any(|route| route.contains(&pool) || pool.contains(&route))
}

fn pool_as_asked(network: &NetworkInspect, host: &Report, pool: Ipv4Net) -> Step {
    let gateway = IpAddr::V4(nth(pool, 1));
    let bridge = host.interface_of(gateway);
    let expected = view::or_none(view::bridge_name(network));
    Step::asks("A network is created with a subnet and a gateway. Where do they show?")
        .by_hand(&[
            "docker network create --subnet 10.213.7.0/24 --gateway 10.213.7.1 lab-net",
            "docker run -dit --name lab-one --network lab-net busybox",
            "docker run -dit --name lab-two --network lab-net busybox",
            "docker network inspect -f '{{json .IPAM.Config}}' lab-net",
            "ip -4 addr show \"br-$(docker network inspect -f '{{.Id}}' lab-net | cut -c 1-12)\"",
        ])
        .saw(ENGINE, [show::network(network)])
        .saw(HOST, bridge.map(show::interface))
        .answer(format!(
            "In the network's record, and on the host: the gateway `{gateway}` is the address of \
             the network's bridge `{}`.",
            view::or_none(bridge.map(|bridge| &bridge.name))
        ))
        .same(
            "subnet",
            pool,
            view::subnets(network).iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        )
        .same("gateway", gateway, view::or_none(view::network_gateway(network)))
        .same(
            "bridge that bears it",
            expected,
            view::or_none(bridge.map(|bridge| &bridge.name)),
        )
        .means(
            "IPAM is address management. Without wishes the engine takes the next free subnet from \
             its own list (172.17.0.0/16 and up, by default), which is all that most networks need.",
        )
}

fn from_the_pool(
    engine: &[ContainerInspectResponse; 2],
    inside: &Report,
    network: &str,
    pool: Ipv4Net,
) -> Step {
    let addresses: Vec<Option<IpAddr>> = engine
        .iter()
        .map(|container| view::address(container, network))
        .collect();
    let within = |address: &Option<IpAddr>| matches!(address, Some(IpAddr::V4(address)) if pool.contains(address));
    let seen = view::listed(&addresses);
    let prefixes: Vec<u8> = view::ipv4_addresses(inside)
        .iter()
        .map(IpNet::prefix_len)
        .collect();
    let gateway = nth(pool, 1);
    let distinct = addresses.first() != addresses.get(1);
    Step::asks("Which address, mask and gateway do containers on it get?")
        .by_hand(&[
            "docker exec lab-one ip -4 addr show eth0",
            "docker exec lab-two ip -4 addr show eth0",
            "docker exec lab-one ip route",
        ])
        .saw(
            ENGINE,
            engine.iter().flat_map(|container| {
                let endpoints = view::endpoints(container);
                endpoints
                    .into_iter()
                    .map(|(network, endpoint)| show::endpoint(network, endpoint))
                    .collect::<Vec<_>>()
            }),
        )
        .saw(inside_of("one"), show::interfaces(inside))
        .saw(inside_of("one"), show::routes(inside))
        .answer(format!(
            "The next free ones of the pool ({seen}), the pool's mask /{}, and its gateway.",
            pool.prefix_len()
        ))
        .check(
            format!("two different addresses from {pool}"),
            &seen,
            distinct && addresses.iter().all(within),
        )
        .same("prefix lengths inside", "[24]", format!("{prefixes:?}"))
        .same(
            "default gateway inside",
            gateway,
            view::or_none(inside.default_gateway()),
        )
        .means(
            "The mask tells the container who is a neighbour: with /24 all addresses that share \
             the first three numbers. Everybody else is reached through the gateway.",
        )
}

fn fixed_address(inside: &Report, wanted: Ipv4Addr) -> Step {
    let seen = view::ipv4_addresses(inside);
    let seen: Vec<String> = seen.iter().map(|net| net.addr().to_string()).collect();
    Step::asks("Can a container ask for a certain address?")
        .by_hand(&[
            "docker run -dit --name lab-fixed --network lab-net --ip 10.213.7.77 busybox",
            "docker exec lab-fixed ip -4 addr show eth0",
        ])
        .saw(inside_of("fixed"), show::interfaces(inside))
        .answer(format!(
            "Yes, one from a pool that was chosen by hand: {wanted}."
        ))
        .same("address inside", wanted, seen.join(", "))
        .means(
            "Fixed addresses are for the rare program that can't use names. Names are the better \
             habit: they go on working when the network is made anew with another subnet.",
        )
}

fn outside_the_pool(refusal: Option<&Error>, wanted: Ipv4Addr) -> Step {
    let said = refusal.map_or("the container was started".to_owned(), ToString::to_string);
    let refused = refusal.is_some() && engine::said::is_about_subnets(&said);
    Step::asks("And one from outside of the pool?")
        .by_hand(&[
            "docker run --rm --network lab-net --ip 192.0.2.77 busybox true   # fails: no \
             subnet has it",
        ])
        .saw(ENGINE, [said.clone()])
        .answer(format!("No: the engine refuses {wanted}."))
        .check(
            "refused because no subnet of the network has it",
            said,
            refused,
        )
        .means(
            "An address from elsewhere would be unreachable: neither neighbours nor the gateway \
             would look for it on this bridge.",
        )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::fixtures::{default_route, interface, ip, loopback};
    use super::*;
    use crate::lesson::Verdict;
    use netcheck::probe::report::Route;

    fn pool() -> Ipv4Net {
        "10.213.7.0/24".parse().unwrap()
    }

    fn at(address: &str) -> ContainerInspectResponse {
        let networks = json!({"net": {"IPAddress": address}});
        serde_json::from_value(json!({"NetworkSettings": {"Networks": networks}})).unwrap()
    }

    fn inside(address: &str) -> Report {
        Report {
            interfaces: vec![
                loopback(),
                interface(7, "eth0", "veth", Some(8), Some(address)),
            ],
            routes: vec![default_route("10.213.7.1")],
            ..Report::default()
        }
    }

    #[test]
    fn a_subnet_that_the_host_routes_to_is_taken() {
        let routing = |destination: &str| Report {
            routes: vec![Route {
                destination: destination.parse().unwrap(),
                gateway: Some(ip("192.0.2.1")),
                interface: None,
                source: None,
                metric: None,
            }],
            ..Report::default()
        };
        assert!(taken(&routing("10.0.0.0/8"), pool()));
        assert!(taken(&routing("10.213.7.128/25"), pool()));
        assert!(!taken(&routing("10.213.8.0/24"), pool()));
        assert!(
            !taken(&routing("0.0.0.0/0"), pool()),
            "the default route takes nothing"
        );
    }

    #[test]
    fn the_pool_shows_on_the_bridge() {
        let network: NetworkInspect = serde_json::from_value(json!({
            "Name": "net", "Id": "0123456789abcdef",
            "IPAM": {"Config": [{"Subnet": "10.213.7.0/24", "Gateway": "10.213.7.1"}]},
        }))
        .unwrap();
        let host = |name: &str| Report {
            interfaces: vec![interface(9, name, "bridge", None, Some("10.213.7.1/24"))],
            ..Report::default()
        };
        let verdict = |name| pool_as_asked(&network, &host(name), pool()).verdict();
        assert_eq!(verdict("br-0123456789ab"), Verdict::Passed);
        assert_eq!(verdict("docker0"), Verdict::Failed);
    }

    #[test]
    fn addresses_outside_or_twice_fail() {
        let verdict = |one: &str, two: &str, own: &str| {
            from_the_pool(&[at(one), at(two)], &inside(own), "net", pool()).verdict()
        };
        assert_eq!(
            verdict("10.213.7.2", "10.213.7.3", "10.213.7.2/24"),
            Verdict::Passed
        );
        assert_eq!(
            verdict("10.213.7.2", "10.213.7.2", "10.213.7.2/24"),
            Verdict::Failed
        );
        assert_eq!(
            verdict("10.213.7.2", "172.18.0.3", "10.213.7.2/24"),
            Verdict::Failed
        );
        assert_eq!(
            verdict("10.213.7.2", "10.213.7.3", "10.213.7.2/16"),
            Verdict::Failed
        );
    }

    #[test]
    fn the_fixed_address_must_be_the_one() {
        let wanted = nth(pool(), 77);
        assert_eq!(
            fixed_address(&inside("10.213.7.77/24"), wanted).verdict(),
            Verdict::Passed
        );
        assert_eq!(
            fixed_address(&inside("10.213.7.4/24"), wanted).verdict(),
            Verdict::Failed
        );
    }

    #[test]
    fn a_start_or_another_refusal_fails() {
        let wanted = Ipv4Addr::new(192, 0, 2, 77);
        let refusal = |said: &str| Error::failed(said, "");
        let right = refusal(
            "Invalid address 192.0.2.77: It does not belong to any of this network's subnets",
        );
        assert_eq!(
            outside_the_pool(Some(&right), wanted).verdict(),
            Verdict::Passed
        );
        let other = refusal("no such image");
        assert_eq!(
            outside_the_pool(Some(&other), wanted).verdict(),
            Verdict::Failed
        );
        assert_eq!(outside_the_pool(None, wanted).verdict(), Verdict::Failed);
    }
}
