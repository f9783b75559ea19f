//! Starting and stopping a container, with what runs in it after the one and before the other.

use compose_file::model::Hook;
use engine::state::{Container, Status};

use super::operation::Act;
use crate::hooks;

/// Starts a container that has these hooks.
pub(super) fn starting(why: Option<String>, hooks: Vec<Hook>) -> Vec<Act> {
    let owes = !hooks.is_empty();
    let start = Act::Start { why, owes };
    let hooks = owes.then_some(Act::PostStart { hooks });
    std::iter::once(start).chain(hooks).collect()
}

/// Starts a container that is there, and was made with hooks of its own.
pub(super) fn starting_again(why: Option<String>, container: Option<&Container>) -> Vec<Act> {
    let hooks = container.map(|it| hooks::post_start(it.config.as_ref()));
    starting(why, hooks.unwrap_or_default())
}

/// Stops a container with the hooks that it was made with.
pub(super) fn stopping(container: Option<&Container>, why: &str) -> Vec<Act> {
    let running = container.filter(|it| it.status == Status::Running);
    let hooks = running.map(|it| hooks::pre_stop(it.config.as_ref()));
    let hooks = hooks.filter(|it| !it.is_empty());
    let hooks = hooks.map(|hooks| Act::PreStop { hooks });
    let why = why.to_owned();
    hooks.into_iter().chain([Act::Stop { why }]).collect()
}

/// What takes a container away.
pub(super) fn removal(container: Option<&Container>, why: &str) -> Vec<Act> {
    let mut acts = stopping(container, why);
    acts.push(Act::Remove);
    acts
}
