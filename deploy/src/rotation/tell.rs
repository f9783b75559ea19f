//! Tells a service of a secret's new value: runs the command of `x-rotate` in its containers.
//!
//! The command reads one JSON object: for each text secret that the service has, the values
//! that may be in force, the newest first. The first of the rotated secret is the one to be
//! set. It has to work as often as it is run.

use std::collections::BTreeMap;

use compose_file::Project;
use compose_file::model::{Rotate, SecretName};
use engine::Engine;
use engine::error::{Error, Result};
use engine::exec;
use engine::state::{Container, State, Status};

use crate::output::Output;
use crate::secrets::Secrets;

/// So much of what a failed command wrote is shown.
const LINES: usize = 20;

/// What it takes to tell a service.
pub(crate) struct Telling<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) project: &'a Project,
    pub(crate) state: &'a State,
    pub(crate) secrets: &'a Secrets,
}

impl Telling<'_> {
    /// [`run`](Self::run) with a line of progress.
    pub(crate) async fn run_aloud(
        &self,
        output: &Output,
        name: &SecretName,
        rotate: &Rotate,
    ) -> Result<()> {
        let service = &rotate.service;
        let task = output.task(&format!("secret {name}"), &format!("telling {service}"));
        self.run(name, rotate).await?;
        task.done(&format!("known to {service}"));
        Ok(())
    }

    /// Runs the command in every running container of the service, one after the other.
    pub(crate) async fn run(&self, name: &SecretName, rotate: &Rotate) -> Result<()> {
        let running: Vec<&Container> = self
            .state
            .of_service(&rotate.service)
            .filter(|it| it.status == Status::Running)
            .collect();
        if running.is_empty() {
            return Err(Error::failed(
                format!(
                    "secret {name}: {} has no running container that could be told of the new value",
                    rotate.service
                ),
                "give the service a replica and run `deploy up` again",
            ));
        }
        let values = self.secrets.read_by(self.project, &rotate.service);
        let input = input(name, &values)?;
        for container in running {
            let what = what(name, &rotate.service);
            said_by(
                self.engine,
                container,
                &rotate.command,
                &input,
                &values,
                &what,
            )
            .await?;
        }
        Ok(())
    }
}

/// Tells the service that keeps a secret's value in its data of the one in the file.
pub(crate) async fn tell(
    engine: &Engine,
    output: &Output,
    project: &Project,
    name: &SecretName,
) -> Result<()> {
    let Some(rotate) = project.secrets.get(name).and_then(|it| it.rotate.as_ref()) else {
        return Ok(());
    };
    let telling = Telling {
        engine,
        project,
        state: &State::observe(engine, &project.name).await?,
        secrets: &Secrets::read(project)?,
    };
    telling.run_aloud(output, name, rotate).await
}

/// What the command reads.
///
/// # Errors
/// When the values have no form in JSON.
pub(crate) fn input(name: &SecretName, values: &BTreeMap<&str, Vec<&str>>) -> Result<Vec<u8>> {
    serde_json::to_vec(values).map_err(|_| {
        Error::failed(
            format!("secret {name}: its values have no form in JSON"),
            "report it, without the values",
        )
    })
}

/// How the command is named in errors.
pub(crate) fn what(name: &SecretName, told: &str) -> String {
    format!("secret {name}: the command that tells {told} of its new value")
}

/// What a command says that has read secrets; it has to succeed. `what` it is begins the error.
pub(crate) async fn said_by(
    engine: &Engine,
    container: &Container,
    command: &[String],
    input: &[u8],
    values: &BTreeMap<&str, Vec<&str>>,
    what: &str,
) -> Result<String> {
    let ended = exec::run(engine, container, command, input).await?;
    if ended.status == 0 {
        return Ok(ended.said);
    }
    Err(failed(
        ended.status,
        &ended.said,
        values,
        what,
        &container.name,
    ))
}

/// That a command which has read secrets failed in `place`, with the end of what it said.
pub(crate) fn failed(
    status: i64,
    said: &str,
    values: &BTreeMap<&str, Vec<&str>>,
    what: &str,
    place: &str,
) -> Error {
    let said = redacted(said, values);
    let last = last_lines(&said).into_iter();
    let details = last.map(|line| format!("{place}: {line}"));
    Error::failed(
        format!("{what} ended with status {status}"),
        "correct the cause and run `deploy up` again",
    )
    .with_details(details)
}

/// The last lines of what a command wrote, as far as they are shown.
pub(crate) fn last_lines(said: &str) -> Vec<String> {
    let lines = said.lines().filter(|it| !it.trim().is_empty());
    let lines: Vec<String> = lines.map(str::to_owned).collect();
    lines[lines.len().saturating_sub(LINES)..].to_vec()
}

/// `text` without any of the values, as they are and as JSON has them.
pub(crate) fn redacted(text: &str, values: &BTreeMap<&str, Vec<&str>>) -> String {
    let mut forms: Vec<String> = values
        .values()
        .flatten()
        .flat_map(|value| {
            let json = serde_json::Value::from(*value).to_string();
            let unquoted = json.get(1..json.len() - 1).unwrap_or_default();
            [unquoted.to_owned(), (*value).to_owned()]
        })
        .filter(|form| !form.is_empty())
        .collect();
    // A value may be the beginning of another.
    forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
    forms.iter().fold(text.to_owned(), |text, form| {
        text.replace(form, "[redacted]")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_is_left_in_what_is_shown() {
        let values = BTreeMap::from([("a", vec!["pass", "password"]), ("b", vec!["x\""])]);
        assert_eq!(
            redacted(r#"password is not pass, "x\"" is x""#, &values),
            r#"[redacted] is not [redacted], "[redacted]" is [redacted]"#
        );
    }
}
