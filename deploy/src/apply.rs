//! From the file to the running stack: observe, plan, check, prepare, and roll out.
//!
//! The plan is made twice: once to be shown, and again when images, secrets and
//! networks are there, because only then is everything known that a container is
//! made from. Both come from what is on the engine at that moment, never from what
//! we believe to have done, which is what makes every interruption harmless.

use std::time::Duration;

use serde_json::json;

use crate::compose::Project;
use crate::compose::model::ServiceName;
use crate::engine::Engine;
use crate::error::Result;
use crate::image::{Images, Refresh};
use crate::origin::Reach;
use crate::output::Output;
use crate::output::plan::PlanView;
use crate::plan::{Inputs, Plan};
use crate::preflight;
use crate::prepare;
use crate::releases::{Begun, Release, Releases};
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
    /// Containers are replaced even if nothing about them has changed.
    pub force_recreate: bool,
    /// More containers than can be answered for: than the machine's memory has room for, or several
    /// that write to one place.
    pub force: bool,
    /// A rollback to this release: its images, instead of what their names lead to now.
    pub release: Option<Release>,
    /// What may be done to what other Compose files brought up.
    pub reach: Reach,
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

/// A plan, and whether it can be carried out.
#[derive(Debug)]
pub struct Planned {
    /// What would be done.
    pub plan: Plan,
    /// What [`Preflight::check`](preflight::Preflight::check) says of it.
    pub preflight: Result<()>,
}

impl Observed {
    async fn preflight(&self, engine: &Engine, project: &Project, options: &Options) -> Result<()> {
        let preflight = preflight::Preflight {
            engine,
            project,
            state: &self.state,
            secrets: &self.secrets,
            plan: &self.plan,
            only: options.only.as_deref(),
            force: options.force,
        };
        preflight.check().await
    }
}

/// Computes the plan and looks for what stands in its way; changes nothing.
///
/// # Errors
/// When there is no plan: the engine doesn't answer, or an image can't be had.
pub async fn plan(engine: &Engine, project: &Project, options: &Options) -> Result<Planned> {
    let now = observe(engine, project, options, options.refresh).await?;
    let preflight = now.preflight(engine, project, options).await;
    Ok(Planned {
        plan: now.plan,
        preflight,
    })
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
    first.preflight(engine, project, options).await?;

    let changed = !first.plan.is_empty();
    if changed && options.only.is_none() {
        let begun = match &options.release {
            Some(release) => Begun::Rollback(release.number),
            None => Begun::Up,
        };
        Releases::read(project)?.begin(project, begun)?;
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
        match &options.release {
            Some(release) => Images::of_release(engine, &release.images).await,
            None => Images::observe(engine, project, refresh).await,
        }
    };
    let (mut state, images) = tokio::try_join!(State::observe(engine, &project.name), images)?;
    state.set_aside(engine, project, options.reach);
    let mut plan = Plan::compute(Inputs {
        project,
        state: &state,
        images: &images,
        secrets: &secrets,
        only: options.only.as_deref(),
        force_recreate: options.force_recreate,
    });
    plan.notes.extend(secrets::exposed(project));
    Ok(Observed {
        state,
        images,
        secrets,
        plan,
    })
}
