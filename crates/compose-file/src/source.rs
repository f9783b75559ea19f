//! Reads a text file of bounded size.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

/// A larger file isn't a Compose file, nor one of its environment files.
const MAX_BYTES: u64 = 1 << 20;

/// The text of the file.
///
/// # Errors
/// What the operating system says; [`ErrorKind::InvalidData`] for a file that is too large or
/// isn't UTF-8.
pub(super) fn read(path: &Path) -> io::Result<String> {
    let file = File::open(path)?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > MAX_BYTES) {
        return Err(io::Error::new(ErrorKind::InvalidData, "larger than 1 MiB"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = valid.split(|byte| *byte == b'\n').count();
        io::Error::new(
            ErrorKind::InvalidData,
            format!("not UTF-8 text (line {line})"),
        )
    })
}
