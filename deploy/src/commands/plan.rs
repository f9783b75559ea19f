//! `deploy plan`: what `up` would change, and what stands in its way.

use engine::Engine;
use engine::error::Result;

use crate::apply::{self, Options};
use crate::cli::Plan;
use crate::context::{Context, some_enabled};
use crate::output::plan::PlanView;

pub(super) async fn run(context: &Context, args: Plan) -> Result<()> {
    let output = &context.output;
    let project = context.project()?;
    some_enabled(&project)?;
    let engine = Engine::connect().await?;
    let options = Options::from(&args);
    let planned = apply::plan(&engine, &project, &options).await?;
    let view = PlanView::new(&project, &planned.changes);
    if output.is_json() {
        // One document: the plan, or why it can't be carried out.
        planned.preflight?;
        output.document(&view);
        return Ok(());
    }
    view.show(output);
    planned.preflight
}
