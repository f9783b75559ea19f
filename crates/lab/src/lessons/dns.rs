//! Names: the host's servers on the default bridge, the embedded server elsewhere.

use std::net::IpAddr;

use engine::api::ContainerInspectResponse;

use super::prelude::*;

pub(super) const LESSON: Lesson = Lesson {
    name: "dns",
    title: "DNS: who answers when a container asks for a name",
    story: "A container has its own `/etc/resolv.conf` and `/etc/hosts`. Where their content comes \
            from depends on the network. To show that questions are forwarded, the lesson brings \
            a DNS server of its own that knows exactly one name, lesson.lab.",
    needs: &[Need::DefaultBridge],
    tidy: &[
        "docker rm -f lab-plain lab-dns lab-client lab-extra",
        "docker network rm lab-net",
    ],
    teach: |bench, steps| Box::pin(teach(bench, steps)),
};

/// The one name that the lesson's DNS server knows, and an address that is
/// reserved for documentation (RFC 5737).
const NAME: &str = "lesson.lab";
const ADDRESS: &str = "192.0.2.77";
/// What `--add-host` adds.
const EXTRA_NAME: &str = "db.lab";
const EXTRA_ADDRESS: &str = "192.0.2.50";
/// A second name for the DNS server's container.
const ALIAS: &str = "names";

async fn teach(bench: &Bench<'_>, steps: &mut Vec<Step>) -> Result<()> {
    let host = bench.host(Request::default()).await?;
    let plain = bench.container("plain", Setup::default()).await?;
    let on_default = bench.look(&plain, Request::default()).await?;
    steps.push(default_bridge(&on_default, &host));

    let net = bench.network("net", NetworkSetup::default()).await?;
    let serving = Setup {
        network: Some(net.clone()),
        aliases: vec![ALIAS.to_owned()],
        record: Some(format!("{NAME}={ADDRESS}")),
        ..Setup::default()
    };
    let server = bench.container("dns", serving).await?;
    let server_engine = bench.inspect(&server).await?;
    let address = view::address(&server_engine, &net);
    let asking = Setup {
        network: Some(net.clone()),
        dns: address.iter().map(ToString::to_string).collect(),
        ..Setup::default()
    };
    let client = bench.container("client", asking).await?;
    let inside = bench
        .look(&client, resolving(&[&server.name, ALIAS, NAME]))
        .await?;
    steps.push(embedded(&inside, &server.name, address));
    steps.push(alias(&inside, address));
    steps.push(forwarded(&inside, &server_engine, &net));

    steps.push(hosts_not_inherited(&on_default, &host));
    let adding = Setup {
        network: Some(net),
        extra_hosts: vec![format!("{EXTRA_NAME}:{EXTRA_ADDRESS}")],
        ..Setup::default()
    };
    let extra = bench.container("extra", adding).await?;
    let inside = bench.look(&extra, resolving(&[EXTRA_NAME])).await?;
    steps.push(add_host(&inside));
    Ok(())
}

fn default_bridge(inside: &Report, host: &Report) -> Step {
    Step::asks("On the default bridge, where do a container's DNS servers come from?")
        .by_hand(&[
            "docker run -dit --name lab-plain busybox",
            "docker exec lab-plain cat /etc/resolv.conf",
            "cat /etc/resolv.conf",
        ])
        .saw(inside_of("plain"), show::resolver(&inside.resolver))
        .saw(HOST, show::resolver(&host.resolver))
        .answer("The host's `/etc/resolv.conf` was copied when the container started.")
        .copied_servers(inside, host)
        .means(
            "So the container asks the same servers as the host does, and these know nothing of \
             containers. A container that runs keeps its copy when the host's file changes.",
        )
}

/// What was seen of one name.
fn look<'a>(inside: &'a Report, name: &'a str) -> impl Iterator<Item = String> + 'a {
    inside
        .resolved
        .iter()
        .filter(move |asked| asked.name == name)
        .map(show::resolution)
}

