//! Removes what a run made: at its end, and in place of a run that was killed.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use engine::Engine;
use engine::api::{ContainerSummary, ContainerSummaryStateEnum, Network};
use engine::error::{EngineContext, Error, Result, is_missing};
use tokio::time::{Instant, sleep};

use super::labels;

/// The engine lets go of a network a moment after its last container is gone.
const REMOVED_WITHIN: Duration = Duration::from_secs(20);
const TRY_AGAIN: Duration = Duration::from_millis(100);
/// A keeper that was created this long ago and never started has no run any more.
const STARTED_WITHIN: Duration = Duration::from_secs(30);

/// What a run that was killed has left.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Leftover {
    pub(super) run: String,
    pub(super) containers: usize,
    pub(super) networks: usize,
    /// The image that it brought along.
    pub(super) image: Option<String>,
}

/// Finds runs of which something is left and whose keeper doesn't live.
pub(super) async fn leftovers(engine: &Engine) -> Result<Vec<Leftover>> {
    let containers = containers(engine, labels::RUN).await?;
    let networks = networks(engine, labels::RUN).await?;
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Ok(dead_runs(&containers, &networks, now))
}

fn dead_runs(
    containers: &[ContainerSummary],
    networks: &[Network],
    now: Duration,
) -> Vec<Leftover> {
    let mut runs: BTreeMap<String, Leftover> = BTreeMap::new();
    let mut of = |run: &str, note: &dyn Fn(&mut Leftover)| {
        let leftover = runs.entry(run.to_owned()).or_default();
        run.clone_into(&mut leftover.run);
        note(leftover);
    };
    let mut alive = Vec::new();
    for container in containers {
        let Some(run) = label(container.labels.as_ref(), labels::RUN) else {
            continue;
        };
        if is_living_keeper(container, now) {
            alive.push(run.to_owned());
        }
        let image = label(container.labels.as_ref(), labels::IMAGE);
        of(run, &|leftover| {
            leftover.containers += 1;
            if let Some(image) = image {
                leftover.image = Some(image.to_owned());
            }
        });
    }
    for network in networks {
        if let Some(run) = label(network.labels.as_ref(), labels::RUN) {
            of(run, &|leftover| leftover.networks += 1);
        }
    }
    runs.into_values()
        .filter(|leftover| !alive.contains(&leftover.run))
        .collect()
}

fn is_living_keeper(container: &ContainerSummary, now: Duration) -> bool {
    if label(container.labels.as_ref(), labels::ROLE) != Some(labels::KEEPER) {
        return false;
    }
    match container.state {
        Some(ContainerSummaryStateEnum::RUNNING) => true,
        Some(ContainerSummaryStateEnum::CREATED) => {
            let created = container
                .created
                .and_then(|at| u64::try_from(at).ok())
                .unwrap_or(0);
            now.saturating_sub(Duration::from_secs(created)) < STARTED_WITHIN
        }
        _ => false,
    }
}

fn label<'a>(labels: Option<&'a HashMap<String, String>>, name: &str) -> Option<&'a str> {
    labels?.get(name).map(String::as_str)
}

/// Removes everything that bears the run's label. The keeper goes last: while it
/// is there, and only then, what is left can be told from a run that works.
///
/// # Errors
/// Something is still there after a while; it is named, with the engine's reason.
pub(super) async fn remove(engine: &Engine, run: &str) -> Result<()> {
    let deadline = Instant::now() + REMOVED_WITHIN;
    let filter = format!("{}={run}", labels::RUN);
    loop {
        let mut reasons = Vec::new();
        let (keepers, others): (Vec<_>, Vec<_>) = containers(engine, &filter)
            .await?
            .into_iter()
            .partition(|container| {
                label(container.labels.as_ref(), labels::ROLE) == Some(labels::KEEPER)
            });
        let removals = others
            .iter()
            .map(|container| remove_container(engine, container));
        reasons.extend(
            futures_util::future::join_all(removals)
                .await
                .into_iter()
                .flatten(),
        );
        for network in networks(engine, &filter).await? {
            reasons.extend(remove_network(engine, &network).await);
        }
        if reasons.is_empty() {
            for keeper in &keepers {
                reasons.extend(remove_container(engine, keeper).await);
            }
        }
        if reasons.is_empty() && others.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(Error::failed(
                "not everything that the lab made could be removed",
                format!(
                    "look for it with `docker ps -a --filter label={filter}` and `docker \
                         network ls --filter label={filter}`; the next `deploy lab run` tries again"
                ),
            )
            .with_details(reasons));
        }
        sleep(TRY_AGAIN).await;
    }
}

/// Removes an image that a run brought along. Where another process uses it by
/// now, it stays with that one.
pub(super) async fn remove_image(engine: &Engine, image: &str) {
    _ = engine.remove_image(image).await;
}

async fn containers(engine: &Engine, label: &str) -> Result<Vec<ContainerSummary>> {
    let ours = [("label", label)];
    engine
        .list_containers(&ours)
        .await
        .doing(|| "list the lab's containers".into())
}

async fn networks(engine: &Engine, label: &str) -> Result<Vec<Network>> {
    let ours = [("label", label)];
    engine
        .list_networks(&ours)
        .await
        .doing(|| "list the lab's networks".into())
}

/// Why it is still there, if it is.
async fn remove_container(engine: &Engine, container: &ContainerSummary) -> Option<String> {
    let id = container.id.as_deref()?;
    let error = engine.remove_container(id).await.err()?;
    (!is_missing(&error)).then(|| format!("container {id}: {error}"))
}

async fn remove_network(engine: &Engine, network: &Network) -> Option<String> {
    let id = network.id.as_deref()?;
    let name = network.name.as_deref().unwrap_or(id);
    let error = engine.remove_network(id).await.err()?;
    (!is_missing(&error)).then(|| format!("network {name}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(run: &str, role: &str, state: ContainerSummaryStateEnum) -> ContainerSummary {
        let labels = [
            (labels::RUN.to_owned(), run.to_owned()),
            (labels::ROLE.to_owned(), role.to_owned()),
        ];
        ContainerSummary {
            labels: Some(labels.into()),
            state: Some(state),
            created: Some(1_000),
            ..ContainerSummary::default()
        }
    }

    fn runs(containers: &[ContainerSummary], now: u64) -> Vec<String> {
        dead_runs(containers, &[], Duration::from_secs(now))
            .into_iter()
            .map(|leftover| leftover.run)
            .collect()
    }

    #[test]
    fn a_run_is_dead_without_a_running_keeper() {
        use ContainerSummaryStateEnum::{CREATED, EXITED, RUNNING};
        let lesson = container("a", "dns", RUNNING);
        assert_eq!(runs(std::slice::from_ref(&lesson), 1_001), ["a"]);
        let with = |keeper| [lesson.clone(), container("a", labels::KEEPER, keeper)];
        assert_eq!(runs(&with(RUNNING), 9_999), [""; 0]);
        assert_eq!(runs(&with(EXITED), 1_001), ["a"]);
        assert_eq!(
            runs(&with(CREATED), 1_001),
            [""; 0],
            "it may be about to start"
        );
        assert_eq!(runs(&with(CREATED), 1_060), ["a"]);
    }

    #[test]
    fn a_network_alone_is_a_leftover_too() {
        let network = Network {
            labels: Some([(labels::RUN.to_owned(), "b".to_owned())].into()),
            ..Network::default()
        };
        let found = dead_runs(&[], &[network], Duration::ZERO);
        let b = Leftover {
            run: "b".into(),
            networks: 1,
            ..Leftover::default()
        };
        assert_eq!(found, [b]);
    }
}
