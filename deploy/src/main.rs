//! The `deploy` binary.

use std::process::ExitCode;

use clap::Parser;
use deploy::cli::Cli;

fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => deploy::run(cli),
        Err(err) => deploy::refuse(&err),
    }
}
