//! A container of a service that a command can run in: on one machine any that runs; of a Swarm's tasks, one
//! that is on the engine we talk to, which alone can run something there.

use std::env;

use compose_file::Project;
use engine::Engine;
use engine::error::{Error, Result};
use engine::state::{Container, State, Status};
use engine::swarm;
use engine::swarm::here;
use engine::swarm::node::Node;

use crate::origin::profiles;
use crate::output::text;

/// Finds one.
///
/// # Errors
/// When none runs; when those that run are on other nodes, which are named.
pub(crate) async fn container(
    engine: &Engine,
    project: &Project,
    service: &str,
) -> Result<Container> {
    let found = if project.is_for_swarm() {
        let here = here::containers(engine, &project.name).await?;
        here.into_iter().find(|it| it.service == service)
    } else {
        let state = State::observe(engine, &project.name).await?;
        let mut containers = state.of_service(service);
        let running = containers.find(|it| it.status == Status::Running);
        running.cloned()
    };
    match found {
        Some(container) => Ok(container),
        None if project.is_for_swarm() => Err(elsewhere(engine, project, service).await?),
        None => Err(none(project, service)),
    }
}

/// What is on this engine of the project, with the containers of a Swarm's tasks as those of services.
///
/// # Errors
/// When the engine doesn't answer.
pub(crate) async fn state(engine: &Engine, project: &Project) -> Result<State> {
    let mut state = State::observe(engine, &project.name).await?;
    if project.is_for_swarm() {
        state.containers = here::containers(engine, &project.name).await?;
    }
    Ok(state)
}

/// Why there is none on this engine of a Swarm.
async fn elsewhere(engine: &Engine, project: &Project, service: &str) -> Result<Error> {
    if !swarm::is_manager(engine).await? {
        return Ok(Error::failed(
            format!(
                "no task of {service} runs on this engine ({})",
                engine.address()
            ),
            "run it at a manager of the Swarm, which says where one runs",
        ));
    }
    let nodes = here::nodes_of(engine, &project.name, service).await?;
    let arguments = env::args_os().skip(1);
    let arguments = arguments.map(|it| it.to_string_lossy().into_owned());
    Ok(on_others(service, &nodes, arguments).unwrap_or_else(|| none(project, service)))
}

/// Tasks run on these nodes alone.
fn on_others(
    service: &str,
    nodes: &[Node],
    arguments: impl Iterator<Item = String>,
) -> Option<Error> {
    let first = nodes.first()?;
    let named: Vec<String> = nodes
        .iter()
        .map(|it| format!("{} ({})", it.name, it.address))
        .collect();
    Some(Error::failed(
        format!(
            "{service} runs on node {}, and only that engine can run something in it",
            named.join(", ")
        ),
        format!("run it at that engine: `{}`", at(first, arguments)),
    ))
}

fn none(project: &Project, service: &str) -> Error {
    let disabled = project.disabled.services.get(service);
    let next = match disabled {
        Some(service) => format!(
            "it is of the profile {}, which isn't enabled: `deploy --profile … up` starts it",
            profiles([service].into_iter())
        ),
        None => "`deploy up` starts it; `deploy ps` shows what runs".to_owned(),
    };
    Error::failed(format!("no {service} of {} runs", project.name), next)
}

/// This command at the node's engine, for a shell.
fn at(node: &Node, arguments: impl Iterator<Item = String>) -> String {
    let words = arguments.map(|word| match word.as_str() {
        plain if is_plain(plain) => word,
        _ => format!("'{}'", word.replace('\'', r"'\''")),
    });
    let words: Vec<String> = words.collect();
    let command = format!(
        "DOCKER_HOST=ssh://{} deploy {}",
        node.host(),
        words.join(" ")
    );
    text::escape(&command).into_owned()
}

/// Whether a shell reads it as one word, and as it is.
fn is_plain(word: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_./:=@%+,-".contains(c);
    !word.is_empty() && word.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(nodes: &[(&str, &str)], words: &[&str]) -> String {
        let node = |(name, address): &(&str, &str)| {
            let mut node = Node::default();
            node.name = (*name).to_owned();
            node.address = (*address).to_owned();
            node
        };
        let nodes: Vec<Node> = nodes.iter().map(node).collect();
        let error = on_others("keeper", &nodes, words.iter().map(|it| (*it).to_owned()));
        error.map_or_else(String::new, |it| format!("{}\n{}", it.message, it.next))
    }

    #[test]
    fn where_a_task_is_and_what_to_run_there_is_told() {
        let files = ["-f", "compose.yaml", "-f", "compose.swarm.yaml"];
        let words = [&files[..], &["backup", "/backups/a.zip"]].concat();
        insta::assert_snapshot!(told(&[("n2", "10.77.0.12")], &words), @r"
        keeper runs on node n2 (10.77.0.12), and only that engine can run something in it
        run it at that engine: `DOCKER_HOST=ssh://10.77.0.12 deploy -f compose.yaml -f compose.swarm.yaml backup /backups/a.zip`
        ");
        let nodes = [("n2", "10.77.0.12"), ("n3", "10.77.0.13")];
        insta::assert_snapshot!(told(&nodes, &["requests", "--where", "path=/?it's"]), @r"
        keeper runs on node n2 (10.77.0.12), n3 (10.77.0.13), and only that engine can run something in it
        run it at that engine: `DOCKER_HOST=ssh://10.77.0.12 deploy requests --where 'path=/?it'\''s'`
        ");
        assert_eq!(told(&[], &words), "");
        assert!(!told(&nodes, &["\u{1b}[2J"]).contains('\u{1b}'));
    }
}
