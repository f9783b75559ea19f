//! Builds an image with the engine's classic builder, which every engine has.
//!
//! Builds run one after the other: services whose Dockerfiles share their first
//! stages then find them in the classic builder's layer cache, whereas two builds at
//! once would both do the work.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;

use bollard::body_try_stream;
use bollard::errors::Error as EngineError;
use bollard::query_parameters::BuildImageOptions;
use compose_file::Project;
use compose_file::model::{Build, Service};
use futures_util::{StreamExt, stream};
use sha2::{Digest, Sha256};
use terminal::{Output, text};

use super::context::Context;
use super::withheld::Withheld;
use crate::Engine;
use crate::error::{Error, Result, from_engine};
use crate::labels;

/// A build step (a compile) may print nothing for this long.
const SILENCE: Duration = Duration::from_secs(2 * 60 * 60);
/// Lines of the build's output that a failure shows.
const LAST_LINES: usize = 30;

/// Of a line of progress; a Dockerfile's step may be a whole script.
const WIDTH: usize = 100;

/// Over everything that goes into the build: files, Dockerfile, arguments, target, labels.
pub async fn hash(build: &Build, withheld: &Withheld) -> Result<String> {
    let (spec, withheld) = (build.clone(), withheld.clone());
    let context = blocking(build, move || list(&spec, &withheld)?.hash()).await?;
    let settings = serde_json::json!({
        "dockerfile": build.dockerfile.file_name().map(|name| name.to_string_lossy().into_owned()),
        "args": build.args,
        "target": build.target,
        "labels": build.labels,
    });
    Ok(hex::encode(
        Sha256::new()
            .chain_update(context)
            .chain_update(settings.to_string())
            .finalize(),
    ))
}

/// Builds and tags the service's image.
pub async fn run(
    engine: &Engine,
    output: &Output,
    project: &Project,
    service: &Service,
    build: &Build,
    hash: &str,
) -> Result<()> {
    let image = &service.image;
    let (spec, withheld) = (build.clone(), Withheld::of(project));
    let context = blocking(build, move || list(&spec, &withheld)).await?;
    if let Some(note) = context.note() {
        output.note(&note);
    }
    let task = output.task(&format!("image {image}"), "building");
    let mut image_labels = build.labels.clone();
    image_labels.insert(labels::BUILD_HASH.to_owned(), hash.to_owned());
    let options = BuildImageOptions {
        dockerfile: context.dockerfile().to_owned(),
        t: Some(image.clone()),
        rm: true,
        forcerm: true,
        buildargs: Some(build.args.clone().into_iter().collect()),
        labels: Some(image_labels.into_iter().collect()),
        target: build.target.clone().unwrap_or_default(),
        ..BuildImageOptions::default()
    };
    let pieces = stream::unfold(context.stream(), |mut pieces| async move {
        pieces.recv().await.map(|piece| (piece, pieces))
    });
    let docker = engine.patient(SILENCE);
    let mut events = Box::pin(docker.build_image(options, None, Some(body_try_stream(pieces))));
    let mut last = VecDeque::with_capacity(LAST_LINES);
    let mut step = String::new();
    while let Some(event) = events.next().await {
        let info = match event {
            Ok(info) => info,
            Err(err) => return Err(failure(image, &err, last)),
        };
        let said = info.stream.or(info.status).unwrap_or_default();
        for line in said
            .lines()
            .map(str::trim_end)
            .filter(|line| !line.is_empty())
        {
            // The builder colours what went to standard error.
            let line = anstream::adapter::strip_str(line).to_string();
            if line.is_empty() {
                continue;
            }
            let line = text::escape(&line).into_owned();
            match Said::of(&line) {
                Said::Step(number, instruction) => {
                    step = format!("step {number}");
                    task.detail(&text::shorten(&format!("{step}: {instruction}"), WIDTH));
                }
                Said::Bookkeeping => continue,
                Said::Output => {
                    task.detail(&text::shorten(
                        &format!("{step}: {}", line.trim_start()),
                        WIDTH,
                    ));
                }
            }
            if last.len() == LAST_LINES {
                last.pop_front();
            }
            last.push_back(line);
        }
    }
    task.done("built");
    Ok(())
}

/// What a line of the classic builder's output is.
#[derive(Debug, PartialEq)]
enum Said<'a> {
    /// `Step 3/26 : RUN make`: `3 of 26` and the instruction.
    Step(String, &'a str),
    /// The builder's own: `---> Running in f723e163b593`. Nothing that a reader could use.
    Bookkeeping,
    /// What an instruction printed.
    Output,
}

impl<'a> Said<'a> {
    fn of(line: &'a str) -> Self {
        if let Some((number, instruction)) = line
            .strip_prefix("Step ")
            .and_then(|rest| rest.split_once(" : "))
            && let Some((number, all)) = number.split_once('/')
        {
            return Self::Step(format!("{number} of {all}"), instruction);
        }
        let own = ["---> ", "Removing intermediate container ", "Successfully "];
        let line = line.trim_start();
        if own.iter().any(|prefix| line.starts_with(prefix)) {
            return Self::Bookkeeping;
        }
        Self::Output
    }
}

fn list(build: &Build, withheld: &Withheld) -> std::io::Result<Context> {
    Context::list(&build.context, &build.dockerfile, withheld)
}

async fn blocking<T: Send + 'static>(
    build: &Build,
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T> {
    let context: PathBuf = build.context.clone();
    let dockerfile: PathBuf = build.dockerfile.clone();
    let result = tokio::task::spawn_blocking(work)
        .await
        .map_err(std::io::Error::other);
    result.and_then(|inner| inner).map_err(|err| {
        Error::failed(
            format!(
                "can't read the build context {} with {}: {err}",
                context.display(),
                dockerfile.display()
            ),
            "correct `build.context` or `build.dockerfile` in the Compose file, or the file's permissions",
        )
    })
}

fn failure(image: &str, err: &EngineError, last: VecDeque<String>) -> Error {
    let message = match err {
        EngineError::DockerStreamError { error } => error,
        EngineError::DockerResponseServerError { message, .. } => message,
        other => return from_engine(&format!("build image {image}"), other).with_details(last),
    };
    let message = text::escape(message.trim());
    Error::failed(
        format!("building image {image} failed: {message}"),
        "correct what the build's last lines above complain about; the next `deploy up` \
         goes on from the last good layer",
    )
    .with_details(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_builder_are_told_apart() {
        let step = Said::Step("3 of 26".to_owned(), "RUN make : all");
        assert_eq!(Said::of("Step 3/26 : RUN make : all"), step);
        for own in [
            " ---> Running in f723e163b593",
            "Removing intermediate container f723e163b593",
            "Successfully built 0ce7d5dd6a3f",
            "Successfully tagged causeway/api:latest",
        ] {
            assert_eq!(Said::of(own), Said::Bookkeeping, "{own}");
        }
        assert_eq!(Said::of("   Compiling tokio v1.54.1"), Said::Output);
    }
}
