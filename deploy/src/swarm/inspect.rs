//! `deploy inspect` on a Swarm: what the manager knows of tasks and networks over all nodes.

use engine::Engine;
use engine::error::Result;
use engine::swarm;
use engine::swarm::stack::Stack;
use netcheck::inspect::Topology;

use crate::cli::Inspect;
use crate::commands::inspect::show;
use crate::context::Context;

pub(super) async fn run(context: &Context, args: Inspect) -> Result<()> {
    let project = context.project()?;
    let engine = Engine::connect().await?;
    swarm::manager(&engine).await?;
    let stack = Stack::observe(&engine, &project.name).await?;
    let project = project.with_disabled(|name| stack.services.contains_key(name));
    let topology = Topology::of_swarm(&engine, &project, &stack).await?;
    show(&context.output, &topology, args)
}
