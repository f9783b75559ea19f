//! What can be wrong with a Compose file, and where.

use std::fmt;
use std::io;
use std::path::PathBuf;

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
    /// The file was read and is wrong, in one place or several.
    #[error("{}", Report { file, problems })]
    Invalid {
        /// The Compose file.
        file: PathBuf,
        /// What was found, in the order of the file; never empty. Of a great many, some, and at
        /// the end how many more.
        problems: Vec<Problem>,
    },
}

/// One thing that is wrong, or (as a warning) doubtful.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where in the file; unknown for what concerns the file as a whole.
    pub position: Option<Position>,
    /// The path of keys that leads there, as in `services.api.ports[0]`; may be empty.
    pub path: String,
    /// What is wrong and what was expected.
    pub message: String,
}

/// A place in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
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

/// One `FILE:LINE:COLUMN: …` line for each problem, the form that editors can jump from.
struct Report<'a> {
    file: &'a PathBuf,
    problems: &'a [Problem],
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            let separator = if problem.position.is_some() {
                ":"
            } else {
                ": "
            };
            write!(f, "{}{separator}{problem}", self.file.display())?;
        }
        Ok(())
    }
}
