//! Further names of an image, which keep it on the engine when its first one moves on.

use bollard::query_parameters::TagImageOptionsBuilder;

use crate::Engine;
use crate::error::{EngineContext, Result, is_conflict, is_missing};

/// Gives `image` a second tag in its repository. Returns the full name.
pub async fn add(engine: &Engine, image: &str, tag: &str) -> Result<String> {
    add_as(engine, image, repository(image), tag).await
}

/// Gives `image` another name. Returns it.
///
/// # Errors
/// When the engine refuses.
pub async fn add_as(engine: &Engine, image: &str, repository: &str, tag: &str) -> Result<String> {
    let options = TagImageOptionsBuilder::new()
        .repo(repository)
        .tag(tag)
        .build();
    engine
        .docker()
        .tag_image(image, Some(options))
        .await
        .doing(|| format!("tag image {image} as {repository}:{tag}"))?;
    Ok(format!("{repository}:{tag}"))
}

/// Takes one name away, and the image with it if that was its last. Returns a note where
/// the engine keeps it because a container still uses it.
pub async fn remove(engine: &Engine, name: &str) -> Result<Option<String>> {
    match engine.remove_image(name).await {
        Err(err) if is_missing(&err) => Ok(None),
        Err(err) if is_conflict(&err) => Ok(Some(format!(
            "image {name} is kept, a container uses it; `docker image rm {name}` removes it later"
        ))),
        removed => {
            removed.doing(|| format!("remove image {name}"))?;
            Ok(None)
        }
    }
}

/// The name without tag and digest. A colon before a slash belongs to a port.
pub fn repository(image: &str) -> &str {
    let image = image.split('@').next().unwrap_or(image);
    let last = image.rfind('/').map_or(0, |slash| slash + 1);
    match image[last..].rfind(':') {
        Some(colon) => &image[..last + colon],
        None => image,
    }
}

/// Of what the engine knows an image by in registries, the digest in this repository.
pub fn digest<'a>(repository: &str, known: &'a [String]) -> Option<&'a str> {
    let mut known = known.iter().filter_map(|it| it.split_once('@'));
    let (_, digest) = known.find(|(it, _)| *it == repository)?;
    Some(digest)
}

/// The name without its registry, tag and digest.
pub fn path(image: &str) -> &str {
    let repository = repository(image);
    match repository.split_once('/') {
        Some((host, path)) if super::pull::registry(image) == host => path,
        _ => repository,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_the_name_without_tag_and_digest() {
        for (image, expected) in [
            ("mongo", "mongo"),
            ("mongo:7.0", "mongo"),
            ("mongo:7.0@sha256:ab", "mongo"),
            ("host:5000/a/b", "host:5000/a/b"),
            ("host:5000/a/b:1", "host:5000/a/b"),
        ] {
            assert_eq!(repository(image), expected);
        }
    }

    #[test]
    fn a_path_is_the_name_without_registry_tag_and_digest() {
        for (image, expected) in [
            ("mongo:7", "mongo"),
            ("causeway/api:latest", "causeway/api"),
            ("host:5000/a/b:1", "a/b"),
            ("docker.io/a/b", "a/b"),
            ("localhost/a@sha256:00", "a"),
        ] {
            assert_eq!(path(image), expected);
        }
    }
}
