//! A stack for one machine beside a Swarm's.

use compose_file::Project;
use engine::Engine;
use engine::error::{Error, Result};
use engine::swarm;
use engine::swarm::stack::Stack;

/// Refuses to bring up beside a Swarm's stack of this name what would run twice.
///
/// # Errors
/// When there is one.
pub(crate) async fn refuse_stack(engine: &Engine, project: &Project) -> Result<()> {
    if !swarm::is_manager(engine).await? {
        return Ok(());
    }
    let stack = Stack::observe(engine, &project.name).await?;
    let service = stack.services.values().next().map(|it| &it.name);
    let Some(service) = service.or(stack.foreign.first()) else {
        return Ok(());
    };
    Err(Error::failed(
        format!(
            "a Swarm's stack of the name {} runs here (service {service}), and the file describes one for \
             this machine alone; nothing was changed",
            project.name
        ),
        format!(
            "name the Swarm's file too (`-f`), or take that stack down first (`docker stack rm {}`), or give \
             this one another name (`-p`)",
            project.name
        ),
    ))
}
