//! The `deploy` binary.

use std::process::ExitCode;

use clap::Parser;
use deploy::cli::Cli;

fn main() -> ExitCode {
    deploy::run(Cli::parse())
}
