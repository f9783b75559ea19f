//! Copies images from one engine to another, as `docker save` and `docker load` do.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bollard::body_try_stream;
use bollard::query_parameters::ImportImageOptions;
use futures_util::{StreamExt, TryStreamExt};
use terminal::Task;

use crate::Engine;
use crate::error::{EngineContext, Result};

/// An engine says nothing while it stores a layer.
const SILENCE: Duration = Duration::from_secs(300);
/// Between two looks at how far it is.
const LOOK: Duration = Duration::from_millis(500);

/// Copies the images of these names, with their names. Each layer is sent once.
///
/// # Errors
/// When one side refuses, or the connection breaks.
pub async fn run(from: &Engine, to: &Engine, names: &[&str], task: &Task<'_>) -> Result<()> {
    let sent = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&sent);
    let pieces = from.patient(SILENCE).export_images(names);
    let pieces = pieces
        .map_err(std::io::Error::other)
        .inspect_ok(move |piece| {
            counted.fetch_add(piece.len() as u64, Ordering::Relaxed);
        });
    let docker = to.patient(SILENCE);
    let load = async {
        let body = body_try_stream(pieces);
        let mut events = Box::pin(docker.import_image(ImportImageOptions::default(), body, None));
        while let Some(event) = events.next().await {
            event.doing(|| format!("load images at {}", to.address()))?;
        }
        Ok(())
    };
    let watch = async {
        loop {
            tokio::time::sleep(LOOK).await;
            task.detail(&format!(
                "{} MB sent",
                sent.load(Ordering::Relaxed) / 1_000_000
            ));
        }
    };
    tokio::select! {
        loaded = load => loaded,
        () = watch => Ok(()),
    }
}
