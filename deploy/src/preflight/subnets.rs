//! Subnets that the file asks for: no other network may have a part of one.

use engine::error::{EngineContext, Result};
use ipnet::IpNet;

use super::Preflight;
use crate::plan::NetworkAction;

pub(super) async fn check(preflight: Preflight<'_>, conflicts: &mut Vec<String>) -> Result<()> {
    let Preflight {
        project, changes, ..
    } = preflight;
    // The networks that are made, and by that name those whose subnets are given back before.
    let (mut made, mut going) = (Vec::new(), Vec::new());
    for action in &changes.networks {
        match action {
            NetworkAction::Create { key } | NetworkAction::Recreate { key, .. } => {
                made.extend(project.networks.get_key_value(key.as_str()));
            }
            NetworkAction::Remove { name } => going.push(name.as_str()),
        }
    }
    going.extend(made.iter().map(|(_, network)| network.name.as_str()));
    let wanted: Vec<(&str, IpNet)> = made
        .iter()
        .flat_map(|(key, network)| {
            let pools = network.ipam.iter().flat_map(|it| &it.config);
            pools.filter_map(|pool| Some((key.as_str(), pool.subnet.to_string().parse().ok()?)))
        })
        .collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let networks = preflight
        .engine
        .list_networks(&[])
        .await
        .doing(|| "list the engine's networks".into())?;
    for network in networks {
        let name = network.name.unwrap_or_default();
        if going.contains(&name.as_str()) {
            continue;
        }
        let pools = network.ipam.and_then(|it| it.config).unwrap_or_default();
        let taken: Vec<IpNet> = pools
            .into_iter()
            .filter_map(|pool| pool.subnet?.parse().ok())
            .collect();
        for (key, subnet) in &wanted {
            if let Some(taken) = taken.iter().find(|it| overlap(it, subnet)) {
                conflicts.push(format!(
                    "networks.{key}: the subnet {subnet} overlaps {taken} of network {name}. Choose \
                     another one, or remove that network (`docker network rm {name}`)"
                ));
            }
        }
    }
    for (place, (key, subnet)) in wanted.iter().enumerate() {
        let other = wanted[..place].iter().find(|(_, it)| overlap(it, subnet));
        if let Some((other, taken)) = other {
            conflicts.push(format!(
                "networks.{key}: the subnet {subnet} overlaps {taken} of networks.{other}. Choose \
                 another one"
            ));
        }
    }
    Ok(())
}

fn overlap(one: &IpNet, other: &IpNet) -> bool {
    one.contains(other) || other.contains(one)
}
