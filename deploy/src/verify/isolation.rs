//! What must not be reachable: looked at from inside another container's network
//! namespace, by a short-lived container that joins it. It is made from the
//! database's image, the one of the stack that is known to have a shell.

use std::time::Duration;

use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{
    LogsOptionsBuilder, RemoveContainerOptionsBuilder, WaitContainerOptions,
};
use futures_util::{StreamExt, TryStreamExt};
use std::collections::{BTreeSet, HashMap};

use super::Check;
use crate::compose::Project;
use crate::compose::model::{Service, ServiceName};
use crate::engine::Engine;
use crate::error::{EngineContext, Result};
use crate::labels;
use crate::state::Container;

/// The port that MongoDB listens on unless told otherwise.
const MONGO_PORT: u16 = 27017;
/// For the whole look; a blocked connection attempt is given up after a second.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The database can't be resolved by any of its names, nor reached at any of its
/// addresses, from the container `from`.
pub(super) async fn closed(
    engine: &Engine,
    project: &Project,
    (from_name, from): (&ServiceName, &Container),
    (to_name, to_service, to): (&ServiceName, &Service, &Container),
) -> Vec<Check> {
    let mut names = BTreeSet::from([to_name.to_string()]);
    names.extend(
        to_service
            .networks
            .values()
            .flat_map(|it| it.aliases.clone()),
    );
    let seen = match addresses(engine, to).await {
        Ok(addresses) => {
            let script = script(&names, &addresses);
            let look = look(engine, project, from, &to.image, &script);
            match tokio::time::timeout(TIMEOUT, look).await {
                Ok(Ok(text)) => Ok(text),
                Ok(Err(err)) => Err(err.message),
                Err(_) => Err(format!("no result within {} s", TIMEOUT.as_secs())),
            }
        }
        Err(err) => Err(err.message),
    };
    let seen = match seen {
        Ok(text) => text,
        Err(err) => {
            return vec![Check {
                from: from_name.to_string(),
                to: to_name.to_string(),
                by: "dns",
                expected: "unknown".to_owned(),
                observed: err,
                ok: false,
                cause: "the check itself could not be made".to_owned(),
            }];
        }
    };
    seen.lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            let (by, target, result) = (words.next()?, words.next()?, words.next()?);
            let ok = result == "closed";
            let by_name = by == "dns";
            Some(Check {
                from: from_name.to_string(),
                to: if by_name {
                    target.to_owned()
                } else {
                    format!("{to_name} ({target})")
                },
                by: if by_name { "dns" } else { "tcp" },
                expected: if by_name { "unknown" } else { "closed" }.to_owned(),
                observed: match (by_name, ok) {
                    (true, true) => "unknown".to_owned(),
                    (true, false) => format!("resolves to {result}"),
                    (false, _) => result.to_owned(),
                },
                ok,
                cause: if ok {
                    String::new()
                } else {
                    format!("was {from_name} connected to one of {to_name}'s networks by hand?")
                },
            })
        })
        .collect()
}

async fn addresses(engine: &Engine, to: &Container) -> Result<Vec<String>> {
    let inspected = engine
        .docker()
        .inspect_container(&to.id, None)
        .await
        .doing(|| format!("inspect container {}", to.name))?;
    let networks = inspected
        .network_settings
        .and_then(|it| it.networks)
        .unwrap_or_default();
    Ok(networks
        .into_values()
        .filter_map(|endpoint| endpoint.ip_address.filter(|address| !address.is_empty()))
        .collect())
}

/// Prints a line for each: `dns NAME closed|ADDRESS`, `tcp ADDRESS:PORT closed|open`.
/// Names and addresses hold no character that means anything to a shell.
fn script(names: &BTreeSet<String>, addresses: &[String]) -> String {
    let names = names.iter().map(|name| {
        format!("a=$(timeout 5 getent hosts {name}); set -- $a; echo dns {name} ${{1:-closed}}\n")
    });
    let addresses = addresses.iter().map(|address| {
        format!(
            "timeout 1 bash -c 'exec 3<>/dev/tcp/{address}/{MONGO_PORT}' 2>/dev/null \
             && seen=open || seen=closed; echo tcp {address}:{MONGO_PORT} $seen\n"
        )
    });
    names.chain(addresses).collect()
}

/// Runs `script` in the network namespace of `from` and returns what it printed.
async fn look(
    engine: &Engine,
    project: &Project,
    from: &Container,
    image: &str,
    script: &str,
) -> Result<String> {
    let doing = || format!("look from inside {}", from.name);
    let docker = engine.docker();
    let words = ["bash", "-c", script].map(ToOwned::to_owned);
    let body = ContainerCreateBody {
        image: Some(image.to_owned()),
        entrypoint: Some(words.into()),
        cmd: Some(Vec::new()),
        user: Some("65534:65534".to_owned()),
        // Ours, so that one left behind by a kill is removed as an orphan by the next `up`.
        labels: Some(HashMap::from([
            (labels::PROJECT.to_owned(), project.name.to_string()),
            (labels::RESOURCE.to_owned(), "(verify)".to_owned()),
        ])),
        host_config: Some(HostConfig {
            network_mode: Some(format!("container:{}", from.id)),
            cap_drop: Some(vec!["ALL".to_owned()]),
            readonly_rootfs: Some(true),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    };
    let id = docker.create_container(None, body).await.doing(doing)?.id;
    let run = async {
        docker.start_container(&id, None).await.doing(doing)?;
        // A non-zero status is an error to the client and of no interest here.
        let mut ended = Box::pin(docker.wait_container(&id, None::<WaitContainerOptions>));
        while ended.next().await.is_some() {}
        let options = LogsOptionsBuilder::new().stdout(true).stderr(true).build();
        let chunks: Vec<_> = docker
            .logs(&id, Some(options))
            .try_collect()
            .await
            .doing(doing)?;
        Ok(chunks.into_iter().map(|chunk| chunk.to_string()).collect())
    };
    let seen = run.await;
    let options = RemoveContainerOptionsBuilder::new()
        .v(true)
        .force(true)
        .build();
    let removed = docker
        .remove_container(&id, Some(options))
        .await
        .doing(doing);
    removed.and(seen)
}
