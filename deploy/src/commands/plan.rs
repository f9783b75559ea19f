//! `deploy plan`.

use super::{Context, refresh};
use crate::apply::{self, Options};
use crate::cli::Plan;
use crate::engine::Engine;
use crate::error::Result;
use crate::output::plan::PlanView;

pub(super) async fn run(context: &Context, args: Plan) -> Result<()> {
    let output = &context.output;
    let project = context.project()?;
    let engine = Engine::connect().await?;
    let options = Options {
        refresh: refresh(args.images),
        reach: args.reach.into(),
        ..Options::default()
    };
    let (plan, clear) = apply::plan(&engine, &project, &options).await?;
    let view = PlanView::new(&project, &plan);
    if output.is_json() {
        // One document: what stands in the way, or else the plan.
        clear?;
        output.document(&view);
        return Ok(());
    }
    for line in view.lines(output.style()) {
        output.line(&line);
    }
    for note in view.notes {
        output.note(&note);
    }
    clear
}
