//! What is read only in a file for a Swarm: placement, restarts of tasks, configs.

use super::forms::{duration, host_path};
use super::mounts::file_mount;
use crate::cursor::Cursor;
use crate::fields::Fields;
use crate::model::{
    Config, ConfigMount, ConfigName, Constraint, EndpointMode, Mode, OVERLAY, Placement,
    Preference, PublishMode, Ratio, RestartCondition, Swarm, TaskRestart,
};
use crate::yaml::{Entry, Node, Value};

/// Whether the file has a network that reaches over the nodes of a Swarm. What is wrong with the
/// networks is told where they are read.
pub(crate) fn is_for_swarm(root: &Cursor<'_>) -> bool {
    let Some(Value::Map(networks)) = root.node.get("networks").map(|it| &it.value) else {
        return false;
    };
    let driver =
        |network: &Entry| network.value.get("driver").and_then(Node::text) == Some(OVERLAY);
    networks.iter().any(driver)
}

/// `x-swarm`. What is empty isn't set: the values come from `.env`.
pub(super) fn swarm(cursor: &Cursor<'_>) -> Option<Swarm> {
    let fields = Fields::of(cursor)?;
    let registry = fields
        .get("registry")
        .and_then(|c| set(&c, is_registry, REGISTRY));
    let ssh = fields.get("ssh").and_then(|c| set(&c, is_way, WAY));
    fields.finish(&[]);
    let swarm = Swarm { registry, ssh };
    (swarm != Swarm::default()).then_some(swarm)
}

const REGISTRY: &str = "HOST[:PORT][/PREFIX] in lower case, such as registry.example:5000/team";
const WAY: &str =
    "[USER@]HOST[:PORT] with {address} or {name} for the node's, such as root@{address}";

fn set(cursor: &Cursor<'_>, is: fn(&str) -> bool, expected: &str) -> Option<String> {
    let text = cursor.string()?;
    if text.is_empty() {
        return None;
    }
    if !is(text) {
        cursor.expected(expected);
    }
    Some(text.to_owned())
}

/// Of what looks like a name on Docker Hub, nobody could tell that it isn't a host.
fn is_registry(text: &str) -> bool {
    let (host, prefix) = text.split_once('/').unwrap_or((text, "a"));
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
    let is_host = host.contains(['.', ':']) || host == "localhost";
    let mut parts = prefix.split('/');
    is_host
        && host
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || ".-:[]".contains(c))
        && parts.all(|it| {
            it.starts_with(|c: char| c.is_ascii_alphanumeric()) && it.chars().all(allowed)
        })
}

fn is_way(text: &str) -> bool {
    let rest = text.replacen("{address}", "", 1).replacen("{name}", "", 1);
    rest != text
        && !rest.starts_with('-')
        && rest
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "@:._-".contains(c))
}

/// `deploy.mode`.
pub(super) fn mode(cursor: &Cursor<'_>) -> Option<Mode> {
    cursor.choice(&[("replicated", Mode::Replicated), ("global", Mode::Global)])
}

/// `deploy.endpoint_mode`.
pub(super) fn endpoint_mode(cursor: &Cursor<'_>) -> Option<EndpointMode> {
    cursor.choice(&[("vip", EndpointMode::Vip), ("dnsrr", EndpointMode::Dnsrr)])
}

/// `mode` of a published port.
pub(super) fn publish_mode(cursor: &Cursor<'_>) -> Option<PublishMode> {
    cursor.choice(&[
        ("ingress", PublishMode::Ingress),
        ("host", PublishMode::Host),
    ])
}

/// `deploy.placement`.
pub(super) fn placement(cursor: &Cursor<'_>) -> Option<Placement> {
    let fields = Fields::of(cursor)?;
    let items = |key| fields.get(key).and_then(|c| c.items()).unwrap_or_default();
    let constraints = items("constraints");
    let preferences = items("preferences");
    let placement = Placement {
        constraints: constraints.iter().filter_map(constraint).collect(),
        preferences: preferences.iter().filter_map(preference).collect(),
        max_replicas_per_node: fields
            .get("max_replicas_per_node")
            .and_then(|c| c.unsigned(0)),
    };
    fields.finish(&[]);
    Some(placement)
}

fn constraint(cursor: &Cursor<'_>) -> Option<Constraint> {
    let expected = "node.labels.NAME, node.hostname, node.id, node.role, node.platform.os, \
                    node.platform.arch or engine.labels.NAME, == or !=, and a value";
    cursor.parse(expected, Constraint::parse)
}

