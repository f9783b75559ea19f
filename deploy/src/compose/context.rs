//! What reading a file needs everywhere: where problems go, which variables there are, and what
//! relative paths are relative to.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use super::interpolate::interpolate;
use super::model::ProjectName;
use super::yaml::{Node, Value};
use super::{Position, Problem};

/// Of all values of a file together, after interpolation, in bytes.
const MAX_INTERPOLATED: usize = 8 << 20;

/// Shared by all that reads one file.
pub(super) struct Context {
    /// Absolute directory of the Compose file.
    pub(super) directory: PathBuf,
    /// Part of default names; empty until [`Context::set_project`].
    pub(super) project: ProjectName,
    variables: BTreeMap<String, String>,
    problems: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<Problem>>,
    /// Where interpolation failed; what else is wrong with such a value isn't worth telling.
    broken: RefCell<BTreeSet<Position>>,
    /// Variables that have been warned of.
    unset: RefCell<BTreeSet<String>>,
    interpolated: Cell<usize>,
    ports: Cell<usize>,
}

impl Context {
    /// For the file in `directory`, with the variables that its values may refer to.
    pub(super) fn new(directory: PathBuf, variables: BTreeMap<String, String>) -> Self {
        Self {
            directory,
            project: ProjectName(String::new()),
            variables,
            problems: RefCell::default(),
            warnings: RefCell::default(),
            broken: RefCell::default(),
            unset: RefCell::default(),
            interpolated: Cell::default(),
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
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }

    pub(super) fn problem(&self, at: Option<Position>, path: &str, message: impl Into<String>) {
        if at.is_some_and(|at| self.broken.borrow().contains(&at)) {
            return;
        }
        let problem = Problem {
            position: at,
            path: path.to_owned(),
            message: message.into(),
        };
        self.problems.borrow_mut().push(problem);
    }

    pub(super) fn warn(&self, at: Option<Position>, path: &str, message: impl Into<String>) {
        let warning = Problem {
            position: at,
            path: path.to_owned(),
            message: message.into(),
        };
        self.warnings.borrow_mut().push(warning);
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

    /// All problems, in the order of the file, and all warnings.
    pub(super) fn into_findings(self) -> (Vec<Problem>, Vec<Problem>) {
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|problem| problem.position);
        problems.dedup();
        (problems, self.warnings.into_inner())
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
        let home = || self.variable("HOME").map(PathBuf::from);
        let path = match path.strip_prefix('~') {
            Some("") => home().unwrap_or_else(|| path.into()),
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
                    if !(path.is_empty() && entry.key.starts_with("x-")) {
                        self.interpolate(&mut entry.value, &join(path, &entry.key));
                    }
                }
            }
            Value::Scalar(scalar) if scalar.text.contains('$') => {
                let at = Some(node.at);
                let lookup = |name: &str| self.variable(name);
                let mut unset = |name: &str| self.warn_unset(at, path, name);
                match interpolate(&scalar.text, &lookup, &mut unset) {
                    Ok(text) => {
                        self.interpolated.set(self.interpolated.get() + text.len());
                        if self.interpolated.get() > MAX_INTERPOLATED {
                            self.problem(at, path, "the file grows beyond 8 MiB when interpolated");
                            scalar.text = String::new();
                        } else {
                            scalar.text = text;
                        }
                    }
                    Err(error) => {
                        self.problem(at, path, error.to_string());
                        self.broken.borrow_mut().insert(node.at);
                    }
                }
            }
            Value::Null | Value::Scalar(_) => {}
        }
    }
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
