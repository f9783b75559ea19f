//! From the file to the running stack: observe, plan, check, prepare, and roll out.
//!
//! The plan is made twice: once to be shown, and again when images, secrets and
//! networks are there, because only then is everything known that a container is
//! made from. Both come from what is on the engine at that moment, never from what
//! we believe to have done, which is what makes every interruption harmless.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use crate::compose::Project;
use crate::compose::model::ServiceName;
use crate::engine::Engine;
use crate::error::Result;
use crate::image::{Images, Refresh};
use crate::output::Output;
use crate::output::plan::PlanView;
use crate::plan::{Inputs, Plan};
use crate::preflight;
use crate::prepare;
use crate::releases::{Pin, Releases};
use crate::rollout::Rollout;
use crate::secrets::{self, Secrets};
use crate::state::State;

/// What may be asked for beside the file.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Images that are made anew all the same.
    pub refresh: Refresh,
    /// How long a container may take to become ready; `None`: its health check says.
    pub timeout: Option<Duration>,
    /// Only these services.
    pub only: Option<Vec<ServiceName>>,
    /// A release's images, instead of what their names lead to now.
    pub pinned: Option<BTreeMap<String, Pin>>,
}

/// What was done.
#[derive(Debug)]
pub struct Applied {
    /// Whether anything had to be.
    pub changed: bool,
    /// What the containers were made from.
    pub images: Images,
}

/// What a plan was computed from, and the plan.
struct Observed {
    state: State,
    images: Images,
    secrets: Secrets,
    plan: Plan,
}

/// Computes the plan and nothing else.
pub async fn plan(engine: &Engine, project: &Project, options: &Options) -> Result<Plan> {
    Ok(observe(engine, project, options, options.refresh)
        .await?
        .plan)
}

/// Brings the stack to where the file says.
pub async fn apply(
    engine: &Engine,
    output: &Output,
    project: &Project,
    options: &Options,
) -> Result<Applied> {
    let first = observe(engine, project, options, options.refresh).await?;
    let view = PlanView::new(project, &first.plan);
    output.event(&json!({"event": "plan", "plan": view}));
    for line in view.lines(output.style()) {
        output.line(&line);
    }
    for note in &first.plan.notes {
        output.note(note);
    }
    preflight::check(engine, project, &first.state, &first.plan).await?;

    let changed = !first.plan.is_empty();
    if changed && options.only.is_none() {
        Releases::read(project)?.begin(project)?;
    }
    prepare::run(engine, output, project, &first.state, &first.plan).await?;
    let now = if changed {
        observe(engine, project, options, Refresh::default()).await?
    } else {
        first
    };
    let rollout = Rollout {
        engine,
        output,
        project,
        state: &now.state,
        images: &now.images,
        secrets: &now.secrets,
        timeout: options.timeout,
    };
    rollout.run(&now.plan).await?;
    Ok(Applied {
        changed,
        images: now.images,
    })
}

async fn observe(
    engine: &Engine,
    project: &Project,
    options: &Options,
    refresh: Refresh,
) -> Result<Observed> {
    let secrets = Secrets::read(project)?;
    let images = async {
        match &options.pinned {
            Some(pins) => Images::of_release(engine, pins).await,
            None => Images::observe(engine, project, refresh).await,
        }
    };
    let (state, images) = tokio::try_join!(State::observe(engine, &project.name), images)?;
    let mut plan = Plan::compute(Inputs {
        project,
        state: &state,
        images: &images,
        secrets: &secrets,
        only: options.only.as_deref(),
    });
    plan.notes.extend(secrets::exposed(project));
    Ok(Observed {
        state,
        images,
        secrets,
        plan,
    })
}
