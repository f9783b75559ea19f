//! Takes away the names of versions that nothing goes back to any more.

use std::collections::BTreeSet;

use compose_file::Project;
use engine::Engine;
use engine::api::ImageSummary;
use engine::error::{EngineContext, Result};
use engine::image::tag;
use engine::swarm::stack::Stack;
use futures_util::future::join_all;

use super::{LOADED, nodes};
use crate::output::Output;

/// A content's digits, see [`engine::image::content`].
const DIGITS: usize = 16;

/// On this engine, and on the nodes that images are copied into, removes what `distribute` named and isn't
/// of a content that is kept. Where that fails, it is tried again by the next one.
pub(crate) async fn tidy(
    engine: &Engine,
    output: &Output,
    project: &Project,
    stack: &Stack,
    here: &str,
    kept: &BTreeSet<String>,
) {
    let Some(swarm) = &project.swarm else {
        return;
    };
    let outcomes = if let Some(registry) = &swarm.registry {
        vec![of_engine(engine, project, registry, kept).await]
    } else if let Some(way) = &swarm.ssh {
        let nodes = stack.nodes.iter().filter(|it| it.ready || it.id == here);
        let nodes = nodes.map(async |node| {
            if node.id == here {
                return of_engine(engine, project, LOADED, kept).await;
            }
            let there = nodes::connect(way, node).await?;
            of_engine(&there, project, LOADED, kept).await
        });
        join_all(nodes).await
    } else {
        return;
    };
    for err in outcomes.into_iter().filter_map(Result::err) {
        output.note(&format!("old images stay: {}", err.message));
    }
}

async fn of_engine(
    engine: &Engine,
    project: &Project,
    host: &str,
    kept: &BTreeSet<String>,
) -> Result<()> {
    let images = engine.list_images(&[]).await;
    let images = images.doing(|| "list images".into())?;
    for name in images.iter().flat_map(|it| old(it, project, host, kept)) {
        // One that a task still has stays until it hasn't.
        tag::remove(engine, name).await?;
    }
    Ok(())
}

/// The names of an image that lead to it only because of us, by which it isn't needed any more.
fn old<'a>(
    image: &'a ImageSummary,
    project: &Project,
    host: &str,
    kept: &BTreeSet<String>,
) -> Vec<&'a str> {
    let ours = |name: &&str| {
        let Some((repository, tag)) = name.rsplit_once(':') else {
            return false;
        };
        let begin = format!("{}-", project.name);
        let content = tag.strip_prefix(&begin).unwrap_or_default();
        let is_content = content.len() == DIGITS && content.chars().all(|c| c.is_ascii_hexdigit());
        let is_there = repository
            .strip_prefix(host)
            .is_some_and(|it| it.starts_with('/'));
        is_there && is_content && !kept.contains(content)
    };
    let names = image.repo_tags.iter().map(String::as_str);
    let mut old: Vec<&str> = names.filter(ours).collect();
    // Without its tag, it would stay by its digest.
    if let Some((repository, _)) = old.first().and_then(|it| it.rsplit_once(':')) {
        let digests = image.repo_digests.iter().map(String::as_str);
        let of_it = |it: &&str| {
            it.strip_prefix(repository)
                .is_some_and(|it| it.starts_with('@'))
        };
        old.extend(digests.filter(of_it));
    }
    old
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names_of_what_nothing_goes_back_to_are_old() {
        let image = ImageSummary {
            repo_tags: [
                "causeway/api:latest",
                "causeway/api:causeway-release-3",
                "loaded.invalid/causeway/api:causeway-0123456789abcdef",
                "loaded.invalid/causeway/api:causeway-aaaaaaaaaaaaaaaa",
                "loaded.invalid/causeway/api:causeway-b-0123456789abcdef",
                "loaded.invalid.example/causeway/api:causeway-0123456789abcdef",
            ]
            .map(str::to_owned)
            .to_vec(),
            ..ImageSummary::default()
        };
        let text = "name: causeway\nservices: {s: {image: i}}\n";
        let options = compose_file::LoadOptions {
            files: vec!["compose.yaml".into()],
            ..compose_file::LoadOptions::default()
        };
        let project = compose_file::load_text(&options, text).unwrap();
        let kept = BTreeSet::from(["aaaaaaaaaaaaaaaa".to_owned()]);
        assert_eq!(
            old(&image, &project, LOADED, &kept),
            ["loaded.invalid/causeway/api:causeway-0123456789abcdef"]
        );
    }
}
