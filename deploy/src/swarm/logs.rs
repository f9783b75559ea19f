//! `deploy logs` on a Swarm: the managers pass on what tasks print, from whichever node. Tasks that begin
//! meanwhile are followed, too.

use std::collections::BTreeSet;
use std::time::Duration;

use engine::Engine;
use engine::api::{Answer, LogOptions, LogOutput};
use engine::error::{EngineContext, Result};
use engine::swarm;
use engine::swarm::stack::Stack;
use engine::swarm::task;
use futures_util::stream::{BoxStream, SelectAll, StreamExt};

use super::ps;
use crate::cli::Logs;
use crate::commands::logs::{Source, print};
use crate::context::{Context, known_services};

/// How often new tasks are looked for.
const INTERVAL: Duration = Duration::from_secs(2);

/// Where lines come from, and one of them.
type Piece = (Source, Answer<LogOutput>);

pub(super) async fn run(context: &Context, args: Logs) -> Result<()> {
    let output = &context.output;
    let project = context.project()?;
    known_services(&project, &args.services)?;
    let engine = Engine::connect().await?;
    swarm::manager(&engine).await?;
    let mut streams: SelectAll<BoxStream<'_, Piece>> = SelectAll::new();
    let mut known = BTreeSet::new();
    let mut ticks = tokio::time::interval(INTERVAL);
    let mut first = true;
    loop {
        tokio::select! {
                    Some((source, chunk)) = streams.next() => {
                        let chunk = chunk.doing(|| format!("read the log of {}", source.name))?;
                        if print(output, &source, chunk, args.timestamps).is_err() {
                            // The reader left (`deploy logs | head`).
                            return Ok(());
                        }
                    }
                    _ = ticks.tick(), if first || args.follow => {
                        let stack = Stack::observe(&engine, &project.name).await?;
                        for (key, service) in &stack.services {
                            if !args.services.is_empty() && !args.services.contains(key) {
                                continue;
                            }
                            for task in task::of_service(&engine, &service.name).await? {
                                let new = task.container.is_some() && !known.contains(&task.id);
                                if !new || !(task.wanted || first) {
                                    continue;
                                }
                                let options = LogOptions {
            follow: args.follow && task.wanted,
            timestamps: args.timestamps,
            tail: args.tail,
            ..LogOptions::default()
        };
                                let source = Source {
                                    service: key.clone(),
                                    name: ps::name(&stack, service, &task),
                                    width: 0,
                                };
                                let lines = engine.task_logs(&task.id, options);
                                streams.push(lines.map(move |chunk| (source.clone(), chunk)).boxed());
                                known.insert(task.id);
                            }
                        }
                        first = false;
                    }
                    else => return Ok(()),
                }
    }
}
