//! Reads a Compose file (`compose.yaml`) into a [`Project`]: every value resolved, every key
//! understood or refused.
//!
//! The way of a file: text (`source`) → tree with positions (`yaml`) → variables replaced
//! (`interpolate`) → typed [`model`] (`read`) → checks across the whole. Problems are
//! collected on the way and reported together, each with its line, column and path.

pub mod model;

mod check;
mod context;
mod cursor;
mod dotenv;
mod error;
mod fields;
mod interpolate;
mod options;
mod read;
mod render;
mod source;
mod yaml;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::path::Path;

use indexmap::map::Entry;

use context::{Context, Found};
use cursor::Cursor;
pub use error::{Error, Position, Problem};
use interpolate::Budget;
pub use model::Project;
use model::{Network, NetworkKey};
pub use options::LoadOptions;
use read::Sections;
pub use render::RenderError;
use yaml::Value;

/// Reads, resolves and checks the Compose file that `options` names.
///
/// # Errors
/// [`Error::Read`] when the file can't be read, [`Error::Invalid`] with every problem found in it.
pub fn load(options: &LoadOptions) -> Result<Project, Error> {
    let text = source::read(&options.file).map_err(|source| Error::Read {
        file: options.file.clone(),
        source,
    })?;
    load_text(options, &text)
}

/// Like [`load`], as if the file held `text`.
///
/// # Errors
/// The same.
pub fn load_text(options: &LoadOptions, text: &str) -> Result<Project, Error> {
    let unreadable = |source| Error::Read {
        file: options.file.clone(),
        source,
    };
    let invalid = |problems| Error::Invalid {
        file: options.file.clone(),
        problems,
    };

    let file = std::path::absolute(&options.file).map_err(unreadable)?;
    let file = context::normalize(&file);
    if file.to_str().is_none() {
        let reason = "paths in the project contain the file's own, which isn't UTF-8 text";
        return Err(unreadable(io::Error::new(ErrorKind::InvalidInput, reason)));
    }
    let working_dir = file.parent().unwrap_or(Path::new("/")).to_path_buf();

    let mut root = yaml::parse(text).map_err(|problem| invalid(vec![problem]))?;
    let budget = Budget::default();
    let dot_env = working_dir.join(".env");
    let (variables, unset) =
        variables(&options.env, &dot_env, &budget).map_err(|problem| invalid(vec![problem]))?;
    let mut context = Context::new(working_dir.clone(), variables, budget);
    context.environment_file(&dot_env);
    for name in unset {
        let file = dot_env.display();
        let message = format!("{file}: the variable {name} is not set and counts as empty");
        context.warn(None, "", message);
    }

    let mut only_name = root.clone();
    if let Value::Map(entries) = &mut only_name.value {
        entries.retain(|entry| entry.key == "name");
    }
    context.interpolate(&mut only_name, "");
    let given = options
        .project_name
        .clone()
        .map(|name| ("--project", name))
        .or_else(|| {
            let name = context
                .variable("COMPOSE_PROJECT_NAME")
                .filter(|name| !name.is_empty())?;
            Some(("COMPOSE_PROJECT_NAME", name.to_owned()))
        });
    let name = read::project_name(&cursor(&only_name, &context), given);
    context.set_project(name);

    context.interpolate(&mut root, "");
    context.swarm = read::is_for_swarm(&cursor(&root, &context));
    let mut sections = read::project(&cursor(&root, &context));
    add_default_network(&mut sections, &context);
    let shared_places = check::check(&sections, &root, &context);

    let name = context.project.clone();
    let Found {
        problems,
        warnings,
        environment_files,
    } = context.into_findings();
    if !problems.is_empty() {
        return Err(invalid(problems));
    }
    let Sections {
        services,
        networks,
        volumes,
        secrets,
        configs,
        verify,
    } = sections;
    Ok(Project {
        name,
        services,
        networks,
        volumes,
        secrets,
        configs,
        verify,
        file,
        working_dir,
        environment_files,
        shared_places,
        warnings,
    })
}

fn cursor<'a>(root: &'a yaml::Node, context: &'a Context) -> Cursor<'a> {
    Cursor {
        node: root,
        path: String::new(),
        context,
    }
}

/// The variables for interpolation: those of `.env` beside the file, and over them those of the
/// process. With them, those that `.env` refers to and nobody sets.
fn variables(
    process: &BTreeMap<String, String>,
    path: &Path,
    budget: &Budget,
) -> Result<(BTreeMap<String, String>, BTreeSet<String>), Problem> {
    let problem = |message| Problem {
        position: None,
        path: String::new(),
        message,
    };
    let text = match source::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        Err(error) => return Err(problem(format!("can't read {}: {error}", path.display()))),
    };
    let mut unset = BTreeSet::new();
    let lookup = |name: &str| process.get(name).map(String::as_str);
    let mut note_unset = |name: &str| _ = unset.insert(name.to_owned());
    let assignments = dotenv::parse(&text, &lookup, &mut note_unset, budget)
        .map_err(|error| problem(format!("{}:{error}", path.display())))?;
    let assigned = assignments
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    let mut variables: BTreeMap<String, String> = assigned.collect();
    variables.extend(process.clone());
    Ok((variables, unset))
}

/// The network `default` needs no definition; it exists when a service is on it.
fn add_default_network(sections: &mut Sections, context: &Context) {
    let used = sections
        .services
        .values()
        .any(|service| service.networks.contains_key("default"));
    if used && let Entry::Vacant(entry) = sections.networks.entry(NetworkKey("default".to_owned()))
    {
        let name = format!("{}_default", context.project);
        entry.insert(Network {
            driver: context.swarm.then(|| model::OVERLAY.to_owned()),
            ..read::default_network(name)
        });
    }
}
