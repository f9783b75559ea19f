//! Waits until a container does what it is for, or says why it doesn't.

use std::fmt;
use std::time::{Duration, Instant};

use bollard::models::{
    ContainerInspectResponse, ContainerStateStatusEnum as Status, HealthConfig, HealthStatusEnum,
};
use futures_util::StreamExt;
use terminal::{Task, text};

use crate::Engine;
use crate::api::LogOptions;
use crate::error::{EngineContext, Error, Result};

/// How often the engine is asked.
const INTERVAL: Duration = Duration::from_millis(150);
/// A container without a health check has to stay up this long …
const SETTLE: Duration = Duration::from_secs(1);
/// … and this long once it has restarted, which is when the engine, too, takes a restart for a
/// success (moby, restartmanager).
const SETTLE_AFTER_RESTART: Duration = Duration::from_secs(10);
/// On top of what the health check itself may take.
const MARGIN: Duration = Duration::from_secs(30);
/// How long a job may run if `--timeout` doesn't say.
const JOB: Duration = Duration::from_secs(15 * 60);
/// So many restarts while we wait are a crash loop.
const CRASH_LOOP: i64 = 3;
/// Lines of the container's log that a failure shows.
const LAST_LINES: u32 = 20;

/// Of such a line; structured logs have very long ones.
const WIDTH: usize = 240;

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// Healthy if it has a health check, otherwise running.
    Up,
    /// Healthy; a container without a health check can't be.
    Healthy,
    /// Exited with status 0.
    Completed,
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Up => "up",
            Self::Healthy => "healthy",
            Self::Completed => "completed",
        })
    }
}

/// How long and how strictly.
#[derive(Debug, Clone, Copy)]
pub struct Gate {
    /// What is waited for.
    pub goal: Goal,
    /// Just started: unhealthy is a verdict. One that ran before may recover.
    pub fresh: bool,
    /// Instead of what follows from the health check (`--timeout`).
    pub timeout: Option<Duration>,
}

/// Waits for container `id`. Returns what it reached, for the user.
///
/// # Errors
/// When it ends, keeps restarting, is unhealthy, or the time is over; with its last
/// log lines and the health check's last output.
pub async fn wait(
    engine: &Engine,
    id: &str,
    name: &str,
    gate: Gate,
    task: &Task<'_>,
) -> Result<&'static str> {
    let begun = Instant::now();
    // A container that was just started has restarted as often as the engine says.
    let mut restarts_before = gate.fresh.then_some(0);
    let mut steady = (0, Instant::now());
    loop {
        let inspected = engine
            .docker()
            .inspect_container(id, None)
            .await
            .doing(|| format!("inspect container {name}"))?;
        let restarts = inspected.restart_count.unwrap_or(0);
        let restarted = restarts - *restarts_before.get_or_insert(restarts);
        let running = inspected
            .state
            .as_ref()
            .is_some_and(|it| it.running == Some(true));
        if !running || steady.0 != restarts {
            steady = (restarts, Instant::now());
        }
        let check = healthcheck(&inspected);
        let reason = match verdict(&inspected, gate, steady.1.elapsed(), restarted) {
            Verdict::Reached(what) => return Ok(what),
            Verdict::Failed(reason) => reason,
            Verdict::Waiting(what) => {
                task.detail(what);
                let limit = gate.timeout.unwrap_or_else(|| limit(gate.goal, check));
                if begun.elapsed() < limit {
                    tokio::time::sleep(INTERVAL).await;
                    continue;
                }
                format!("is {what} after {}", text::duration(limit))
            }
        };
        return Err(failure(engine, id, name, &reason, &inspected).await);
    }
}

