//! NDJSON: a request a line, whole.

use super::json;
use crate::requests::recorded::Recorded;

/// One, with the line's end.
pub fn line(recorded: &Recorded) -> String {
    json::line(&json::whole(recorded)) + "\n"
}
