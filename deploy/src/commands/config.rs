//! `deploy config`.

use compose_file::{Project, RenderError};
use engine::error::{Error, Result};

use crate::cli::Config;
use crate::context::Context;
use crate::output::Output;

pub(super) fn run(context: &Context, args: &Config) -> Result<()> {
    let project = context.project()?;
    let output = &context.output;
    if args.stack {
        return stack(output, &project);
    }
    if output.is_json() {
        output.document(&project);
    } else {
        output.line(
            project
                .to_yaml()
                .map_err(|err| unwritable(&err))?
                .trim_end(),
        );
    }
    Ok(())
}

/// As `docker stack deploy` reads it.
fn stack(output: &Output, project: &Project) -> Result<()> {
    if output.is_json() {
        return Err(Error::usage(
            "what `docker stack deploy` reads is YAML",
            "leave out --json or --stack",
        ));
    }
    if !project.is_for_swarm() {
        return Err(Error::usage(
            "the file describes a stack for one machine: none of its networks has driver: overlay",
            "name the Swarm's file too (`-f`; docs/swarm.md)",
        ));
    }
    let stack = project.to_stack_yaml();
    let (yaml, left_out) = stack.map_err(|err| unwritable(&err))?;
    if !left_out.is_empty() {
        output.note(&format!(
            "`docker stack deploy` can't express, and its services are without: {}",
            left_out.join(", ")
        ));
    }
    output.line(yaml.trim_end());
    Ok(())
}

fn unwritable(err: &RenderError) -> Error {
    Error::failed(
        format!("the project can't be written as YAML: {err}"),
        "use `--json`",
    )
}
