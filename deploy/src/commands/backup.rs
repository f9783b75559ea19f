//! `deploy backup`: all that was recorded, in one file.

use std::io::{BufWriter, IsTerminal as _, Write, stdout};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use engine::Engine;
use engine::error::{Error, Result};
use engine::exec::{Output as Stream, Running};
use hyper::body::Bytes;
use serde_json::json;
use tokio::sync::mpsc::{self, Sender};
use tokio::task::spawn_blocking;

use crate::backup::{
    self, Done, Keeper, PIECES, Pieces, Source, Target, ended_well, joined, remove_left, size,
};
use crate::cli::Backup;
use crate::context::Context;
use crate::output::Task;

/// Between two looks at how far it is.
const LOOK: Duration = Duration::from_secs(1);
/// How much lower the priority of the thread is that compresses: the stack's parts come first.
const NICE: i32 = 10;
/// What to do where it didn't work out.
const AGAIN: &str =
    "see `deploy ps` and `deploy logs`, then run the backup again; no file was written";

pub(super) async fn run(context: &Context, args: Backup) -> Result<()> {
    let begun = (SystemTime::now(), Instant::now());
    let to_stdout = args.file == Path::new("-");
    if to_stdout && (stdout().is_terminal() || context.output.is_json()) {
        return Err(Error::usage(
            "a backup is no text, and standard output is for text here",
            "name a file, or lead standard output elsewhere, without --json",
        ));
    }
    let project = context.project()?;
    let backup = Keeper::said(&project)?;
    let (target, out): (_, Box<dyn Out>) = if to_stdout {
        (None, Box::new(stdout()))
    } else {
        for left in remove_left(&args.file) {
            let left = left.display();
            context
                .output
                .note(&format!("removed {left}, which a killed backup left"));
        }
        let (target, file) = Target::create(&args.file, args.force)?;
        (Some(target), Box::new(file))
    };
    let engine = Engine::connect().await?;
    let keeper = Keeper::find(&engine, &project, backup).await?;
    let name = args.file.display().to_string();
    // Standard output isn't for words then.
    let task = (!to_stdout).then(|| context.output.task(&format!("backup {name}"), "reading"));

    // The dump ends when its input does: with this function, or with this process.
    let Running { input, mut output } = keeper.run(&engine, &backup.dump).await?;
    let (sender, receiver) = mpsc::channel(PIECES);
    let done = Arc::new(Done::default());
    let source = Source {
        project: project.name.to_string(),
        begun: begun.0,
        target: if to_stdout {
            "standard output".to_owned()
        } else {
            name.clone()
        },
    };
    let writing = spawn_blocking({
        let done = Arc::clone(&done);
        move || {
            // Linux has it for each thread.
            _ = rustix::process::nice(NICE);
            let mut out = BufWriter::with_capacity(1 << 20, out);
            let written = backup::write(Pieces::new(receiver), &mut out, &source, &done)?;
            out.get_mut()
                .keep()
                .map_err(|err| source.unwritable(&err))?;
            Ok(written)
        }
    });
    let all_read = tokio::select! {
        read = forward(&mut output, sender) => read?,
        never = watch(task.as_ref(), &done) => match never {},
    };
    let written = joined(writing).await;
    if all_read {
        ended_well(&keeper, "dump", &output.end().await?, AGAIN)?;
    }
    drop(input);
    let (manifest, compressed) = written?;
    if let Some(target) = target {
        target.finish()?;
    }
    let text = format!("{}, {} in the file", done.text(), size(compressed));
    if let Some(task) = task {
        task.done(&text);
    }
    context.output.event(&json!({
        "event": "backup",
        "file": name,
        "size": compressed,
        "seconds": begun.1.elapsed().as_secs_f64(),
        "manifest": manifest,
    }));
    Ok(())
}

/// Hands over what the dump writes. Whether that was all: false where nobody takes it any more.
async fn forward(output: &mut Stream, sender: Sender<Bytes>) -> Result<bool> {
    while let Some(piece) = output.read().await? {
        if sender.send(piece).await.is_err() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Shows how far it is, without end.
pub(super) async fn watch(task: Option<&Task<'_>>, done: &Done) -> std::convert::Infallible {
    loop {
        tokio::time::sleep(LOOK).await;
        if let Some(task) = task {
            task.detail(&done.text());
        }
    }
}

/// Where a backup goes.
trait Out: Write + Send {
    /// What was written is there whatever happens to the machine.
    fn keep(&mut self) -> std::io::Result<()>;
}

impl Out for std::fs::File {
    fn keep(&mut self) -> std::io::Result<()> {
        self.sync_all()
    }
}

impl Out for std::io::Stdout {
    fn keep(&mut self) -> std::io::Result<()> {
        self.flush()
    }
}
