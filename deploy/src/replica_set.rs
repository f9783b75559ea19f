//! The database's services as one replica set (`x-replica-set`): initiated, grown and shrunk while it
//! serves.
//!
//! The command of the file does it, in a member's container: it reads what is wanted as one JSON object
//! ([`Wanted`]), and its last line says what it changed ([`Said`]). It has to work as often as it is run.

use std::collections::BTreeMap;

use compose_file::Project;
use compose_file::model::{ReplicaSet, ServiceName};
use engine::Engine;
use engine::error::{Error, Result};
use engine::state::{State, Status};
use serde::{Deserialize, Serialize};

use crate::output::Output;
use crate::rotation::said_by;
use crate::secrets::Secrets;

/// What the command reads.
#[derive(Serialize)]
struct Wanted<'a> {
    /// What the file says.
    #[serde(flatten)]
    set: &'a ReplicaSet,
    /// Those of its members that can be asked by now.
    present: &'a [ServiceName],
    /// As for `x-rotate`: the values that may be in force, the newest first.
    secrets: &'a BTreeMap<&'a str, Vec<&'a str>>,
}

/// What the command says in the end.
#[derive(Deserialize)]
struct Said {
    /// What it did.
    changed: Vec<String>,
    /// What goes on by itself, and is finished by the next `up`.
    pending: Vec<String>,
}

/// Makes `present` members of the set, and what the file doesn't have none any more.
pub(crate) async fn join(
    engine: &Engine,
    output: &Output,
    project: &Project,
    present: &[ServiceName],
) -> Result<()> {
    let Some(set) = &project.replica_set else {
        return Ok(());
    };
    let state = State::observe(engine, &project.name).await?;
    let running = present.iter().find_map(|service| {
        let mut containers = state.of_service(service);
        let container = containers.find(|it| it.status == Status::Running)?;
        Some((service, container))
    });
    let Some((service, container)) = running else {
        return Err(Error::failed(
            format!("replica set {}: none of its members runs", set.name),
            "give each a replica and run `deploy up` again",
        ));
    };
    let secrets = Secrets::read(project)?;
    let values = secrets.read_by(project, service);
    let wanted = Wanted {
        set,
        present,
        secrets: &values,
    };
    let what = format!("replica set {}: the command that makes it", set.name);
    let report = || {
        Error::failed(
            format!("{what} and deploy don't understand each other"),
            "its last line has to be {\"changed\": [TEXT...], \"pending\": [TEXT...]}",
        )
    };
    let input = serde_json::to_vec(&wanted).map_err(|_| report())?;
    let said = said_by(engine, container, &set.command, &input, &values, &what).await?;
    let said: Said = said
        .lines()
        .rev()
        .find_map(|line| serde_json::from_str(line.trim()).ok())
        .ok_or_else(report)?;
    if !said.changed.is_empty() {
        let task = output.task(&format!("replica set {}", set.name), "changing");
        task.done(&said.changed.join(", "));
    }
    for pending in &said.pending {
        output.note(&format!("replica set {}: {pending}", set.name));
    }
    Ok(())
}
