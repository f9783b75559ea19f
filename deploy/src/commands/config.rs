//! `deploy config`.

use super::Context;
use crate::error::Result;

pub(super) fn run(context: &Context) -> Result<()> {
    let project = context.project()?;
    if context.output.is_json() {
        context.output.document(&project);
    } else {
        context.output.line(project.to_yaml().trim_end());
    }
    Ok(())
}
