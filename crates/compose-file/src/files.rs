//! Which Compose files make up a project, found as Docker Compose 2 finds them.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::context::normalize;
use super::error::Error;
use super::interpolate::Budget;
use super::options::LoadOptions;
use super::variables;

/// Looked for in this order, where no file is named.
const DEFAULTS: [&str; 4] = [
    "compose.yaml",
    "compose.yml",
    "docker-compose.yml",
    "docker-compose.yaml",
];
/// Beside a default one, in this order.
const DEFAULT_OVERRIDES: [&str; 4] = [
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
];

/// The Compose files of a project, absolute: at least one, each merged over those before it. The first
/// one's directory is the project's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Files {
    first: PathBuf,
    overrides: Vec<PathBuf>,
}

impl Files {
    /// `first` is an absolute path, and so are the others.
    pub fn new(first: PathBuf, overrides: Vec<PathBuf>) -> Self {
        Self { first, overrides }
    }

    /// The one whose directory is the project's.
    pub fn first(&self) -> &Path {
        &self.first
    }

    /// Those that are merged over it, in their order.
    pub fn overrides(&self) -> &[PathBuf] {
        &self.overrides
    }

    /// All of them, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Path> {
        let overrides = self.overrides.iter().map(PathBuf::as_path);
        std::iter::once(self.first()).chain(overrides)
    }
}

/// `A`, `A and B`, `A, B and C`.
impl fmt::Display for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.first.display())?;
        let last = self.overrides.len().saturating_sub(1);
        for (index, file) in self.overrides.iter().enumerate() {
            let separator = if index == last { " and" } else { "," };
            write!(f, "{separator} {}", file.display())?;
        }
        Ok(())
    }
}

/// What [`choose`] found.
pub(super) struct Chosen {
    /// As they were named; at least one.
    pub(super) named: Vec<PathBuf>,
    /// The same.
    pub(super) files: Files,
    /// The `.env` that names them, if one does.
    pub(super) named_by: Option<PathBuf>,
    /// What the user might not expect.
    pub(super) notes: Vec<String>,
}

impl Chosen {
    fn new(named: Vec<PathBuf>) -> Result<Self, Error> {
        let files: Vec<PathBuf> = named.iter().map(absolute).collect::<Result<_, _>>()?;
        let mut rest = files.into_iter();
        let Some(first) = rest.next() else {
            return Err(nowhere());
        };
        Ok(Self {
            named,
            files: Files::new(first, rest.collect()),
            named_by: None,
            notes: Vec::new(),
        })
    }

    /// The default file in a directory, and what overrides it there.
    fn default_in(directory: &Path) -> Result<Option<Self>, Error> {
        let mut notes = Vec::new();
        let mut first = |names: &[&str]| {
            let there = names.iter().map(|name| directory.join(name));
            let there: Vec<PathBuf> = there.filter(|file| file.exists()).collect();
            if let [first, others @ ..] = &there[..]
                && !others.is_empty()
            {
                let others: Vec<_> = others.iter().map(|it| it.display().to_string()).collect();
                let (first, others) = (first.display(), others.join(", "));
                notes.push(format!("{first} is read, and not {others}"));
            }
            there.into_iter().next()
        };
        let Some(file) = first(&DEFAULTS) else {
            return Ok(None);
        };
        let named = std::iter::once(file).chain(first(&DEFAULT_OVERRIDES));
        Self::new(named.collect()).map(|chosen| Some(Self { notes, ..chosen }))
    }
}

/// The files that `options` name. Without any: those of `COMPOSE_FILE`, from the environment or from
/// `.env`; else the default ones. These two are looked for in this directory, and then in the nearest
/// one above it that has a default file, so that a subdirectory means the same project.
pub(super) fn choose(options: &LoadOptions) -> Result<Chosen, Error> {
    if !options.files.is_empty() {
        return Chosen::new(options.files.clone());
    }
    if let Some(named) = by_variable(&options.env)? {
        return Chosen::new(named);
    }
    let here = std::path::absolute(".").map_err(|source| unreadable(Path::new("."), source))?;
    for (height, directory) in here.ancestors().enumerate() {
        // What is in this directory is named as one would type it.
        let directory = if height == 0 {
            Path::new("")
        } else {
            directory
        };
        let default = Chosen::default_in(directory)?;
        if height > 0 && default.is_none() {
            continue;
        }
        let dot_env = directory.join(".env");
        let (found, _) = variables::read(&options.env, &dot_env, &Budget::default())
            .map_err(|message| Error::of_file(Path::new(DEFAULTS[0]), message))?;
        if let Some(named) = by_variable(&found)? {
            let named = named.iter().map(|file| directory.join(file));
            let chosen = Chosen::new(named.collect())?;
            return Ok(Chosen {
                named_by: Some(absolute(&dot_env)?),
                ..chosen
            });
        }
        if let Some(default) = default {
            return Ok(default);
        }
    }
    Err(nowhere())
}

/// What `COMPOSE_FILE` lists.
fn by_variable(variables: &BTreeMap<String, String>) -> Result<Option<Vec<PathBuf>>, Error> {
    let filled = |name: &str| variables.get(name).filter(|value| !value.is_empty());
    let Some(list) = filled("COMPOSE_FILE") else {
        return Ok(None);
    };
    let separator = filled("COMPOSE_PATH_SEPARATOR").map_or(":", String::as_str);
    let names: Vec<&str> = list.split(separator).collect();
    if names.iter().any(|name| name.is_empty()) {
        let message = format!(
            "COMPOSE_FILE is {list:?}: expected names of files with {separator:?} between them"
        );
        return Err(Error::of_file(Path::new(DEFAULTS[0]), message));
    }
    Ok(Some(names.into_iter().map(PathBuf::from).collect()))
}

/// The paths in the project contain those of its files.
fn absolute(file: impl AsRef<Path>) -> Result<PathBuf, Error> {
    let file = file.as_ref();
    let absolute = std::path::absolute(file).map_err(|source| unreadable(file, source))?;
    let absolute = normalize(&absolute);
    if absolute.to_str().is_none() {
        let reason = "paths in the project contain the file's own, which isn't UTF-8 text";
        let source = io::Error::new(ErrorKind::InvalidInput, reason);
        return Err(unreadable(file, source));
    }
    Ok(absolute)
}

fn nowhere() -> Error {
    let reason = "no such file here, nor in a directory above";
    let source = io::Error::new(ErrorKind::NotFound, reason);
    unreadable(Path::new(DEFAULTS[0]), source)
}

pub(super) fn unreadable(file: &Path, source: io::Error) -> Error {
    let file = file.to_owned();
    Error::Read { file, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_listed_as_a_sentence_has_them() {
        let files = |overrides: &[&str]| {
            let overrides = overrides.iter().map(PathBuf::from).collect();
            Files::new(PathBuf::from("/a"), overrides).to_string()
        };
        assert_eq!(files(&[]), "/a");
        assert_eq!(files(&["/b"]), "/a and /b");
        assert_eq!(files(&["/b", "/c"]), "/a, /b and /c");
    }
}
