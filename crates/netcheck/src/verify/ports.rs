//! Published ports: nothing but what the file says is forwarded from the host, each forwarded port
//! takes connections, and none leads to a port that is there for administration only.

use std::collections::BTreeSet;
use std::net::IpAddr;

use compose_file::Project;
use compose_file::model::Service;

use super::check::{Check, check};
use super::link::{End, HOST, Verdict};
use super::observe::{Observation, connection, fetched, metrics, unpublished};
use super::speaks_tls;
use crate::inspect::Topology;
use crate::inspect::model::Sandbox;
use crate::probe::report::Reach;
use crate::probe::request::Target;

/// Nothing is forwarded from the host but what the file publishes.
pub(super) fn publishes(
    service: &Service,
    topology: &Topology,
    sandbox: &Sandbox,
) -> Option<Check> {
    let any = |ip: Option<IpAddr>| ip.filter(|ip| !ip.is_unspecified());
    let expected: BTreeSet<(u16, Option<u16>, String)> = service
        .ports
        .iter()
        .map(|port| (port.target, port.published, port.protocol.to_string()))
        .collect();
    let actual: BTreeSet<(u16, u16, String)> = sandbox
        .published
        .iter()
        .map(|it| (it.port, it.host_port, it.protocol.clone()))
        .collect();
    if !sandbox.is_up() {
        return None;
    }
    let extra = sandbox
        .published
        .iter()
        .chain(&sandbox.requested)
        .find(|it| {
            !expected.iter().any(|(target, published, protocol)| {
                *target == it.port
                    && published.is_none_or(|port| port == it.host_port)
                    && *protocol == it.protocol
            })
        });
    let missing = expected.iter().find(|(target, published, protocol)| {
        !actual.iter().any(|(port, host_port, actual)| {
            port == target && published.is_none_or(|it| it == *host_port) && actual == protocol
        })
    });
    let list = |ports: Vec<String>| {
        if ports.is_empty() {
            "nothing".to_owned()
        } else {
            ports.join(", ")
        }
    };
    let wanted = list(
        expected
            .iter()
            .map(|(target, published, protocol)| match published {
                Some(published) => format!("{published}->{target}/{protocol}"),
                None => format!("any->{target}/{protocol}"),
            })
            .collect(),
    );
    let observed = list(
        actual
            .iter()
            .map(|(target, published, protocol)| format!("{published}->{target}/{protocol}"))
            .collect(),
    );
    let result = match (extra, missing) {
        (Some(extra), _) => Err((
            observed,
            format!(
                "{} was created with port {} published on {}:{}, which the file doesn't say",
                sandbox.container,
                extra.port,
                any(extra.host_ip).map_or_else(|| "0.0.0.0".to_owned(), |ip| ip.to_string()),
                if extra.host_port == 0 {
                    "any".to_owned()
                } else {
                    extra.host_port.to_string()
                }
            ),
        )),
        (None, Some(_)) => Err((
            observed,
            format!(
                "{} was created otherwise than the file says",
                sandbox.container
            ),
        )),
        (None, None) => Ok(observed),
    };
    Some(check(
        (HOST, &sandbox.label(topology), "publish"),
        wanted,
        result,
    ))
}

/// Published ports take connections on the host, and don't lead to anybody's metrics.
pub(super) fn published(project: &Project, seen: &Observation, checks: &mut Vec<Check>) {
    let Some(host) = seen.reports.get(&End::Host) else {
        return;
    };
    for (name, target) in &seen.published {
        let at = format!("{name} {target}");
        let attempt =
            connection(host, &target.host, target.port).and_then(|it| it.attempts.first());
        if let Some(attempt) = attempt {
            let saw = attempt.reach.as_str().to_owned();
            let result = if attempt.reach == Reach::Reached {
                Ok(saw)
            } else {
                let cause = "the engine's port forwarding is gone (docker-proxy and its DNAT rule): \
                             `docker restart` the container";
                Err((saw, cause.to_owned()))
            };
            checks.push(check((HOST, &at, "port"), "open", result));
        }
        // With TLS, they are asked for by who has it.
        let plain = !speaks_tls(project, target.port);
        let Some(through) = fetched(host, &metrics(target)).filter(|_| plain) else {
            continue;
        };
        let names = metric_names(&through.body);
        let same = |inside: &&Target| {
            let inside = fetched(host, &metrics(inside));
            inside.is_some_and(|it| !names.is_empty() && metric_names(&it.body) == names)
        };
        let status = through
            .status
            .map_or("no answer".to_owned(), |status| status.to_string());
        let result = match unpublished(&seen.topology).iter().find(same) {
            Some(inside) if through.status == Some(200) => Err((
                format!("the metrics of {inside}"),
                format!("{name} forwards /metrics to an admin port"),
            )),
            _ => Ok(status),
        };
        let mut check = check((HOST, &at, "/metrics"), "no admin port behind it", result);
        if through.status == Some(400) {
            // The question itself was refused, so nothing was learnt of what is behind.
            check.verdict = Verdict::Unjudged;
        }
        checks.push(check);
    }
}

/// The names that a Prometheus exposition declares.
pub(super) fn metric_names(body: &str) -> BTreeSet<&str> {
    let declared = body.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    declared.filter_map(|rest| rest.split(' ').next()).collect()
}
