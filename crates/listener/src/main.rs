//! The `listener` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    listener::cli::run()
}
