//! What a service was made from, so that what was asked for and what the engine says of it can be
//! compared: without what the engine adds, and without what is as if it weren't there.

use bollard::models::{ServiceSpec, TaskSpec};
use serde_json::{Map, Value, json};

use super::spec::READABLE;
use crate::labels;

/// A service's settings: those of its containers first, as in the Compose file, then those of tasks and
/// the service's own. Environment variables have a path each.
pub fn of_service(spec: &ServiceSpec) -> Value {
    let mut settings = match spec.task_template.as_ref().map(of_task) {
        Some(Value::Object(settings)) => settings,
        _ => Map::new(),
    };
    let mode = spec.mode.clone().unwrap_or_default();
    // An empty object says that it is global.
    if mode.global.is_some() {
        settings.insert("Mode".to_owned(), json!("global"));
    }
    if let Some(replicas) = mode.replicated.and_then(|it| it.replicas) {
        settings.insert("Replicas".to_owned(), json!(replicas));
    }
    let mut labels = spec.labels.clone().unwrap_or_default();
    // Where the file lies is no setting, and the check stands among them itself.
    labels.remove(labels::FILE);
    labels.remove(labels::HEALTH);
    for (key, value) in [
        ("Labels", json!(labels)),
        ("UpdateConfig", json!(spec.update_config)),
        ("RollbackConfig", json!(spec.rollback_config)),
        ("EndpointSpec", json!(spec.endpoint_spec)),
    ] {
        if let Some(value) = said(value) {
            settings.insert(key.to_owned(), value);
        }
    }
    settings.into()
}

/// The settings of a task.
pub fn of_task(template: &TaskSpec) -> Value {
    let mut template = template.clone();
    // What the engine fills in, and what makes it start tasks anew and says nothing of them.
    template.force_update = None;
    template.runtime = None;
    if let Some(placement) = &mut template.placement {
        placement.platforms = None;
    }
    let mut container = template.container_spec.take().unwrap_or_default();
    container.isolation = None;
    let secrets = container.secrets.take().unwrap_or_default();
    let secrets = secrets.into_iter().filter_map(|it| {
        let file = it.file?;
        Some(seen(
            file.name?,
            it.secret_name?,
            [file.uid, file.gid],
            file.mode,
        ))
    });
    let secrets: Map<String, Value> = secrets.collect();
    let configs = container.configs.take().unwrap_or_default();
    let configs = configs.into_iter().filter_map(|it| {
        let file = it.file?;
        Some(seen(
            file.name?,
            it.config_name?,
            [file.uid, file.gid],
            file.mode,
        ))
    });
    let configs: Map<String, Value> = configs.collect();
    let environment = container.env.take().unwrap_or_default();
    let environment: Map<String, Value> = environment
        .iter()
        .map(|it| it.split_once('=').unwrap_or((it, "")))
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
    let mut settings = Map::new();
    if let Some(Value::Object(mut container)) = said(json!(container)) {
        if let Some(labels) = container.remove("Labels") {
            container.insert("ContainerLabels".to_owned(), labels);
        }
        settings.extend(container);
    }
    if let Some(Value::Object(rest)) = said(json!(template)) {
        settings.extend(rest);
    }
    for (key, values) in [
        ("environment", environment),
        ("secrets", secrets),
        ("configs", configs),
    ] {
        if !values.is_empty() {
            settings.insert(key.to_owned(), values.into());
        }
    }
    settings.into()
}

/// A secret or config by its path in the container: its name, which has its content's hash, and whose it
/// is where that isn't root's and for all to read.
fn seen(
    path: String,
    name: String,
    owners: [Option<String>; 2],
    mode: Option<u32>,
) -> (String, Value) {
    let [user, group] = owners.map(|it| it.unwrap_or_else(|| "0".to_owned()));
    let mode = mode.unwrap_or(READABLE);
    let usual = user == "0" && group == "0" && mode == READABLE;
    let shown = if usual {
        name
    } else {
        format!("{name} ({user}:{group} {mode:04o})")
    };
    (path, shown.into())
}

/// Without what says nothing: null, false, 0, and what is empty.
fn said(value: Value) -> Option<Value> {
    match value {
        Value::Null | Value::Bool(false) => None,
        Value::Number(number) if number.as_f64() == Some(0.0) => None,
        Value::String(text) if text.is_empty() => None,
        Value::Array(items) => {
            let items: Vec<Value> = items.into_iter().filter_map(said).collect();
            (!items.is_empty()).then(|| items.into())
        }
        Value::Object(map) => {
            let map: Map<String, Value> = map
                .into_iter()
                .filter_map(|(key, value)| Some((key, said(value)?)))
                .collect();
            (!map.is_empty()).then(|| map.into())
        }
        value => Some(value),
    }
}

#[cfg(test)]
mod tests {
    use bollard::models::{ServiceSpecMode, TaskSpecContainerSpec};

    use super::*;

    fn spec(container: TaskSpecContainerSpec) -> ServiceSpec {
        ServiceSpec {
            task_template: Some(TaskSpec {
                container_spec: Some(container),
                ..TaskSpec::default()
            }),
            mode: Some(ServiceSpecMode {
                global: Some([].into()),
                ..ServiceSpecMode::default()
            }),
            ..ServiceSpec::default()
        }
    }

    #[test]
    fn what_the_engine_fills_in_is_no_difference() {
        let asked = TaskSpecContainerSpec {
            image: Some("app".to_owned()),
            env: Some(vec!["A=1".to_owned(), "EMPTY=".to_owned()]),
            read_only: Some(false),
            ..TaskSpecContainerSpec::default()
        };
        let mut told = spec(TaskSpecContainerSpec {
            isolation: Some(bollard::models::TaskSpecContainerSpecIsolationEnum::DEFAULT),
            hosts: Some(Vec::new()),
            read_only: None,
            ..asked.clone()
        });
        let template = told.task_template.get_or_insert_default();
        template.runtime = Some("container".to_owned());
        template.force_update = Some(3);
        let asked = of_service(&spec(asked));
        assert_eq!(asked, of_service(&told));
        assert_eq!(
            asked,
            json!({"Image": "app", "Mode": "global", "environment": {"A": "1", "EMPTY": ""}})
        );
    }
}
