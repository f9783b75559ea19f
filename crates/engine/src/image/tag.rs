//! Further names of an image, which keep it on the engine when its first one moves on.

use bollard::errors::Error as EngineError;
use bollard::query_parameters::{RemoveImageOptions, TagImageOptionsBuilder};

use crate::Engine;
use crate::error::{EngineContext, Result, is_missing};

/// Gives `image` a second tag in its repository. Returns the full name.
pub async fn add(engine: &Engine, image: &str, tag: &str) -> Result<String> {
    let repository = repository(image);
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
    let removed = engine
        .docker()
        .remove_image(name, None::<RemoveImageOptions>, None)
        .await;
    match removed {
        Err(err) if is_missing(&err) => Ok(None),
        Err(EngineError::DockerResponseServerError {
            status_code: 409, ..
        }) => Ok(Some(format!(
            "image {name} is kept, a container uses it; `docker image rm {name}` removes it later"
        ))),
        removed => {
            removed.doing(|| format!("remove image {name}"))?;
            Ok(None)
        }
    }
}

/// The name without tag and digest. A colon before a slash belongs to a port.
fn repository(image: &str) -> &str {
    let image = image.split('@').next().unwrap_or(image);
    let last = image.rfind('/').map_or(0, |slash| slash + 1);
    match image[last..].rfind(':') {
        Some(colon) => &image[..last + colon],
        None => image,
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
}
