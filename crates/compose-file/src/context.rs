//! What reading a file needs everywhere: where problems go, which variables there are, and what
//! relative paths are relative to.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use super::interpolate::{Budget, InterpolationError, LoneDollar, interpolate};
use super::model::ProjectName;
use super::profiles::active::Active;
use super::yaml::{Node, Value};
use super::{Position, Problem};

/// So many problems are told of, and as many warnings: who has more has one reason for most.
const MAX_TOLD: usize = 50;
/// Characters of a message or a path, which may contain what is in the file.
const MAX_SHOWN: usize = 400;

/// Shared by all that reads the files of one project.
pub(super) struct Context {
    /// The Compose files, as they were named.
    files: Vec<PathBuf>,
    /// Absolute directory of the first one.
    pub(super) directory: PathBuf,
    /// Part of default names; empty until [`Context::set_project`].
    pub(super) project: ProjectName,
    /// Whether the file is for a Swarm, which carries more of it out.
    pub(super) swarm: bool,
    /// Those whose services are enabled.
    pub(super) profiles: Active,
    variables: BTreeMap<String, String>,
    /// What may still be made of variables.
    pub(super) budget: Budget,
    problems: RefCell<Findings>,
    warnings: RefCell<Findings>,
    /// Where interpolation failed; what else is wrong with such a value isn't worth telling.
    broken: RefCell<BTreeSet<Position>>,
    /// Variables that have been warned of.
    unset: RefCell<BTreeSet<String>>,
    environment_files: RefCell<BTreeSet<PathBuf>>,
    ports: Cell<usize>,
}

/// Those that are told of, and how many more there are.
#[derive(Default)]
struct Findings {
    told: Vec<Problem>,
    more: usize,
}

impl Findings {
    fn add(&mut self, problem: Problem) {
        if self.told.len() == MAX_TOLD {
            self.more += 1;
            return;
        }
        if !self.told.contains(&problem) {
            self.told.push(problem);
        }
    }

    /// In the order of the files.
    fn into_sorted(mut self) -> Vec<Problem> {
        self.told.sort_by_key(|problem| problem.position);
        if let Some(last) = self.told.last().filter(|_| self.more > 0) {
            let message = format!("and {} more like these", self.more);
            self.told.push(Problem::of_file(&last.file, message));
        }
        self.told
    }
}

fn shortened(text: String) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

impl Context {
    /// For `files`, of which the first is in `directory`, with the variables that their values may
    /// refer to.
    pub(super) fn new(
        files: Vec<PathBuf>,
        directory: PathBuf,
        variables: BTreeMap<String, String>,
        budget: Budget,
    ) -> Self {
        Self {
            files,
            directory,
            project: ProjectName(String::new()),
            swarm: false,
            profiles: Active::default(),
            variables,
            budget,
            problems: RefCell::default(),
            warnings: RefCell::default(),
            broken: RefCell::default(),
            unset: RefCell::default(),
            environment_files: RefCell::default(),
            ports: Cell::default(),
        }
    }

    /// Fixes the project's name, which values may refer to as `COMPOSE_PROJECT_NAME`.
    pub(super) fn set_project(&mut self, name: ProjectName) {
        self.variables
            .insert("COMPOSE_PROJECT_NAME".to_owned(), name.as_str().to_owned());
        self.project = name;
    }

    /// The variable's value in the process environment or in `.env`.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// Notes that the values of a service come from this file.
    pub(super) fn environment_file(&self, path: &Path) {
        self.environment_files.borrow_mut().insert(path.to_owned());
    }

    pub(super) fn problem(&self, at: Option<Position>, path: &str, message: impl Into<String>) {
        if at.is_some_and(|at| self.broken.borrow().contains(&at)) {
            return;
        }
        let problem = self.found(at, path, message.into());
        self.problems.borrow_mut().add(problem);
    }

    pub(super) fn warn(&self, at: Option<Position>, path: &str, message: impl Into<String>) {
        let warning = self.found(at, path, message.into());
        self.warnings.borrow_mut().add(warning);
    }

    fn found(&self, position: Option<Position>, path: &str, message: String) -> Problem {
        Problem {
            file: self.file(position.map_or(0, |at| at.file)).to_owned(),
            position,
            path: shortened(path.to_owned()),
            message: shortened(message),
        }
    }

