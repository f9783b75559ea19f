//! `deploy` (Compose Deploy specification), and the older service keys that say the same.

use std::fmt::Display;

use super::forms::{cpus, duration, size};
use super::swarm;
use crate::cursor::Cursor;
use crate::fields::Fields;
use crate::model::{
    Deploy, FailureAction, Limits, Reservations, Resources, UpdateConfig, UpdateOrder,
};

const MAX_REPLICAS: i64 = 1000;

/// What only a Swarm carries out. In a file for one, these keys are read.
const HINTS: &[(&str, &str)] = &[
    ("restart_policy", "use `restart` of the service"),
    (
        "labels",
        "they are for Swarm services; use `labels` of the service",
    ),
    ("placement", "it needs Swarm; there is one engine here"),
    ("endpoint_mode", "it needs Swarm"),
    ("rollback_config", "a rollback follows `update_config`"),
];

/// `deploy` with `scale`, `cpus`, `mem_limit`, `mem_reservation` and `pids_limit` folded in.
/// `service` are the fields of the whole service.
pub(super) fn deploy(service: &Fields<'_>) -> Deploy {
    let section = service.get("deploy").and_then(|cursor| Fields::of(&cursor));
    let section = section.as_ref();
    let field = |key| section.and_then(|fields| fields.get(key));
    let for_swarm = service.here.context.swarm;
    // Not asked for in a file for one machine, and so reported.
    let of_swarm = |key| for_swarm.then(|| field(key)).flatten();

    let resources = field("resources").and_then(|cursor| Fields::of(&cursor));
    let part = |key| {
        resources
            .as_ref()
            .and_then(|fields| Fields::of(&fields.get(key)?))
    };
    let (limits, reservations) = (part("limits"), part("reservations"));
    let limit = |key| limits.as_ref().and_then(|fields| fields.get(key));
    let reservation = |key| reservations.as_ref().and_then(|fields| fields.get(key));

    let deploy = Deploy {
        mode: of_swarm("mode")
            .and_then(|c| swarm::mode(&c))
            .unwrap_or_default(),
        endpoint_mode: of_swarm("endpoint_mode").and_then(|c| swarm::endpoint_mode(&c)),
        placement: of_swarm("placement")
            .and_then(|c| swarm::placement(&c))
            .unwrap_or_default(),
        rollback_config: of_swarm("rollback_config").and_then(|c| rollback_config(&c)),
        restart_policy: of_swarm("restart_policy").and_then(|c| swarm::task_restart(&c)),
        labels: of_swarm("labels")
            .and_then(|c| c.labels())
            .unwrap_or_default(),
        replicas: same(
            field("replicas").as_ref(),
            service.get("scale").as_ref(),
            replicas,
        )
        .unwrap_or(1),
        update_config: field("update_config")
            .and_then(|c| update_config(&c))
            .unwrap_or_default(),
        resources: Resources {
            limits: Limits {
                cpus: same(limit("cpus").as_ref(), service.get("cpus").as_ref(), cpus),
                memory: same(
                    limit("memory").as_ref(),
                    service.get("mem_limit").as_ref(),
                    size,
                ),
                pids: same(
                    limit("pids").as_ref(),
                    service.get("pids_limit").as_ref(),
                    pids,
                ),
            },
            reservations: Reservations {
                cpus: for_swarm
                    .then(|| reservation("cpus").and_then(|c| cpus(&c)))
                    .flatten(),
                memory: same(
                    reservation("memory").as_ref(),
                    service.get("mem_reservation").as_ref(),
                    size,
                ),
            },
        },
    };
    if let Some(fields) = section {
        if !for_swarm {
            fields.only("mode", &[("replicated", ())]);
        }
        fields.finish(HINTS);
    }
    for fields in [&resources, &limits].into_iter().flatten() {
        fields.finish(&[]);
    }
    if let Some(fields) = &reservations {
        fields.finish(&[
            (
                "cpus",
                "an engine can't set CPUs aside without Swarm; use `limits`",
            ),
            ("devices", "devices can't be reserved"),
            ("generic_resources", "it needs Swarm"),
        ]);
    }
    deploy
}

/// What two keys say that mean the same: they may not contradict each other.
fn same<T: PartialEq + Display>(
    section: Option<&Cursor<'_>>,
    service: Option<&Cursor<'_>>,
    read: impl Fn(&Cursor<'_>) -> Option<T>,
) -> Option<T> {
    let first = section.and_then(&read);
    let second = service.and_then(&read);
    if let (Some(a), Some(b), Some(section), Some(service)) = (&first, &second, section, service)
        && a != b
    {
        service.problem(format!("{b} contradicts {}, which is {a}", section.path));
    }
    first.or(second)
}

fn replicas(cursor: &Cursor<'_>) -> Option<u32> {
    cursor
        .integer(0..=MAX_REPLICAS)
        .and_then(|number| number.try_into().ok())
}

fn pids(cursor: &Cursor<'_>) -> Option<i64> {
    let pids = cursor.integer(-1..=i64::MAX)?;
    // 0 means unlimited for some engines and isn't defined for others.
    if pids == 0 {
        cursor.expected("a number of processes, or -1 for no limit");
    }
    Some(pids)
}

/// What may follow a failed replacement, and what may follow one while the engine goes back: from there,
/// there is no way further back.
const AFTER_UPDATE: &[(&str, FailureAction)] = &[
    ("continue", FailureAction::Continue),
    ("rollback", FailureAction::Rollback),
    ("pause", FailureAction::Pause),
];
const AFTER_ROLLBACK: &[(&str, FailureAction)] = &[
    ("continue", FailureAction::Continue),
    ("pause", FailureAction::Pause),
];

fn update_config(cursor: &Cursor<'_>) -> Option<UpdateConfig> {
    rollout(cursor, AFTER_UPDATE, FailureAction::default())
}

fn rollback_config(cursor: &Cursor<'_>) -> Option<UpdateConfig> {
    rollout(cursor, AFTER_ROLLBACK, FailureAction::Pause)
}

fn rollout(
    cursor: &Cursor<'_>,
    actions: &[(&str, FailureAction)],
    otherwise: FailureAction,
) -> Option<UpdateConfig> {
    let fields = Fields::of(cursor)?;
    let default = UpdateConfig::default();
    let time = |key| fields.get(key).and_then(|c| duration(&c));
    let orders = [
        ("start-first", UpdateOrder::StartFirst),
        ("stop-first", UpdateOrder::StopFirst),
    ];
    let config = UpdateConfig {
        parallelism: fields
            .get("parallelism")
            .and_then(|c| c.unsigned(0))
            .unwrap_or(default.parallelism),
        delay: time("delay").unwrap_or(default.delay),
        order: fields
            .get("order")
            .and_then(|c| c.choice(&orders))
            .unwrap_or(default.order),
        failure_action: fields
            .get("failure_action")
            .and_then(|c| c.choice(actions))
            .unwrap_or(otherwise),
        monitor: time("monitor").unwrap_or(default.monitor),
        max_failure_ratio: if cursor.context.swarm {
            fields
                .get("max_failure_ratio")
                .and_then(|c| swarm::ratio(&c))
        } else {
            None
        },
    };
    fields.finish(&[("max_failure_ratio", "use `failure_action`")]);
    Some(config)
}
