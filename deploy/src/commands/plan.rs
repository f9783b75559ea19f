//! `deploy plan`.

use super::{Context, refresh};
use crate::apply::{self, Options};
use crate::cli::Images;
use crate::engine::Engine;
use crate::error::Result;
use crate::output::plan::PlanView;

pub(super) async fn run(context: &Context, args: Images) -> Result<()> {
    let output = &context.output;
    let project = context.project()?;
    let engine = Engine::connect().await?;
    let options = Options {
        refresh: refresh(args),
        ..Options::default()
    };
    let plan = apply::plan(&engine, &project, &options).await?;
    let view = PlanView::new(&project, &plan);
    if output.is_json() {
        output.document(&view);
    } else {
        view.lines(output.style())
            .iter()
            .for_each(|line| output.line(line));
        view.notes.iter().for_each(|note| output.note(note));
    }
    Ok(())
}
