//! The `none` network: a sandbox with nothing but loopback.

use engine::api::ContainerInspectResponse;

use super::prelude::*;

pub(super) const LESSON: Lesson = Lesson {
    name: "none",
    title: "The none network: a sandbox without a cable",
    story: "The `none` driver gives a container its own network stack and connects it to nothing. \
            It serves jobs that read and write files and must not talk to anybody.",
    needs: &[],
    tidy: &["docker rm -f lab-alone"],
    teach: |bench, steps| Box::pin(teach(bench, steps)),
};

/// An address that is reserved for documentation and belongs to nobody (RFC 5737).
const OUTSIDE: &str = "192.0.2.1";

async fn teach(bench: &Bench<'_>, steps: &mut Vec<Step>) -> Result<()> {
    let setup = Setup {
        network: Some("none".to_owned()),
        http: Some(PORT),
        ..Setup::default()
    };
    let alone = bench.container("alone", setup).await?;
    let engine = bench.inspect(&alone).await?;
    let inside = bench
        .look(&alone, connecting(&[OUTSIDE, "127.0.0.1"]))
        .await?;
    steps.push(interfaces(&engine, &inside));
    steps.push(no_way_out(&inside));
    steps.push(itself(&inside));
    Ok(())
}

fn interfaces(engine: &ContainerInspectResponse, inside: &Report) -> Step {
    let names: Vec<&str> = inside
        .interfaces
        .iter()
        .map(|interface| interface.name.as_str())
        .collect();
    let endpoints = view::endpoints(engine);
    Step::asks("Which interfaces does a container on the `none` network have?")
        .by_hand(&[
            "docker run -d --name lab-alone --network none busybox httpd -f -p 8000",
            "docker exec lab-alone ip addr",
        ])
        .saw(
            ENGINE,
            endpoints
                .iter()
                .map(|(network, endpoint)| show::endpoint(network, endpoint)),
        )
        .saw(inside_of("alone"), show::interfaces(inside))
        .answer("Only `lo`, the loopback interface.")
        .same(
            "interfaces that could carry a packet away",
            "none",
            carriers(inside),
        )
        .check("lo is there", names.join(", "), names.contains(&"lo"))
        .same(
            "networks",
            "none",
            endpoints.into_keys().collect::<Vec<_>>().join(", "),
        )
        .means(
            "Every sandbox has a loopback interface, with which it talks to itself. Here it is \
             the only one: no cable leads out.",
        )
}

/// Interfaces beside loopback that are up or have an address. The kernel puts
/// inert tunnel devices (`tunl0`, `sit0`) into every namespace where their modules
/// are loaded; those count for nothing.
fn carriers(inside: &Report) -> String {
    let names: Vec<&str> = inside
        .interfaces
        .iter()
        .filter(|interface| interface.name != "lo")
        .filter(|interface| interface.state == "UP" || !interface.addresses.is_empty())
        .map(|interface| interface.name.as_str())
        .collect();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

fn no_way_out(inside: &Report) -> Step {
    let error = inside
        .connected
        .iter()
        .filter(|connection| connection.target.host == OUTSIDE)
        .find_map(|connection| connection.attempts.first()?.error.clone());
    let outside = inside
        .connected
        .iter()
        .filter(|connection| connection.target.host == OUTSIDE);
    Step::asks("Is there a way out?")
        .by_hand(&[
            "docker exec lab-alone ip route",
            "docker exec lab-alone ping -c 1 192.0.2.1   # fails: Network is unreachable",
        ])
        .saw(inside_of("alone"), show::routes(inside))
        .saw(inside_of("alone"), outside.map(show::connection))
        .answer("No: there is no route, so the kernel refuses to send the packet at all.")
        .same(
            "default gateway",
            "none",
            view::or_none(inside.default_gateway()),
        )
        .same("the kernel's error", "ENETUNREACH", view::or_none(error))
        .means(
            "This isn't a firewall that drops packets: inside this sandbox the rest of the world \
             doesn't exist, and the kernel says so at once instead of waiting for an answer.",
        )
}

fn itself(inside: &Report) -> Step {
    let own = inside
        .connected
        .iter()
        .filter(|connection| connection.target.host == "127.0.0.1");
    Step::asks("Does networking work at all inside?")
        .by_hand(&["docker exec lab-alone ping -c 1 127.0.0.1"])
        .saw(inside_of("alone"), own.map(show::connection))
        .answer("Yes, with itself: a server inside is reached over loopback.")
        .reaches(inside, "127.0.0.1", "TCP port 8000 over loopback")
        .means(
            "The network stack is complete and the container's own. 127.0.0.1 always means \"this \
             sandbox\", which is also why a container can't reach the host's services there.",
        )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::fixtures::{connection, default_route, interface, loopback};
    use super::*;
    use crate::lesson::Verdict;

    fn inside() -> Report {
        Report {
            interfaces: vec![loopback()],
            connected: vec![
                connection(OUTSIDE, Some("ENETUNREACH")),
                connection("127.0.0.1", None),
            ],
            ..Report::default()
        }
    }

    #[test]
    fn a_cable_or_another_network_fails() {
        let engine = |network: &str| -> ContainerInspectResponse {
            let networks = json!({network: {"IPAddress": ""}});
            serde_json::from_value(json!({"NetworkSettings": {"Networks": networks}})).unwrap()
        };
        assert_eq!(
            interfaces(&engine("none"), &inside()).verdict(),
            Verdict::Passed
        );
        assert_eq!(
            interfaces(&engine("bridge"), &inside()).verdict(),
            Verdict::Failed
        );
        let mut cabled = inside();
        cabled
            .interfaces
            .push(interface(5, "eth0", "veth", Some(6), Some("172.17.0.2/16")));
        assert_eq!(
            interfaces(&engine("none"), &cabled).verdict(),
            Verdict::Failed
        );
        let mut inert = inside();
        inert
            .interfaces
            .push(interface(2, "tunl0", "ipip", None, None));
        inert.interfaces[1].state = "DOWN".into();
        assert_eq!(
            interfaces(&engine("none"), &inert).verdict(),
            Verdict::Passed
        );
    }

    #[test]
    fn a_route_or_another_error_fails() {
        assert_eq!(no_way_out(&inside()).verdict(), Verdict::Passed);
        let mut routed = inside();
        routed.routes = vec![default_route("172.17.0.1")];
        assert_eq!(no_way_out(&routed).verdict(), Verdict::Failed);
        let mut dropped = inside();
        dropped.connected[0] = connection(OUTSIDE, Some("timeout"));
        assert_eq!(no_way_out(&dropped).verdict(), Verdict::Failed);
    }

    #[test]
    fn loopback_must_work() {
        assert_eq!(itself(&inside()).verdict(), Verdict::Passed);
        let mut dead = inside();
        dead.connected[1] = connection("127.0.0.1", Some("ECONNREFUSED"));
        assert_eq!(itself(&dead).verdict(), Verdict::Failed);
    }
}
