//! The `chaos` binary.

use std::process::ExitCode;

use chaos::cli::Cli;
use clap::Parser;

fn main() -> ExitCode {
    chaos::run(Cli::parse())
}
