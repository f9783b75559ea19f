//! What every verb is given, on one machine and on a Swarm, and what they do alike with it.

use std::cell::RefCell;

use compose_file::model::{SecretName, ServiceName};
use compose_file::{self, LoadOptions, Project};
use engine::Engine;
use engine::error::{Error, Result, chain};

use crate::console::service_of;
use crate::origin::profiles;
use crate::output::Output;
use crate::secrets::Secrets;

/// What every verb is given.
pub(crate) struct Context {
    pub(crate) output: Output,
    pub(crate) options: LoadOptions,
    /// The project, where it was read already and nobody has taken it yet.
    read: RefCell<Option<Result<Project, compose_file::Error>>>,
}

impl Context {
    pub(crate) fn new(output: Output, options: LoadOptions) -> Self {
        Self {
            output,
            options,
            read: RefCell::default(),
        }
    }

    /// Whether the files describe a stack for a Swarm. What is wrong with them, whoever reads them says.
    pub(crate) fn is_for_swarm(&self) -> bool {
        let project = compose_file::load(&self.options);
        let answer = project.as_ref().is_ok_and(Project::is_for_swarm);
        self.read.replace(Some(project));
        answer
    }

    /// What `text` describes, which holds only what was enabled.
    pub(crate) fn of_release(&self, text: &str) -> Result<Project, compose_file::Error> {
        let options = LoadOptions {
            profiles: vec!["*".to_owned()],
            ..self.options.clone()
        };
        compose_file::load_text(&options, text)
    }

    /// Reads the Compose files.
    pub(crate) fn project(&self) -> Result<Project> {
        let read = self.read.take();
        let project = read.unwrap_or_else(|| compose_file::load(&self.options));
        let project = project.map_err(|err| file_error(&err))?;
        for warning in &project.warnings {
            self.output.note(&warning.in_file());
        }
        Ok(project)
    }
}

pub(crate) fn file_error(err: &compose_file::Error) -> Error {
    match err {
        compose_file::Error::Read { file, .. } => Error::usage(
            chain(err),
            format!(
                "run in the directory that has {}, or name the file with -f",
                file.display()
            ),
        ),
        compose_file::Error::Invalid { problems } => {
            let mut files: Vec<String> = Vec::new();
            for problem in problems {
                let file = problem.file.display().to_string();
                if !files.contains(&file) {
                    files.push(file);
                }
            }
            let has = if files.len() == 1 { "has" } else { "have" };
            let files = files.join(" and ");
            Error::usage(
                format!("{files} {has} {} problem(s)", problems.len()),
                "correct them and run again",
            )
            .with_details(problems.iter().map(compose_file::Problem::in_file))
        }
    }
}

/// Refuses to bring up nothing.
pub(crate) fn some_enabled(project: &Project) -> Result<()> {
    if !project.services.is_empty() {
        return Ok(());
    }
    Err(Error::usage(
        "no service is enabled: each is of a profile",
        format!(
            "enable one with --profile or COMPOSE_PROFILES: {}",
            profiles(project.disabled.services.values())
        ),
    ))
}

/// The published ports as URLs: those for clients, and the console's.
pub(crate) fn addresses(engine: &Engine, project: &Project) -> (Vec<String>, Option<String>) {
    let ours = service_of(project).unwrap_or_default();
    let all = netcheck::verify::urls(engine, project, ours);
    let (console, clients): (Vec<_>, Vec<_>) = all.partition(|(name, _)| ***name == *ours);
    let urls = clients.into_iter().map(|(_, url)| url);
    (
        urls.collect(),
        console.into_iter().map(|(_, url)| url).next(),
    )
}

/// How `verify` gets at the values of a secret.
pub(crate) fn secret_values(project: &Project) -> impl Fn(&SecretName) -> Vec<String> {
    |name| {
        let secrets = Secrets::read(project).unwrap_or_default();
        let secret = project.secrets.get(name);
        let values = secret.map(|secret| secrets.values(name, secret));
        values.into_iter().flatten().map(str::to_owned).collect()
    }
}

/// Refuses services that the file doesn't have.
pub(crate) fn known_services(project: &Project, names: &[String]) -> Result<()> {
    let unknown: Vec<&str> = names
        .iter()
        .map(String::as_str)
        .filter(|name| !project.services.contains_key(*name))
        .collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let known: Vec<&str> = project.services.keys().map(ServiceName::as_str).collect();
    Err(Error::usage(
        format!("no such service: {}", unknown.join(", ")),
        format!("choose among {}", known.join(", ")),
    ))
}
