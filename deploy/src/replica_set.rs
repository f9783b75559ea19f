//! The database's services as one replica set (`x-replica-set`): initiated, grown and shrunk while it
//! serves.
//!
//! The command of the file does it, in a member's container: it reads what is wanted as one JSON object
//! ([`Wanted`]), and its last line says what it changed ([`Said`]). It has to work as often as it is run.
//! On a Swarm it runs beside the members (`swarm/replica_set.rs`).

use std::collections::{BTreeMap, BTreeSet};

use compose_file::Project;
use compose_file::model::{ReplicaSet, ServiceName};
use engine::Engine;
use engine::error::{Error, Result};
use engine::state::{State, Status};
use serde::{Deserialize, Serialize};

use crate::output::Output;
use crate::rotation::tell::said_by;
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
pub(crate) struct Said {
    /// What it did.
    changed: Vec<String>,
    /// What goes on by itself, and is finished by the next `up`.
    pending: Vec<String>,
    /// The member that takes writes.
    #[serde(default)]
    pub(crate) primary: Option<String>,
}

impl Said {
    fn tell(&self, output: &Output, set: &ReplicaSet) {
        if !self.changed.is_empty() {
            let task = output.task(&format!("replica set {}", set.name), "changing");
            task.done(&self.changed.join(", "));
        }
        for pending in &self.pending {
            output.note(&format!("replica set {}: {pending}", set.name));
        }
    }
}

/// What keeps a set of these `members` from being given up: as long as several may have what one of them hasn't,
/// none can go on alone.
pub(crate) fn left_alone(set: Option<&ReplicaSet>, members: BTreeSet<&str>) -> Option<String> {
    let several = set.is_none() && members.len() > 1;
    several.then(|| {
        let members: Vec<&str> = members.into_iter().collect();
        format!(
            "the database is a replica set of {}, and the file has none: what was written last may be on some of \
             them only. Take out all but one first, which copies it (docs/replica-set.md, The way back)",
            members.join(", ")
        )
    })
}

/// How the command is named in errors.
pub(crate) fn what(set: &ReplicaSet) -> String {
    format!("replica set {}: the command that makes it", set.name)
}

/// What the command is to read.
///
/// # Errors
/// When the values have no form in JSON.
pub(crate) fn wanted(
    set: &ReplicaSet,
    present: &[ServiceName],
    secrets: &BTreeMap<&str, Vec<&str>>,
) -> Result<Vec<u8>> {
    let wanted = Wanted {
        set,
        present,
        secrets,
    };
    serde_json::to_vec(&wanted).map_err(|_| misunderstood(set))
}

/// Shows what the command did; `said` is all that it wrote.
///
/// # Errors
/// When its last line isn't what it has to be.
pub(crate) fn heard(output: &Output, set: &ReplicaSet, said: &str) -> Result<Said> {
    let mut lines = said.lines().rev();
    let said: Option<Said> = lines.find_map(|line| serde_json::from_str(line.trim()).ok());
    let said = said.ok_or_else(|| misunderstood(set))?;
    said.tell(output, set);
    Ok(said)
}

fn misunderstood(set: &ReplicaSet) -> Error {
    Error::failed(
        format!("{} and deploy don't understand each other", what(set)),
        "its last line has to be {\"changed\": [TEXT...], \"pending\": [TEXT...]}",
    )
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
    let input = wanted(set, present, &values)?;
    let said = said_by(engine, container, &set.command, &input, &values, &what(set)).await?;
    heard(output, set, &said)?;
    Ok(())
}
