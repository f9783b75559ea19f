//! `deploy restart`: like Compose, what runs once more and no change of the file with it; gated on
//! health, and without a gap where a service is replaced start-first.

use compose_file::model::ServiceName;
use engine::Engine;
use engine::error::{Error, Result};
use engine::image::Images;
use engine::state::State;
use serde_json::json;

use crate::apply;
use crate::cli::Restart;
use crate::context::{Context, known_services};
use crate::execute::Executor;
use crate::hooks;
use crate::lock::Lock;
use crate::plan::{Inputs, Plan};
use crate::preflight;
use crate::secrets::Secrets;

pub(super) async fn run(context: &Context, args: Restart) -> Result<()> {
    let output = &context.output;
    let project = context.project()?;
    known_services(&project, &args.services)?;
    let named = |name: &&ServiceName| args.services.iter().any(|it| it == name.as_str());
    let services: Vec<ServiceName> = project.services.keys().filter(named).cloned().collect();
    let engine = Engine::connect().await?;
    let patience = args.wait.patience();
    let _lock = Lock::acquire(&engine, output, &project.name, "restart", patience).await?;
    let secrets = Secrets::read(&project)?;
    let (mut state, mut images) = tokio::try_join!(
        State::observe(&engine, &project.name),
        Images::present(&engine, &project)
    )?;
    state.set_aside(&engine, &project, args.take_over.into());
    let obstacles = preflight::standing(&project, &state, &secrets, state.origin.as_ref());
    if !obstacles.is_empty() {
        return Err(Error::failed(
            format!(
                "project {} can't be restarted from here; nothing was changed",
                project.name
            ),
            "settle each of these, then run `deploy restart` again",
        )
        .with_details(obstacles));
    }
    let inputs = Inputs {
        project: &project,
        state: &state,
        images: &images,
        secrets: &secrets,
        owed: &hooks::owed(&project)?,
        only: Some(&services),
        force_recreate: false,
    };
    let plan = Plan::restart(inputs, &services, args.in_place)?;
    apply::show(output, &project, &plan);
    let executor = Executor::new(&engine, output, &project, args.timeout);
    executor.run(&plan, &mut images).await?;
    let restarted: Vec<&str> = plan
        .changes
        .services
        .iter()
        .map(|it| it.service.as_str())
        .collect();
    output.event(&json!({"event": "restart", "services": restarted}));
    output.line(&format!("restarted: {}", restarted.join(", ")));
    Ok(())
}
