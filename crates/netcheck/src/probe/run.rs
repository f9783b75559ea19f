//! Starts probes and collects their reports, one container for each, side by side.
//!
//! A probe bounds itself: each of its questions has a timeout, it ends by itself and the engine
//! removes it then (`AutoRemove`), whatever becomes of the process that asked. What can be left by
//! a process that is killed is a container created and never started; the next run removes it.

use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use engine::Engine;
use engine::api::{ContainerCreateBody, HostConfig, HostConfigLogConfig};
use engine::concurrency;
use engine::error::{EngineContext, Error, Result, from_engine};

use super::image::{Image, LABEL};
use super::{Report, Request};

/// For creating, starting and removing a container, beside what its questions take.
const OVERHEAD: Duration = Duration::from_secs(20);
/// Of up to four bytes each; the longest argument is 128 KiB (`MAX_ARG_STRLEN`, execve(2)).
const CHARACTERS_PER_ARGUMENT: usize = 30 * 1024;
/// What [`LABEL`] says on a container that looks. Its image has the label too, and so has
/// whatever somebody else starts from that.
pub(super) const LOOKING: &str = "look";
/// A probe that was created this long ago and never started has lost its parent.
const ABANDONED: Duration = Duration::from_secs(60);

/// Where a probe looks from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Place {
    /// The engine's host: its own network namespace.
    Host,
    /// The sandbox of a running container, by id or name.
    Sandbox(String),
}

impl Place {
    fn network_mode(&self) -> String {
        match self {
            Self::Host => "host".to_owned(),
            Self::Sandbox(container) => format!("container:{container}"),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("the host's network"),
            Self::Sandbox(container) => write!(f, "the network sandbox of {container}"),
        }
    }
}

/// Asks in several places at once. The answers are in the order of the questions.
///
/// # Errors
/// Each place has its own: a container that isn't running has no sandbox to join.
pub async fn many(
    engine: &Engine,
    image: &Image,
    questions: &[(Place, Request)],
) -> Vec<Result<Report>> {
    remove_abandoned(engine).await;
    let questions = questions.iter();
    concurrency::all(questions.map(|(place, request)| one(engine, image, place, request))).await
}

/// Asks in one place.
///
/// # Errors
/// When the sandbox can't be joined, or the probe doesn't answer in time.
pub async fn one(
    engine: &Engine,
    image: &Image,
    place: &Place,
    request: &Request,
) -> Result<Report> {
    let longest = OVERHEAD + questions_take(request);
    let request = serde_json::to_string(request).map_err(|error| {
        Error::failed(format!("can't write the request: {error}"), "report this")
    })?;
    let created = engine
        .create_container(None, body(image, place, &request))
        .await
        .doing(|| "create a probe".to_owned())?;

    let output = match tokio::time::timeout(longest, engine.run_container(&created.id)).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => {
            remove(engine, &created.id).await;
            return Err(from_engine(&format!("look into {place}"), &error));
        }
        Err(_) => {
            remove(engine, &created.id).await;
            return Err(Error::failed(
                format!("the look into {place} took longer than {longest:?}"),
                "see whether the engine's host is overloaded, and run it again",
            ));
        }
    };
    serde_json::from_str(&output.stdout).map_err(|error| {
        let said = if output.stderr.is_empty() {
            error.to_string()
        } else {
            output.stderr
        };
        Error::failed(
            format!("the look into {place} gave no report: {}", said.trim()),
            "run it again; if it stays, report it with this message",
        )
    })
}

/// As little as a look needs: no file system to write to, no capability but the one for ICMP.
fn body(image: &Image, place: &Place, request: &str) -> ContainerCreateBody {
    ContainerCreateBody {
        image: Some(image.name().to_owned()),
        cmd: Some(arguments(request)),
        labels: Some(HashMap::from([(LABEL.to_owned(), LOOKING.to_owned())])),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        host_config: Some(HostConfig {
            network_mode: Some(place.network_mode()),
            auto_remove: Some(true),
            readonly_rootfs: Some(true),
            cap_drop: Some(vec!["ALL".to_owned()]),
            cap_add: Some(vec!["NET_RAW".to_owned()]),
            security_opt: Some(vec!["no-new-privileges=true".to_owned()]),
            memory: Some(64 * 1024 * 1024),
            pids_limit: Some(32),
            log_config: Some(HostConfigLogConfig {
                typ: Some("none".to_owned()),
                config: None,
            }),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

/// The request in pieces that each fit into one argument; the probe joins them.
pub(super) fn arguments(request: &str) -> Vec<String> {
    let characters: Vec<char> = request.chars().collect();
    characters
        .chunks(CHARACTERS_PER_ARGUMENT)
        .map(|piece| piece.iter().collect())
        .collect()
}

/// Questions wait for each other only beyond the probe's own concurrency, and names come first.
pub(super) fn questions_take(request: &Request) -> Duration {
    let count = request.resolve.len()
        + request.connect.len()
        + request.ping.len()
        + request.get.len()
        + request.path_mtu.len();
    let rounds = u32::try_from(count / super::CONCURRENCY)
        .unwrap_or(u32::MAX)
        .saturating_add(2);
    let rounds = if request.path_mtu.is_empty() {
        rounds
    } else {
        // Sizes are tried one after the other.
        rounds.saturating_add(u32::try_from(super::MTU_TRIES).unwrap_or(u32::MAX))
    };
    Duration::from_millis(request.timeout_ms).saturating_mul(rounds)
}

async fn remove(engine: &Engine, id: &str) {
    // The engine may have removed it already.
    let _ = engine.remove_container(id).await;
}

async fn remove_abandoned(engine: &Engine) {
    let looking = format!("{LABEL}={LOOKING}");
    let pass = [
        ("label", looking.as_str()),
        ("status", "created"),
        ("status", "exited"),
        ("status", "dead"),
    ];
    let Ok(containers) = engine.list_containers(&pass).await else {
        return;
    };
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    for container in containers {
        let created = container
            .created
            .and_then(|at| u64::try_from(at).ok())
            .unwrap_or(0);
        let Some(id) = container.id else { continue };
        if now.saturating_sub(Duration::from_secs(created)) > ABANDONED {
            remove(engine, &id).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_request_is_cut_into_arguments_and_joins_again() {
        let request = "{é𝄞}".repeat(50_000);
        let pieces = arguments(&request);
        assert!(pieces.iter().all(|piece| piece.len() < 128 * 1024));
        assert_eq!(pieces.concat(), request);
    }
}