fn embedded(inside: &Report, name: &str, address: Option<IpAddr>) -> Step {
    Step::asks("On a user-defined network, who answers for the name of a neighbour?")
        .by_hand(&[
            "docker network create lab-net",
            "docker run -d --name lab-dns --network lab-net --network-alias names busybox sh -c \
             'echo lesson.lab 192.0.2.77 > /tmp/names; dnsd -c /tmp/names'",
            "docker run -dit --name lab-client --network lab-net --dns \"$(docker inspect -f '{{(index \
             .NetworkSettings.Networks \"lab-net\").IPAddress}}' lab-dns)\" busybox",
            "docker exec lab-client cat /etc/resolv.conf",
            "docker exec lab-client nslookup -type=a lab-dns",
        ])
        .saw(inside_of("client"), show::resolver(&inside.resolver))
        .saw(inside_of("client"), look(inside, name))
        .answer("Docker's embedded DNS server, at 127.0.0.11 inside the container.")
        .same("DNS server", EMBEDDED_DNS, show::list(&inside.resolver.nameservers))
        .leads_to(inside, name, address)
        .means(
            "127.0.0.11 is inside each sandbox and leads to the engine, which knows every \
             container on the network and its address at this moment.",
        )
}

fn alias(inside: &Report, address: Option<IpAddr>) -> Step {
    Step::asks("Can a container have further names?")
        .by_hand(&["docker exec lab-client nslookup -type=a names"])
        .saw(inside_of("client"), look(inside, ALIAS))
        .answer(format!(
            "Yes: aliases, given for each network. `{ALIAS}` leads to the same address."
        ))
        .leads_to(inside, ALIAS, address)
        .means(
            "An alias names a role instead of a container. Several containers may share one: the \
             name then leads to all of them. That is how one service runs as several replicas.",
        )
}

fn forwarded(inside: &Report, server: &ContainerInspectResponse, network: &str) -> Step {
    let expected: Option<IpAddr> = ADDRESS.parse().ok();
    let said = inside.resolved.iter().find(|asked| asked.name == NAME);
    let said = view::or_none(said.and_then(|asked| asked.server));
    Step::asks("Who answers for a name that is no container's?")
        .by_hand(&["docker exec lab-client nslookup -type=a lesson.lab"])
        .saw(
            inside_of("client"),
            show::resolver(&inside.resolver)
                .into_iter()
                .chain(look(inside, NAME)),
        )
        .saw(
            ENGINE,
            [format!(
                "the server that knows {NAME}: {}",
                view::or_none(view::address(server, network))
            )],
        )
        .answer(
            "The container asks 127.0.0.11 all the same, and Docker forwards the question to the \
             servers that are configured: with --dns to those, otherwise to the host's.",
        )
        .same("who was asked", EMBEDDED_DNS, said)
        .leads_to(inside, NAME, expected)
        .means(
            "The answer can only come from the lesson's own server, for no other in the world \
             knows the name. So one address in resolv.conf serves both worlds: containers by \
             name, and everything else as on the host.",
        )
}

/// Names in the host's file that it has for itself: not those every file has.
fn own_names(host: &Report) -> Vec<String> {
    let usual = |name: &str| name.starts_with("localhost") || name.starts_with("ip6-");
    let names = host.hosts.iter().flat_map(|line| &line.names);
    names.filter(|name| !usual(name)).cloned().collect()
}

fn hosts_not_inherited(inside: &Report, host: &Report) -> Step {
    let own = own_names(host);
    let inherited: Vec<&str> = inside
        .hosts
        .iter()
        .flat_map(|line| &line.names)
        .filter(|name| own.contains(name))
        .map(String::as_str)
        .collect();
    let step = Step::asks("Does a container inherit what stands in the host's `/etc/hosts`?")
        .by_hand(&["cat /etc/hosts", "docker exec lab-plain cat /etc/hosts"])
        .saw(HOST, show::hosts(&host.hosts))
        .saw(inside_of("plain"), show::hosts(&inside.hosts))
        .answer("No: the engine writes a file of its own, with the container's name in it.")
        .means(
            "A name that works on your machine because of a line in its hosts file doesn't work \
             inside a container. `--add-host` brings such a line along.",
        );
    if own.is_empty() {
        return step.skip("the host's /etc/hosts has no line of its own that could be missing");
    }
    step.check(
        format!("none of the host's own names: {}", own.join(", ")),
        if inherited.is_empty() {
            "none".to_owned()
        } else {
            inherited.join(", ")
        },
        inherited.is_empty(),
    )
    .check(
        "a line for the container itself",
        &inside.hostname,
        inside
            .hosts
            .iter()
            .any(|line| line.names.contains(&inside.hostname)),
    )
}

