//! From the file to the running stack: observe, plan, check, and carry the plan out.
//!
//! The plan that is shown is the one that is carried out. It comes from what is on the engine at that
//! moment, never from what we believe to have done, which is what makes every interruption harmless.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use compose_file::Project;
use compose_file::model::ServiceName;
use engine::Engine;
use engine::error::Result;
use engine::image::{Images, Refresh};
use engine::state::State;
use serde_json::json;

use crate::certificates;
use crate::cli;
use crate::execute::Executor;
use crate::hooks;
use crate::origin::Reach;
use crate::output::Output;
use crate::output::plan::PlanView;
use crate::plan::{Changes, Inputs, Plan};
use crate::preflight;
use crate::releases::{Begun, Release, Releases};
use crate::secrets::{self, Secrets};

/// What may be asked for beside the file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    /// Images that are made anew all the same.
    pub(crate) refresh: Refresh,
    /// How long a container may take to become ready; `None`: its health check says.
    pub(crate) timeout: Option<Duration>,
    /// Only these services.
    pub(crate) only: Option<Vec<ServiceName>>,
    /// Containers are replaced even if nothing about them has changed.
    pub(crate) force_recreate: bool,
    /// More containers than can be answered for: than the machine's memory has room for, or several
    /// that write to one place.
    pub(crate) force: bool,
    /// A rollback to this release: its images, instead of what their names lead to now.
    pub(crate) release: Option<Release>,
    /// What may be done to what other Compose files brought up.
    pub(crate) reach: Reach,
}

impl From<&cli::Up> for Options {
    fn from(args: &cli::Up) -> Self {
        Self {
            refresh: args.images.into(),
            timeout: args.timeout,
            reach: args.reach.into(),
            force_recreate: args.force_recreate,
            force: args.force,
            ..Self::default()
        }
    }
}

impl From<&cli::Plan> for Options {
    fn from(args: &cli::Plan) -> Self {
        Self {
            refresh: args.images.into(),
            reach: args.reach.into(),
            force: args.force,
            ..Self::default()
        }
    }
}

/// What was done.
#[derive(Debug)]
pub(crate) struct Applied {
    /// Whether anything had to be.
    pub(crate) changed: bool,
    /// What the containers were made from.
    pub(crate) images: Images,
}

/// What a plan was computed from, and the plan.
struct Observed {
    state: State,
    images: Images,
    secrets: Secrets,
    plan: Plan,
    /// Certificates that nobody could serve with.
    faults: Vec<String>,
}

/// What would be done, and whether it can be.
#[derive(Debug)]
pub(crate) struct Planned {
    /// What differs.
    pub(crate) changes: Changes,
    /// What [`Preflight::check`](preflight::Preflight::check) says of it.
    pub(crate) preflight: Result<()>,
}

impl Observed {
    async fn preflight(&self, engine: &Engine, project: &Project, options: &Options) -> Result<()> {
        let preflight = preflight::Preflight {
            engine,
            project,
            state: &self.state,
            secrets: &self.secrets,
            changes: &self.plan.changes,
            only: options.only.as_deref(),
            force: options.force,
            faults: &self.faults,
        };
        preflight.check().await
    }
}

/// Computes the plan and looks for what stands in its way; changes nothing.
///
/// # Errors
/// When there is no plan: the engine doesn't answer, or an image can't be had.
pub(crate) async fn plan(engine: &Engine, project: &Project, options: &Options) -> Result<Planned> {
    let now = observe(engine, project, options).await?;
    let preflight = now.preflight(engine, project, options).await;
    let changes = now.plan.changes;
    Ok(Planned { changes, preflight })
}

/// Brings the stack to where the file says.
pub(crate) async fn apply(
    engine: &Engine,
    output: &Output,
    project: &Project,
    options: &Options,
) -> Result<Applied> {
    let mut now = observe(engine, project, options).await?;
    show(output, project, &now.plan);
    now.preflight(engine, project, options).await?;

    let changed = !now.plan.changes.is_empty();
    if changed && options.only.is_none() {
        let begun = match &options.release {
            Some(release) => Begun::Rollback(release.number),
            None => Begun::Up,
        };
        Releases::read(project)?.begin(project, begun)?;
    }
    let executor = Executor::new(engine, output, project, options.timeout);
    executor.run(&now.plan, &mut now.images).await?;
    Ok(Applied {
        changed,
        images: now.images,
    })
}

/// Says what is going to be done.
pub(crate) fn show(output: &Output, project: &Project, plan: &Plan) {
    let view = PlanView::new(project, &plan.changes);
    output.event(&json!({"event": "plan", "plan": view}));
    view.show(output);
}

async fn observe(engine: &Engine, project: &Project, options: &Options) -> Result<Observed> {
    let certificates = certificates::outlook(project, SystemTime::now());
    // They are of no service in particular.
    let due = if options.only.is_none() {
        certificates.due
    } else {
        BTreeMap::new()
    };
    let secrets = Secrets::read(project)?.without(due.keys());
    let images = async {
        match &options.release {
            Some(release) => Images::of_release(engine, &release.images).await,
            None => Images::observe(engine, project, options.refresh).await,
        }
    };
    let (mut state, images) = tokio::try_join!(State::observe(engine, &project.name), images)?;
    state.leave_disabled(project);
    state.set_aside(engine, project, options.reach);
    let mut plan = Plan::up(Inputs {
        project,
        state: &state,
        images: &images,
        secrets: &secrets,
        owed: &hooks::owed(project)?,
        only: options.only.as_deref(),
        force_recreate: options.force_recreate,
    });
    plan.changes.renewals = due;
    plan.changes.notes.extend(secrets::exposed(project));
    plan.changes.notes.extend(certificates.notes);
    Ok(Observed {
        state,
        images,
        secrets,
        plan,
        faults: certificates.faults,
    })
}
