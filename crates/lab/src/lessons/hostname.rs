//! A container's host name: its id, unless it is told otherwise.

use engine::api::ContainerInspectResponse;

use super::prelude::*;

pub(super) const LESSON: Lesson = Lesson {
    name: "hostname",
    title: "Host names: who a container thinks it is",
    story: "A container has a name on the engine, a host name inside, and names by which \
            neighbours find it. They are easily taken for one and the same thing.",
    needs: &[],
    tidy: &[
        "docker rm -f lab-plain lab-named",
        "docker network rm lab-net",
    ],
    teach: |bench, steps| Box::pin(teach(bench, steps)),
};

async fn teach(bench: &Bench<'_>, steps: &mut Vec<Step>) -> Result<()> {
    let net = bench.network("net", NetworkSetup::default()).await?;
    let on = Setup {
        network: Some(net.clone()),
        ..Setup::default()
    };
    let plain = bench.container("plain", on.clone()).await?;
    let naming = Setup {
        hostname: Some("web-1".to_owned()),
        ..on
    };
    let named = bench.container("named", naming).await?;
    let plain_engine = bench.inspect(&plain).await?;
    let named_engine = bench.inspect(&named).await?;
    let inside_plain = bench.look(&plain, resolving(&[&named.name])).await?;
    let inside_named = bench.look(&named, Request::default()).await?;
    steps.push(default_name(&plain_engine, &inside_plain));
    steps.push(in_hosts(&plain_engine, &inside_plain, &net));
    steps.push(overridden(&inside_named));
    steps.push(three_names(
        &named_engine,
        &inside_plain,
        &inside_named,
        &named.name,
        &net,
    ));
    Ok(())
}

fn default_name(engine: &ContainerInspectResponse, inside: &Report) -> Step {
    let id = engine.id.clone().unwrap_or_default();
    let short: String = id.chars().take(12).collect();
    Step::asks("What is the host name of a container that wasn't given one?")
        .by_hand(&[
            "docker network create lab-net",
            "docker run -dit --name lab-plain --network lab-net busybox",
            "docker exec lab-plain hostname",
            "docker inspect -f '{{.Id}}' lab-plain",
        ])
        .saw(
            inside_of("plain"),
            [format!("hostname {}", inside.hostname)],
        )
        .saw(ENGINE, [format!("Id {id}")])
        .answer(format!(
            "`{}`: the first twelve digits of the container's id.",
            inside.hostname
        ))
        .same("host name", short, &inside.hostname)
        .means("The id is unique, so the name is too. It is also what `docker ps` shows first.")
}

fn in_hosts(engine: &ContainerInspectResponse, inside: &Report, network: &str) -> Step {
    let address = view::address(engine, network);
    let line = inside
        .hosts
        .iter()
        .find(|line| line.names.contains(&inside.hostname));
    Step::asks("How does the container find its own address by that name?")
        .by_hand(&["docker exec lab-plain cat /etc/hosts"])
        .saw(inside_of("plain"), show::hosts(&inside.hosts))
        .answer("By a line in its `/etc/hosts`, which the engine writes when the container starts.")
        .same(
            "address of the host name in /etc/hosts",
            view::or_none(address),
            view::or_none(line.map(|line| line.address)),
        )
        .means(
            "Each container has a hosts file of its own. The engine keeps its own lines in it up \
             to date when networks are connected; lines added by hand are lost with the container.",
        )
}

fn overridden(inside: &Report) -> Step {
    Step::asks("What does --hostname change?")
        .by_hand(&[
            "docker run -dit --name lab-named --hostname web-1 --network lab-net busybox",
            "docker exec lab-named hostname",
        ])
        .saw(
            inside_of("named"),
            [format!("hostname {}", inside.hostname)],
        )
        .saw(inside_of("named"), show::hosts(&inside.hosts))
        .answer("What the container itself is called inside, in `/etc/hosts` too.")
        .same("host name", "web-1", &inside.hostname)
        .check(
            "/etc/hosts has it",
            show::hosts(&inside.hosts).join("; "),
            inside
                .hosts
                .iter()
                .any(|line| line.names.iter().any(|name| name == "web-1")),
        )
        .means("Programs that write their host name into logs or cluster tables will write this.")
}

fn three_names(
    engine: &ContainerInspectResponse,
    neighbour: &Report,
    inside: &Report,
    name: &str,
    network: &str,
) -> Step {
    let resolution = neighbour.resolved.iter().map(show::resolution);
    Step::asks("By which name does a neighbour find it: the container's name or its host name?")
        .by_hand(&["docker exec lab-plain ping -c 1 lab-named"])
        .saw(
            inside_of("named"),
            [format!("hostname {}", inside.hostname)],
        )
        .saw(inside_of("plain"), resolution)
        .answer(format!(
            "By the container's name `{name}`, although inside it is called `{}`.",
            inside.hostname
        ))
        .leads_to(neighbour, name, view::address(engine, network))
        .check(
            "the name that was found isn't the host name",
            &inside.hostname,
            inside.hostname != name,
        )
        .means(
            "The embedded DNS server goes by container names and network aliases. Engines before \
             Docker 25 don't know host names at all, so don't rely on them between containers.",
        )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::fixtures::{ip, resolution};
    use super::*;
    use crate::lesson::Verdict;
    use netcheck::probe::report::HostsLine;

    fn engine() -> ContainerInspectResponse {
        serde_json::from_value(json!({
            "Id": "0123456789abcdef0123",
            "NetworkSettings": {"Networks": {"net": {"IPAddress": "172.18.0.2"}}},
        }))
        .unwrap()
    }

    fn inside(hostname: &str, address: &str) -> Report {
        Report {
            hostname: hostname.into(),
            hosts: vec![HostsLine {
                address: ip(address),
                names: vec![hostname.into()],
            }],
            ..Report::default()
        }
    }

    #[test]
    fn the_default_is_the_short_id() {
        let right = inside("0123456789ab", "172.18.0.2");
        assert_eq!(default_name(&engine(), &right).verdict(), Verdict::Passed);
        assert_eq!(
            in_hosts(&engine(), &right, "net").verdict(),
            Verdict::Passed
        );
        let wrong = inside("somebody", "172.18.0.9");
        assert_eq!(default_name(&engine(), &wrong).verdict(), Verdict::Failed);
        assert_eq!(
            in_hosts(&engine(), &wrong, "net").verdict(),
            Verdict::Failed
        );
    }

    #[test]
    fn an_override_shows_inside() {
        assert_eq!(
            overridden(&inside("web-1", "172.18.0.2")).verdict(),
            Verdict::Passed
        );
        assert_eq!(
            overridden(&inside("0123456789ab", "172.18.0.2")).verdict(),
            Verdict::Failed
        );
    }

    #[test]
    fn neighbours_go_by_the_container_s_name() {
        let named = inside("web-1", "172.18.0.2");
        let verdict = |addresses: &[&str]| {
            let neighbour = Report {
                resolved: vec![resolution("named", addresses)],
                ..Report::default()
            };
            three_names(&engine(), &neighbour, &named, "named", "net").verdict()
        };
        assert_eq!(verdict(&["172.18.0.2"]), Verdict::Passed);
        assert_eq!(verdict(&[]), Verdict::Failed);
    }
}
