//! Reads Compose files (`compose.yaml`) into a [`Project`]: every value resolved, every key
//! understood or refused.
//!
//! The way of a file: text (`source`) → tree with positions (`yaml`) → variables replaced
//! (`interpolate`) → merged over the files before it (`merge`) → typed [`model`] (`read`) → checks
//! across the whole. Problems are collected on the way and reported together, each with its file,
//! line, column and path.

pub mod model;

mod check;
mod context;
mod cursor;
mod dotenv;
mod error;
mod fields;
mod files;
mod interpolate;
mod merge;
mod options;
mod profiles;
mod read;
mod render;
mod source;
mod variables;
mod yaml;

use std::path::{Path, PathBuf};

use indexmap::map::Entry;

use context::{Context, Found};
use cursor::Cursor;
pub use error::{Error, Position, Problem};
pub use files::Files;
use files::{Chosen, unreadable};
use interpolate::Budget;
pub use model::Project;
use model::{Network, NetworkKey, ProjectName};
pub use options::LoadOptions;
use profiles::active::{self, Active};
use read::Sections;
pub use render::RenderError;
use yaml::{Node, Value};

/// Reads, merges, resolves and checks the Compose files that `options` name.
///
/// # Errors
/// [`Error::Read`] when a file can't be read, [`Error::Invalid`] with every problem found in them.
pub fn load(options: &LoadOptions) -> Result<Project, Error> {
    let chosen = files::choose(options)?;
    let read = |file| source::read(file).map_err(|source| unreadable(file, source));
    let texts = chosen.named.iter().map(|file| read(file.as_path()));
    let texts: Vec<String> = texts.collect::<Result<_, _>>()?;
    project(options, chosen, &texts)
}

/// Like [`load`], as if the files held `text` together.
///
/// # Errors
/// The same.
pub fn load_text(options: &LoadOptions, text: &str) -> Result<Project, Error> {
    project(options, files::choose(options)?, &[text.to_owned()])
}

fn project(options: &LoadOptions, chosen: Chosen, texts: &[String]) -> Result<Project, Error> {
    let Chosen {
        named,
        files,
        named_by,
        notes,
    } = chosen;
    let working_dir = files
        .first()
        .parent()
        .unwrap_or(Path::new("/"))
        .to_path_buf();
    let mut roots = parse(&named, texts)?;

    let budget = Budget::default();
    let mut environment_files = vec![working_dir.join(".env")];
    environment_files.extend(named_by);
    environment_files.dedup();
    let (mut variables, mut unset) = (options.env.clone(), Vec::new());
    // What the file that names the others says goes before what the one beside them does.
    for file in environment_files.iter().rev() {
        let (more, names) = variables::read(&variables, file, &budget)
            .map_err(|message| Error::of_file(&named[0], message))?;
        variables = more;
        let message = |name| {
            format!(
                "{}: the variable {name} is not set and counts as empty",
                file.display()
            )
        };
        unset.extend(names.into_iter().map(message));
    }
    let mut context = Context::new(named, working_dir.clone(), variables, budget);
    for file in &environment_files {
        context.environment_file(file);
    }
    for message in notes.into_iter().chain(unset) {
        context.warn(None, "", message);
    }

    let name = project_name(options, &roots, &context);
    context.set_project(name);

    for root in &mut roots {
        context.interpolate(root, "");
    }
    let root = merge::merge(roots, &context);
    context.swarm = read::is_for_swarm(&cursor(&root, &context));
    context.profiles = Active::new(options, &root, context.variable(active::VARIABLE));
    let mut sections = read::project(&cursor(&root, &context));
    add_default_network(&mut sections, &context);
    let disabled = profiles::set_aside(&mut sections, options, &root, &context);
    let shared_places = check::check(&sections, &root, &context);

    let name = context.project.clone();
    let Found {
        problems,
        warnings,
        environment_files,
    } = context.into_findings();
    if !problems.is_empty() {
        return Err(Error::Invalid { problems });
    }
    let Sections {
        services,
        networks,
        volumes,
        secrets,
        replica_set,
        backup,
        configs,
        swarm,
        verify,
    } = sections;
    Ok(Project {
        name,
        services,
        networks,
        volumes,
        secrets,
        replica_set,
        backup,
        configs,
        swarm,
        verify,
        disabled,
        files,
        working_dir,
        environment_files,
        shared_places,
        warnings,
    })
}

/// The files' trees.
fn parse(named: &[PathBuf], texts: &[String]) -> Result<Vec<Node>, Error> {
    let (mut roots, mut problems) = (Vec::new(), Vec::new());
    for (number, (file, text)) in named.iter().zip(texts).enumerate() {
        match yaml::parse(text, number) {
            Ok(root) => roots.push(root),
            Err(fault) => problems.push(Problem {
                position: Some(fault.at),
                ..Problem::of_file(file, fault.message)
            }),
        }
    }
    if problems.is_empty() {
        Ok(roots)
    } else {
        Err(Error::Invalid { problems })
    }
}

/// The project's name: from outside the files, from the last one that has a `name:`, or from the
/// directory.
fn project_name(options: &LoadOptions, roots: &[Node], context: &Context) -> ProjectName {
    let mut names = roots.to_vec();
    for root in &mut names {
        if let Value::Map(entries) = &mut root.value {
            entries.retain(|entry| entry.key == "name");
        }
        context.interpolate(root, "");
    }
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
    let names = merge::merge(names, context);
    read::project_name(&cursor(&names, context), given)
}

fn cursor<'a>(root: &'a Node, context: &'a Context) -> Cursor<'a> {
    Cursor {
        node: root,
        path: String::new(),
        context,
    }
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
