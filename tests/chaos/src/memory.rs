//! What the containers use of memory, before a fault and after it.

use std::collections::BTreeMap;
use std::time::Duration;

use engine::error::{EngineContext, Result};
use tokio::time::{Instant, sleep};

use crate::stack::Stack;

/// Allowed above the level before: what an allocator rightly keeps of a burst.
const TOLERANCE: u64 = 48 << 20;
/// The same for the database, whose cache grows with the data up to its configured size, 0.5 GiB.
const TOLERANCE_DATABASE: u64 = 512 << 20;
/// How long memory may take to come down.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(500);

/// Bytes in use, by container.
pub(crate) type Levels = BTreeMap<String, u64>;

/// Measures every running container of the project.
pub(crate) async fn levels(stack: &Stack) -> Result<Levels> {
    let mut levels = Levels::new();
    for container in stack.containers().await? {
        let answer = stack.engine().stats(&container.id).await;
        let Some(stats) = answer else { continue };
        let memory = stats
            .doing(|| format!("measure the memory of {}", container.name))?
            .memory_stats
            .unwrap_or_default();
        let details = memory.stats.unwrap_or_default();
        // Files that were read or written can be dropped at any time: cgroup v1 and v2 names.
        let files = details
            .get("total_inactive_file")
            .or_else(|| details.get("inactive_file"))
            .copied()
            .unwrap_or_default();
        let used = memory.usage.unwrap_or_default().saturating_sub(files);
        levels.insert(container.name, used);
    }
    Ok(levels)
}

/// Waits until the levels are near `before` again; the last ones measured are returned either way.
pub(crate) async fn come_down(stack: &Stack, before: &Levels) -> Result<Levels> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let now = levels(stack).await?;
        if excess(before, &now).is_empty() || Instant::now() >= deadline {
            return Ok(now);
        }
        sleep(PAUSE).await;
    }
}

/// The containers that use more than they should, with what they use.
pub(crate) fn excess(before: &Levels, after: &Levels) -> Vec<String> {
    after
        .iter()
        .filter_map(|(name, now)| {
            let then = before.get(name)?;
            let tolerance = if name.contains("-mongo-") {
                TOLERANCE_DATABASE
            } else {
                TOLERANCE
            };
            (*now > then + tolerance)
                .then(|| format!("{name} {} MiB, before {} MiB", now >> 20, then >> 20))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_the_tolerance_is_too_much() {
        let level = |api: u64, mongo: u64| {
            Levels::from([
                ("x-api-1".to_owned(), api << 20),
                ("x-mongo-1".to_owned(), mongo << 20),
            ])
        };
        let before = level(16, 300);
        assert!(excess(&before, &level(60, 500)).is_empty());
        assert_eq!(
            excess(&before, &level(65, 500)),
            ["x-api-1 65 MiB, before 16 MiB"]
        );
        assert_eq!(excess(&before, &level(16, 813)).len(), 1);
    }
}
