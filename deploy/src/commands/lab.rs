//! `deploy lab`: list the lessons, run them, write the report.

use std::cell::Cell;
use std::io::Write;
use std::path::Path;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{Context, interrupted};
use crate::cli::{Lab, LabRun};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::lab::lesson::Lesson;
use crate::lab::report::{LessonReport, Report, markdown, terminal};
use crate::lab::{lessons, runner};
use crate::output::style::Tone;
use crate::output::{Output, Task, table};

pub(super) async fn run(context: &Context, command: Lab) -> Result<()> {
    match command {
        Lab::List => {
            list(&context.output);
            Ok(())
        }
        Lab::Run(args) => teach(&context.output, args).await,
        #[cfg(target_os = "linux")]
        Lab::Guest(options) => crate::lab::guest::serve(&options).await,
    }
}

fn list(output: &Output) {
    if output.is_json() {
        let entry = |lesson: &Lesson| json!({"name": lesson.name, "title": lesson.title, "story": lesson.story});
        output.document(&lessons::ALL.iter().map(entry).collect::<Vec<_>>());
        return;
    }
    let row = |lesson: &Lesson| {
        vec![
            (lesson.name.to_owned(), Tone::Strong),
            (lesson.title.to_owned(), Tone::Plain),
        ]
    };
    let rows: Vec<Vec<table::Cell>> = lessons::ALL.iter().map(row).collect();
    for line in table::lines(&["LESSON", "WHAT IT SHOWS"], &rows, output.style()) {
        output.line(&line);
    }
}

async fn teach(output: &Output, args: LabRun) -> Result<()> {
    let lessons = lessons::named(&args.names)?;
    // Before minutes of work: can the report be written at all?
    if let Some(path) = &args.report {
        write(
            path,
            "The lab is running; this file will hold its report.\n",
        )?;
    }
    let engine = Engine::connect().await?;
    let stop = CancellationToken::new();
    let shown = Shown::new(output, lessons.len());
    let run = runner::run(&engine, &lessons, args.allow_swarm, stop.clone(), &shown);
    tokio::pin!(run);
    let (report, signal) = tokio::select! {
        report = &mut run => (report?, None),
        signal = interrupted() => {
            output.note(&format!("{signal}: removing what the lab made"));
            stop.cancel();
            (run.await?, Some(signal))
        }
    };
    if let Some(signal) = signal {
        return Err(Error::failed(
            format!("interrupted by {signal}; everything that the lab made is removed"),
            "run it again: `deploy lab run`",
        ));
    }
    if let Some(path) = &args.report {
        write(path, &markdown::document(&report))?;
    }
    conclude(output, &report, args.report.as_deref())
}

/// The summary, and the exit status.
fn conclude(output: &Output, report: &Report, written: Option<&Path>) -> Result<()> {
    if output.is_json() {
        // A line, not a document: where lessons failed, the error is the next line.
        output.event(report);
    } else {
        let style = output.style();
        if report.lessons.len() > 1 {
            for lesson in &report.lessons {
                output.line(&terminal::headline(lesson, style));
            }
        }
        output.line(&format!("{} in {:.0}s", report.summary(), report.seconds));
        if report.lessons.len() > 1 {
            for line in terminal::skips(&report.lessons) {
                output.line(&line);
            }
        }
        if let Some(path) = written {
            output.line(&format!("The report is in {}", path.display()));
        }
    }
    match report.tally().failed {
        0 => Ok(()),
        1 => Err(Error::failed("a lesson failed", NEXT)),
        failed => Err(Error::failed(format!("{failed} lessons failed"), NEXT)),
    }
}

const NEXT: &str = "read what was expected and what was seen above, next to the evidence";

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::File::create(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|err| {
            Error::usage(
                format!("cannot write the report to {}: {err}", path.display()),
                "name a file in a directory that exists and is yours to write to",
            )
        })
}

/// Prints each lesson when it is done, and on a terminal how many are to come.
struct Shown<'a> {
    output: &'a Output,
    task: Option<Task<'a>>,
    rest: Cell<usize>,
}

impl<'a> Shown<'a> {
    fn new(output: &'a Output, lessons: usize) -> Self {
        let plural = if lessons == 1 { "" } else { "s" };
        let task =
            (!output.is_json()).then(|| output.task("lab", &format!("{lessons} lesson{plural}")));
        Self {
            output,
            task,
            rest: Cell::new(lessons),
        }
    }
}

impl runner::Progress for Shown<'_> {
    fn removed(&self, leftover: &str) {
        self.output.note(leftover);
    }

    fn lesson(&self, report: &LessonReport) {
        for line in terminal::lesson(report, self.output.style()) {
            self.output.line(&line);
        }
        self.rest.set(self.rest.get() - 1);
        if let Some(task) = &self.task {
            task.detail(&format!("{} more under way", self.rest.get()));
        }
    }
}