    /// What a Compose file was named.
    fn file(&self, number: usize) -> &Path {
        self.files
            .get(number)
            .map_or(Path::new(""), PathBuf::as_path)
    }

    /// `FILE:LINE:COLUMN`.
    pub(super) fn place(&self, at: Position) -> String {
        format!("{}:{at}", self.file(at.file).display())
    }

    /// Warns, once for each name, that a variable isn't set.
    pub(super) fn warn_unset(&self, at: Option<Position>, path: &str, name: &str) {
        if self.unset.borrow_mut().insert(name.to_owned()) {
            self.warn(
                at,
                path,
                format!("the variable {name} is not set and counts as empty"),
            );
        }
    }

    /// What was found in the file, and which others were read for it.
    pub(super) fn into_findings(self) -> Found {
        Found {
            problems: self.problems.into_inner().into_sorted(),
            warnings: self.warnings.into_inner().into_sorted(),
            environment_files: self.environment_files.into_inner().into_iter().collect(),
        }
    }

    /// Counts `more` ports; false when that makes too many for one file.
    pub(super) fn count_ports(&self, more: usize) -> bool {
        const MAX_PORTS: usize = 10_000;
        self.ports.set(self.ports.get().saturating_add(more));
        self.ports.get() <= MAX_PORTS
    }

    /// A path of the host as the file has it, made absolute; `~` is the home directory. `.` and
    /// `..` are resolved by their letters alone, as Compose does.
    pub(super) fn absolute(&self, path: &str) -> PathBuf {
        let home = || self.variable("HOME").map(Path::new);
        let path = match path.strip_prefix('~') {
            Some("") => home().unwrap_or(Path::new(path)).into(),
            Some(rest) => match (rest.strip_prefix('/'), home()) {
                (Some(rest), Some(home)) => home.join(rest),
                _ => path.into(),
            },
            None => path.into(),
        };
        normalize(&self.directory.join(path))
    }

    /// Interpolates every scalar below `node`. `path` leads to it.
    pub(super) fn interpolate(&self, node: &mut Node, path: &str) {
        match &mut node.value {
            Value::List(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    self.interpolate(item, &format!("{path}[{index}]"));
                }
            }
            Value::Map(entries) => {
                for entry in entries {
                    // Extensions mean nothing by themselves; where they are merged in, the copy is
                    // interpolated.
                    let means_something =
                        ["x-backup", "x-replica-set", "x-swarm", "x-verify"].contains(&&*entry.key);
                    if !(path.is_empty() && entry.key.starts_with("x-") && !means_something) {
                        self.interpolate(&mut entry.value, &join(path, &entry.key));
                    }
                }
            }
            Value::Scalar(scalar) if scalar.text.contains('$') => {
                let at = Some(node.at);
                let lookup = |name: &str| self.variable(name);
                let mut unset = |name: &str| self.warn_unset(at, path, name);
                let told = self.budget.is_spent();
                let result = if told {
                    Err(InterpolationError::TooMuch)
                } else {
                    interpolate(&scalar.text, LoneDollar::Refused, &lookup, &mut unset)
                };
                match result {
                    Ok(text) if self.budget.spend(text.len()) => scalar.text = text,
                    result => {
                        let error = result.err().unwrap_or(InterpolationError::TooMuch);
                        if !told {
                            self.problem(at, path, error.to_string());
                        }
                        self.broken.borrow_mut().insert(node.at);
                    }
                }
            }
            Value::Null | Value::Scalar(_) => {}
        }
    }
}

/// What [`Context::into_findings`] gives.
pub(super) struct Found {
    /// In the order of the files.
    pub(super) problems: Vec<Problem>,
    /// In the order of the files.
    pub(super) warnings: Vec<Problem>,
    /// Those that `env_file` names.
    pub(super) environment_files: Vec<PathBuf>,
}

/// The path of a key below `path`.
pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// Resolves `.` and `..` without looking at the file system.
pub(super) fn normalize(path: &Path) -> PathBuf {
    let mut result = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                result.pop();
            }
            component => result.push(component),
        }
    }
    result
}
