//! The log: lines on standard error.

use std::io::{self, Write as _};

/// A line of it; there is nobody to tell if that fails.
pub(crate) fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
