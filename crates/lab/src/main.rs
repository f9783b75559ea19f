//! The `lab` binary: `deploy lab` alone.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use lab::Lab;
use terminal::error::Error;
use terminal::{Form, Output};

/// Container networking, taught on the live Docker engine
#[derive(Debug, Parser)]
#[command(name = "lab", version, arg_required_else_help = true)]
struct Cli {
    /// Print JSON: one document, or one line for each event
    #[arg(long, global = true)]
    json: bool,
    /// Print without colours (also with `NO_COLOR` set)
    #[arg(long, global = true)]
    no_color: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    Lab(Lab),
    /// Answer a probe
    #[command(hide = true)]
    Probe { request: Vec<String> },
    /// As a container of a lesson calls it
    #[command(hide = true, subcommand, name = "lab")]
    Within(Lab),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let command = match cli.command {
        Command::Probe { request } => return netcheck::probe::answer::run(&request),
        Command::Lab(command) | Command::Within(command) => command,
    };
    let form = match command {
        _ if !cli.json => Form::Text,
        Lab::List => Form::Document,
        _ => Form::Lines,
    };
    let output = Output::new(form, cli.no_color);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(lab::run(&output, command)),
        Err(err) => Err(Error::failed(
            format!("can't start: {err}"),
            "see the limits on processes and memory of this user (`ulimit -a`)",
        )),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output.failure(&error);
            error.exit.into()
        }
    }
}