fn add_host(inside: &Report) -> Step {
    let expected: Option<IpAddr> = EXTRA_ADDRESS.parse().ok();
    let line = inside
        .hosts
        .iter()
        .find(|line| line.names.iter().any(|name| name == EXTRA_NAME));
    Step::asks("How is a line added to a container's `/etc/hosts`?")
        .by_hand(&[
            "docker run -dit --name lab-extra --network lab-net --add-host db.lab:192.0.2.50 busybox",
            "docker exec lab-extra cat /etc/hosts",
            "docker exec lab-extra ping -c 1 -W 1 db.lab || true   # resolves; nobody answers there",
        ])
        .saw(inside_of("extra"), show::hosts(&inside.hosts))
        .saw(inside_of("extra"), look(inside, EXTRA_NAME))
        .answer("With `--add-host NAME:ADDRESS` (in a Compose file: `extra_hosts`).")
        .same("line in /etc/hosts", EXTRA_ADDRESS, view::or_none(line.map(|line| line.address)))
        .leads_to(inside, EXTRA_NAME, expected)
        .means(
            "The hosts file is read before any DNS server is asked, so such a line wins over \
             whatever DNS says.",
        )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::fixtures::{ip, nameservers, resolution};
    use super::*;
    use crate::lesson::Verdict;
    use netcheck::probe::report::HostsLine;

    fn asked(name: &str, addresses: &[&str]) -> Report {
        Report {
            resolver: nameservers(&[EMBEDDED_DNS]),
            resolved: vec![resolution(name, addresses)],
            ..Report::default()
        }
    }

    fn with_hosts(hostname: &str, lines: &[(&str, &str)]) -> Report {
        let line = |&(address, name): &(&str, &str)| HostsLine {
            address: ip(address),
            names: vec![name.into()],
        };
        Report {
            hostname: hostname.into(),
            hosts: lines.iter().map(line).collect(),
            ..Report::default()
        }
    }

    #[test]
    fn the_embedded_server_must_know_the_neighbour() {
        let address = Some(ip("172.18.0.2"));
        let verdict = |report| embedded(&report, "dns", address).verdict();
        assert_eq!(verdict(asked("dns", &["172.18.0.2"])), Verdict::Passed);
        assert_eq!(verdict(asked("dns", &["172.18.0.9"])), Verdict::Failed);
        let elsewhere = Report {
            resolver: nameservers(&["192.0.2.53"]),
            ..asked("dns", &["172.18.0.2"])
        };
        assert_eq!(verdict(elsewhere), Verdict::Failed);
        assert_eq!(
            alias(&asked(ALIAS, &["172.18.0.2"]), address).verdict(),
            Verdict::Passed
        );
        assert_eq!(
            alias(&asked(ALIAS, &[]), address).verdict(),
            Verdict::Failed
        );
    }

    #[test]
    fn only_the_lesson_s_server_can_have_answered() {
        let server: ContainerInspectResponse = serde_json::from_value(json!({})).unwrap();
        let verdict = |report| forwarded(&report, &server, "net").verdict();
        assert_eq!(verdict(asked(NAME, &[ADDRESS])), Verdict::Passed);
        assert_eq!(verdict(asked(NAME, &[])), Verdict::Failed);
        let mut directly = asked(NAME, &[ADDRESS]);
        directly.resolved[0].server = Some(ip("172.18.0.2"));
        assert_eq!(verdict(directly), Verdict::Failed);
    }

    #[test]
    fn an_inherited_line_fails_and_a_bare_host_is_skipped() {
        let own = ("172.17.0.2", "0123456789ab");
        let plain = with_hosts("0123456789ab", &[("127.0.0.1", "localhost"), own]);
        let host = with_hosts(
            "machine",
            &[("127.0.0.1", "localhost"), ("192.0.2.9", "printer")],
        );
        assert_eq!(
            hosts_not_inherited(&plain, &host).verdict(),
            Verdict::Passed
        );
        let heir = with_hosts("0123456789ab", &[own, ("192.0.2.9", "printer")]);
        assert_eq!(hosts_not_inherited(&heir, &host).verdict(), Verdict::Failed);
        let bare = with_hosts(
            "machine",
            &[("127.0.0.1", "localhost"), ("::1", "ip6-localhost")],
        );
        assert_eq!(
            hosts_not_inherited(&plain, &bare).verdict(),
            Verdict::Skipped
        );
    }

    #[test]
    fn an_added_host_is_in_the_file_and_resolves() {
        let mut inside = with_hosts("c", &[(EXTRA_ADDRESS, EXTRA_NAME)]);
        inside.resolved = vec![resolution(EXTRA_NAME, &[EXTRA_ADDRESS])];
        assert_eq!(add_host(&inside).verdict(), Verdict::Passed);
        inside.hosts.clear();
        assert_eq!(add_host(&inside).verdict(), Verdict::Failed);
    }
}
