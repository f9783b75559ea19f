//! What can be wrong with a Compose file, and where.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why a Compose file couldn't be loaded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file, or one that it names (`env_file`), can't be read.
    #[error("can't read {}: {source}", file.display())]
    Read {
        /// The file that was tried.
        file: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The files were read and are wrong, in one place or several.
    #[error("{}", Report(problems))]
    Invalid {
        /// What was found, in the order of the files; never empty. Of a great many, some, and at
        /// the end how many more.
        problems: Vec<Problem>,
    },
}

impl Error {
    /// Something is wrong with a file as a whole, or with what goes with it.
    pub(crate) fn of_file(file: &Path, message: String) -> Self {
        let problems = vec![Problem::of_file(file, message)];
        Self::Invalid { problems }
    }
}

/// One thing that is wrong, or (as a warning) doubtful.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The Compose file that it is in, as it was named.
    pub file: PathBuf,
    /// Where in the file; unknown for what concerns the file as a whole.
    pub position: Option<Position>,
    /// The path of keys that leads there, as in `services.api.ports[0]`; may be empty.
    pub path: String,
    /// What is wrong and what was expected.
    pub message: String,
}

/// A place in one of a project's Compose files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Which file: its number in their order, from 0.
    pub(crate) file: usize,
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// `LINE:COLUMN: PATH: MESSAGE`, without the parts that aren't known.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(position) = self.position {
            write!(f, "{position}: ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

impl Problem {
    /// `FILE:LINE:COLUMN: PATH: MESSAGE`, the form that editors can jump from.
    pub fn in_file(&self) -> String {
        let separator = if self.position.is_some() { ":" } else { ": " };
        format!("{}{separator}{self}", self.file.display())
    }

    /// Of a file as a whole.
    pub(crate) fn of_file(file: &Path, message: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            position: None,
            path: String::new(),
            message: message.into(),
        }
    }
}

/// A line for each problem.
struct Report<'a>(&'a [Problem]);

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            f.write_str(&problem.in_file())?;
        }
        Ok(())
    }
}
