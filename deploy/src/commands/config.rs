//! `deploy config`.

use engine::error::{Error, Result};

use super::Context;

pub(super) fn run(context: &Context) -> Result<()> {
    let project = context.project()?;
    if context.output.is_json() {
        context.output.document(&project);
    } else {
        let yaml = project.to_yaml().map_err(|err| {
            Error::failed(
                format!("the project can't be written as YAML: {err}"),
                "use `--json`",
            )
        })?;
        context.output.line(yaml.trim_end());
    }
    Ok(())
}
