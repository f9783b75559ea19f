//! `deploy restore`: what is in a backup is recorded again, as far as it isn't there.

use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use dump_stream::{END, FORMAT, Header, LONGEST_LINE, Progress};
use engine::Engine;
use engine::error::{Error, Result};
use engine::exec::{Input, Output as Stream, Running};
use hyper::body::Bytes;
use serde_json::json;
use tokio::sync::mpsc::{self, Receiver};
use tokio::task::{JoinHandle, spawn_blocking};

use super::backup::watch;
use crate::backup::{Archive, Done, Keeper, PIECES, ended_well, joined, size};
use crate::cli::Restore;
use crate::context::Context;

/// What to do where it stopped half way.
const AGAIN: &str = "run the same command again: what is there already isn't stored twice (`deploy logs` may say more)";

pub(super) async fn run(context: &Context, args: Restore) -> Result<()> {
    let begun = Instant::now();
    let name = args.file.display().to_string();
    if args.check {
        let archive = checked(context, &args, &name).await?;
        context.output.event(&json!({
            "event": "checked",
            "file": name,
            "size": archive.size,
            "manifest": archive.manifest,
        }));
        return Ok(());
    }
    let project = context.project()?;
    let backup = Keeper::said(&project)?;
    let engine = Engine::connect().await?;
    let keeper = Keeper::find(&engine, &project, backup).await?;
    let archive = checked(context, &args, &name).await?;
    let task = context.output.task(&format!("restore {name}"), "storing");
    let Running { input, mut output } = keeper.run(&engine, &backup.restore).await?;

    let done = Arc::new(Done::default());
    let manifest = &archive.manifest;
    let header = Header {
        format: FORMAT,
        database: manifest.database.clone(),
        collection: manifest.collection.clone(),
        metadata: archive.metadata.clone(),
        documents: manifest.documents,
    };
    let manifest = manifest.clone();
    let (sender, receiver) = mpsc::channel(PIECES);
    let reading = spawn_blocking({
        let done = Arc::clone(&done);
        move || archive.documents(&done, |piece| sender.blocking_send(piece).is_ok())
    });
    let mut answers = Answers::default();
    let fed = {
        let mut feed = pin!(feed(input, &header, receiver, reading));
        let mut listen = pin!(answers.listen(&mut output));
        tokio::select! {
            ended = &mut feed => match ended {
                Ok(()) => tokio::select! {
                    listened = &mut listen => listened,
                    never = watch(Some(&task), &done) => match never {},
                },
                Err(err) => Err(err),
            },
            // It ended before it had read all, and says why.
            listened = &mut listen => listened,
            never = watch(Some(&task), &done) => match never {},
        }
    };
    fed?;
    ended_well(&keeper, "load", &output.end().await?, AGAIN)?;
    let Progress {
        stored,
        already,
        different,
        different_ids,
        notes,
        done: true,
    } = answers.last
    else {
        return Err(Error::failed(
            format!("the load in {} doesn't say that it is done", keeper.name()),
            AGAIN,
        ));
    };
    task.done(&format!(
        "{} documents: {stored} stored, {already} there already",
        manifest.documents
    ));
    for note in &notes {
        context.output.note(note);
    }
    context.output.event(&json!({
        "event": "restore",
        "file": name,
        "documents": manifest.documents,
        "stored": stored,
        "already": already,
        "different": different,
        "different_ids": different_ids,
        "seconds": begun.elapsed().as_secs_f64(),
    }));
    if different == 0 {
        return Ok(());
    }
    let more = different.saturating_sub(different_ids.len() as u64);
    let more = (more > 0).then(|| format!("and {more} more"));
    Err(Error::failed(
        format!(
            "{different} documents of the backup weren't stored: others with their ids are there"
        ),
        "`deploy requests ID` shows what is there; what is in the backup is documented in docs/backup.md",
    )
    .with_details(different_ids.into_iter().chain(more)))
}

/// The backup, read once and found whole.
async fn checked(context: &Context, args: &Restore, name: &str) -> Result<Archive> {
    let task = context.output.task(name, "checking");
    let done = Arc::new(Done::default());
    let checking = spawn_blocking({
        let (path, done) = (args.file.clone(), Arc::clone(&done));
        move || {
            let archive = Archive::open(&path)?;
            archive.documents(&done, |_| true)?;
            Ok(archive)
        }
    });
    let archive = tokio::select! {
        archive = joined(checking) => archive?,
        never = watch(Some(&task), &done) => match never {},
    };
    let manifest = &archive.manifest;
    task.done(&format!(
        "whole: {}, {} in the file, of {} at {}",
        done.text(),
        size(archive.size),
        manifest.project,
        manifest.created
    ));
    Ok(archive)
}

/// Writes all to the command, and its end only when all was read well.
async fn feed(
    mut input: Input,
    header: &Header,
    mut receiver: Receiver<Bytes>,
    reading: JoinHandle<Result<()>>,
) -> Result<()> {
    let mut line = serde_json::to_vec(header).unwrap_or_default();
    line.push(b'\n');
    let mut read_on = input.write(&line).await?;
    while read_on && let Some(piece) = receiver.recv().await {
        read_on = input.write(&piece).await?;
    }
    drop(receiver);
    joined(reading).await?;
    if read_on {
        input.write(&END).await?;
    }
    input.end().await?;
    Ok(())
}

/// What the command answers.
#[derive(Default)]
struct Answers {
    last: Progress,
    line: Vec<u8>,
}

impl Answers {
    async fn listen(&mut self, output: &mut Stream) -> Result<()> {
        while let Some(piece) = output.read().await? {
            self.line.extend_from_slice(&piece);
            while let Some(end) = self.line.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.line.drain(..=end).collect();
                self.last = serde_json::from_slice(&line).map_err(|err| misunderstood(&err))?;
            }
            if self.line.len() > LONGEST_LINE {
                return Err(misunderstood(&"a line without an end"));
            }
        }
        Ok(())
    }
}

fn misunderstood(why: &dyn std::fmt::Display) -> Error {
    Error::failed(
        format!("what the load answers isn't what was expected: {why}"),
        "see that the stack and deploy are of one version: `deploy up` brings up this checkout's",
    )
}