enum Verdict {
    Reached(&'static str),
    Waiting(&'static str),
    Failed(String),
}

fn verdict(
    inspected: &ContainerInspectResponse,
    gate: Gate,
    steady: Duration,
    restarted: i64,
) -> Verdict {
    let Some(state) = &inspected.state else {
        return Verdict::Waiting("without a state");
    };
    let code = state.exit_code.unwrap_or(0);
    let status = state.status.unwrap_or(Status::EMPTY);
    let ended = || {
        if state.oom_killed == Some(true) {
            format!("was killed: it reached its memory limit (status {code})")
        } else {
            format!("ended with status {code}")
        }
    };
    if restarted >= CRASH_LOOP {
        // A run that has begun hides how the last one ended.
        return match status {
            Status::RUNNING if steady < SETTLE_AFTER_RESTART => Verdict::Waiting("restarting"),
            Status::RUNNING => Verdict::Failed(format!("keeps restarting ({restarted} times)")),
            _ => Verdict::Failed(format!(
                "keeps restarting ({restarted} times): it {}",
                ended()
            )),
        };
    }
    match (status, gate.goal) {
        (Status::EXITED | Status::DEAD, Goal::Completed) if code == 0 => {
            Verdict::Reached("completed")
        }
        // Without a health check and without a restart policy it may be a job.
        (Status::EXITED, Goal::Up) if code == 0 && healthcheck(inspected).is_none() => {
            Verdict::Reached("completed")
        }
        (Status::EXITED | Status::DEAD, _) => Verdict::Failed(ended()),
        (Status::RESTARTING, _) => Verdict::Waiting("restarting"),
        (Status::RUNNING, Goal::Completed) => Verdict::Waiting("still running"),
        (Status::RUNNING, Goal::Healthy) if healthcheck(inspected).is_none() => Verdict::Failed(
            "has no health check, but another service waits for it to be healthy".to_owned(),
        ),
        (Status::RUNNING, Goal::Up | Goal::Healthy) => {
            let health = state.health.as_ref().and_then(|health| health.status);
            let settle = if restarted > 0 {
                SETTLE_AFTER_RESTART
            } else {
                SETTLE
            };
            match (healthcheck(inspected), health) {
                (None, _) if gate.fresh && steady < settle => Verdict::Waiting("starting"),
                (None, _) => Verdict::Reached("running"),
                (Some(_), Some(HealthStatusEnum::HEALTHY)) => Verdict::Reached("healthy"),
                (Some(_), Some(HealthStatusEnum::UNHEALTHY)) if gate.fresh => {
                    Verdict::Failed("is unhealthy".to_owned())
                }
                (Some(_), Some(HealthStatusEnum::UNHEALTHY)) => Verdict::Waiting("unhealthy"),
                (Some(_), _) => Verdict::Waiting("starting, not healthy yet"),
            }
        }
        _ => Verdict::Waiting("not running"),
    }
}

/// The health check in force: the image's, overridden by the file's.
fn healthcheck(inspected: &ContainerInspectResponse) -> Option<&HealthConfig> {
    let check = inspected.config.as_ref()?.healthcheck.as_ref()?;
    let test = check.test.as_deref().unwrap_or_default();
    (!test.is_empty() && test.first().is_some_and(|word| word != "NONE")).then_some(check)
}

/// The latest moment at which the engine itself gives its verdict, and a margin.
/// The defaults are the engine's (Engine API, `HealthConfig`).
fn limit(goal: Goal, check: Option<&HealthConfig>) -> Duration {
    if goal == Goal::Completed {
        return JOB;
    }
    let Some(check) = check else { return MARGIN };
    let nanos = |value: Option<i64>, default: Duration| match value {
        Some(nanos) if nanos > 0 => Duration::from_nanos(nanos.unsigned_abs()),
        _ => default,
    };
    let interval = nanos(check.interval, Duration::from_secs(30));
    let timeout = nanos(check.timeout, Duration::from_secs(30));
    let retries = check.retries.filter(|retries| *retries > 0).unwrap_or(3);
    let retries = u32::try_from(retries).unwrap_or(u32::MAX);
    nanos(check.start_period, Duration::ZERO)
        .saturating_add((interval.saturating_add(timeout)).saturating_mul(retries))
        .saturating_add(MARGIN)
}

async fn failure(
    engine: &Engine,
    id: &str,
    name: &str,
    reason: &str,
    inspected: &ContainerInspectResponse,
) -> Error {
    let mut details = Vec::new();
    let health = inspected
        .state
        .as_ref()
        .and_then(|state| state.health.as_ref());
    if let Some(last) = health.and_then(|health| health.log.as_ref()?.last()) {
        details.push(format!(
            "last health check: status {}",
            last.exit_code.unwrap_or(-1)
        ));
        let said = last.output.as_deref().unwrap_or_default();
        details.extend(said.lines().map(|line| format!("  {}", text::escape(line))));
    }
    match last_log_lines(engine, id).await {
        Ok(lines) if lines.is_empty() => details.push("its log is empty".to_owned()),
        Ok(lines) => {
            details.push(format!("last {} lines of its log:", lines.len()));
            details.extend(lines.into_iter().map(|line| format!("  {line}")));
        }
        Err(err) => details.push(format!("its log can't be read: {err}")),
    }
    Error::failed(
        format!("container {name} {reason}"),
        format!("correct the cause; `docker logs {name}` shows its whole log, and the next `deploy up` goes on from here"),
    )
    .with_details(details)
}

async fn last_log_lines(engine: &Engine, id: &str) -> Result<Vec<String>> {
    let last = LogOptions {
        tail: Some(LAST_LINES),
        ..LogOptions::default()
    };
    let mut stream = engine.logs(id, last);
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.doing(|| format!("read the log of {id}"))?;
        bytes.extend_from_slice(&chunk.into_bytes());
    }
    Ok(String::from_utf8_lossy(&bytes)
        .lines()
        .map(|line| text::shorten(&text::escape(line), WIDTH).into_owned())
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_follows_the_health_check() {
        let nanos = |s: i64| Some(s * 1_000_000_000);
        let check = HealthConfig {
            interval: nanos(3),
            timeout: nanos(2),
            retries: Some(4),
            start_period: nanos(10),
            ..HealthConfig::default()
        };
        assert_eq!(
            limit(Goal::Up, Some(&check)),
            Duration::from_secs(10 + 4 * 5) + MARGIN
        );
        let defaults = HealthConfig::default();
        assert_eq!(
            limit(Goal::Up, Some(&defaults)),
            Duration::from_secs(180) + MARGIN
        );
    }
}