fn preference(cursor: &Cursor<'_>) -> Option<Preference> {
    let fields = Fields::of(cursor)?;
    let spread = fields.required("spread").and_then(|c| c.filled());
    fields.finish(&[]);
    let spread = spread?.to_owned();
    Some(Preference { spread })
}

/// `deploy.restart_policy`.
pub(super) fn task_restart(cursor: &Cursor<'_>) -> Option<TaskRestart> {
    let fields = Fields::of(cursor)?;
    let conditions = [
        ("none", RestartCondition::None),
        ("on-failure", RestartCondition::OnFailure),
        ("any", RestartCondition::Any),
    ];
    let policy = TaskRestart {
        condition: fields
            .get("condition")
            .and_then(|c| c.choice(&conditions))
            .unwrap_or_default(),
        delay: fields.get("delay").and_then(|c| duration(&c)),
        max_attempts: fields.get("max_attempts").and_then(|c| c.unsigned(0)),
        window: fields.get("window").and_then(|c| duration(&c)),
    };
    fields.finish(&[]);
    Some(policy)
}

/// `max_failure_ratio`.
pub(super) fn ratio(cursor: &Cursor<'_>) -> Option<Ratio> {
    cursor.parse("a part from 0 to 1, such as 0.25", parse_ratio)
}

fn parse_ratio(text: &str) -> Option<Ratio> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    let fraction: u32 = format!("{fraction:0<6}").get(..6)?.parse().ok()?;
    let whole: u32 = whole.parse().ok()?;
    let millionths = whole.checked_mul(1_000_000)?.checked_add(fraction)?;
    (millionths <= 1_000_000).then_some(Ratio(millionths))
}

/// The `name` of a secret or config, which Docker Compose writes out. On the engine that and the content's
/// hash are its name, so that another one would be of no use.
pub(super) fn default_name(key: &str, fields: &Fields<'_>) {
    let context = fields.here.context;
    // In a file for one machine the key isn't asked for, and so reported.
    if !context.swarm {
        return;
    }
    if let Some(name) = fields.get("name") {
        let default = format!("{}_{key}", context.project);
        if name.string().is_some_and(|it| it != default) {
            name.expected(format!("{default}, or no name: its content's hash follows"));
        }
    }
}

/// An entry of the top-level `configs`.
pub(super) fn config(key: &str, cursor: &Cursor<'_>) -> Option<Config> {
    let fields = Fields::of(cursor)?;
    default_name(key, &fields);
    let file = fields.get("file").and_then(|c| host_path(&c));
    let content = fields.get("content").and_then(|c| c.string());
    fields.finish(&[
        ("external", "name a `file`, or write its `content`"),
        ("environment", "name a `file`, or write its `content`"),
        ("template_driver", "write the content out"),
    ]);
    match (file, content) {
        (Some(file), None) => Some(Config::File(file)),
        (None, Some(content)) => Some(Config::Content(content.to_owned())),
        (Some(_), Some(_)) => {
            cursor.problem("both file and content; one of them says what is in it");
            None
        }
        (None, None) => {
            if !cursor.has("file") && !cursor.has("content") {
                cursor.problem("neither file nor content; one of them says what is in it");
            }
            None
        }
    }
}

/// `configs` of a service: names, or mappings with where and how the config is seen.
pub(super) fn configs(cursor: &Cursor<'_>) -> Vec<ConfigMount> {
    let items = cursor.items().unwrap_or_default();
    let at_root = |name: &str| format!("/{}", name.trim_start_matches('/'));
    let config = |item| file_mount(item, ConfigName, at_root);
    items.iter().filter_map(config).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constraints() {
        let shown = |text| Constraint::parse(text).map(|it| it.to_string());
        for (text, expected) in [
            (
                "node.labels.causeway.mongo==1",
                "node.labels.causeway.mongo == 1",
            ),
            ("node.role != manager", "node.role != manager"),
            (" node.hostname ==n1 ", "node.hostname == n1"),
        ] {
            assert_eq!(shown(text).as_deref(), Some(expected));
        }
        for text in [
            "",
            "node.role",
            "node.role == ",
            "role == a",
            "node.labels. == 1",
            "a b == c",
        ] {
            assert_eq!(shown(text), None, "{text}");
        }
    }

    #[test]
    fn ratios() {
        for (text, expected) in [
            ("0", 0),
            ("0.25", 250_000),
            ("1", 1_000_000),
            ("1.0", 1_000_000),
        ] {
            assert_eq!(parse_ratio(text), Some(Ratio(expected)), "{text}");
        }
        for text in ["", "1.1", "-0.1", "0.", ".5", "2", "x"] {
            assert_eq!(parse_ratio(text), None, "{text}");
        }
    }
}
