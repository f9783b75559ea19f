//! `healthcheck` and `depends_on`.

use std::collections::BTreeMap;

use super::forms::duration;
use crate::cursor::Cursor;
use crate::fields::Fields;
use crate::model::{Condition, Dependency, HealthTest, Healthcheck, ServiceName};

const CONDITIONS: &[(&str, Condition)] = &[
    ("service_started", Condition::ServiceStarted),
    ("service_healthy", Condition::ServiceHealthy),
    (
        "service_completed_successfully",
        Condition::ServiceCompletedSuccessfully,
    ),
];

/// `healthcheck`.
pub(super) fn healthcheck(cursor: &Cursor<'_>) -> Option<Healthcheck> {
    let fields = Fields::of(cursor)?;
    let time = |key| fields.get(key).and_then(|c| duration(&c));
    let disable = fields
        .get("disable")
        .and_then(|c| c.boolean())
        .unwrap_or(false);
    let test = fields.get("test").and_then(|c| test(&c));
    if disable
        && test
            .as_ref()
            .is_some_and(|test| *test != HealthTest::Disabled)
    {
        cursor.problem("disable: true together with a test; remove one of them");
    }
    let healthcheck = Healthcheck {
        test: if disable {
            Some(HealthTest::Disabled)
        } else {
            test
        },
        interval: time("interval"),
        timeout: time("timeout"),
        retries: fields.get("retries").and_then(|c| c.unsigned(1)),
        start_period: time("start_period"),
        start_interval: time("start_interval"),
    };
    fields.finish(&[]);
    Some(healthcheck)
}

/// A line for the shell, or a list that begins with how to run the rest.
fn test(cursor: &Cursor<'_>) -> Option<HealthTest> {
    const EXPECTED: &str =
        "a shell command, [NONE], [CMD, program, argument, …] or [CMD-SHELL, command]";
    if cursor.is_scalar() {
        return cursor
            .filled()
            .map(|line| HealthTest::Shell(line.to_owned()));
    }
    let words = cursor.strings()?;
    let test = match words.split_first() {
        Some((kind, [])) if kind == "NONE" => Some(HealthTest::Disabled),
        Some((kind, [line])) if kind == "CMD-SHELL" => Some(HealthTest::Shell(line.clone())),
        Some((kind, arguments)) if kind == "CMD" && !arguments.is_empty() => {
            Some(HealthTest::Exec(arguments.to_vec()))
        }
        _ => None,
    };
    if test.is_none() {
        let first = words.first().map_or("nothing", String::as_str);
        cursor.problem(format!(
            "expected {EXPECTED}, found {first} as the first word"
        ));
    }
    test
}

/// `depends_on`: a list of names, or a mapping to conditions.
pub(super) fn depends_on(cursor: &Cursor<'_>) -> BTreeMap<ServiceName, Dependency> {
    let mut dependencies = BTreeMap::new();
    if cursor.is_list() {
        for item in cursor.items().unwrap_or_default() {
            let Some(name) = item.filled() else { continue };
            let name = ServiceName(name.to_owned());
            if dependencies
                .insert(name.clone(), Dependency::default())
                .is_some()
            {
                item.problem(format!("{name} is in the list already"));
            }
        }
        return dependencies;
    }
    if cursor.is_scalar() {
        cursor.expected("a list of services, or a mapping");
        return dependencies;
    }
    for (name, service) in cursor.entries().unwrap_or_default() {
        let Some(fields) = Fields::of(&service) else {
            continue;
        };
        let condition = fields
            .required("condition")
            .and_then(|c| c.choice(CONDITIONS));
        let required = fields.get("required").and_then(|c| c.boolean());
        fields.only("restart", &[("false", ())]);
        fields.finish(&[]);
        let dependency = Dependency {
            condition: condition.unwrap_or_default(),
            required: required.unwrap_or(true),
        };
        dependencies.insert(ServiceName(name.to_owned()), dependency);
    }
    dependencies
}
