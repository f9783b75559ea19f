//! The command: list the lessons, run them, write the report.

use std::cell::Cell;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use engine::Engine;
use engine::error::{Error, Result};
use serde_json::json;
use terminal::style::Tone;
use terminal::{Output, Task, interrupted, table};
use tokio_util::sync::CancellationToken;

use crate::lesson::Lesson;
use crate::report::{LessonReport, Report, lines, markdown};
use crate::{lessons, runner};

/// What the lab does.
#[derive(Debug, Subcommand)]
pub enum Lab {
    /// List the lessons
    List,
    /// Run lessons: commands to type, evidence, answers that are checked
    Run(LabRun),
    /// Be a container of a lesson
    #[cfg(target_os = "linux")]
    #[command(hide = true)]
    Guest(crate::guest::GuestOptions),
}

/// Which lessons are run, and how.
#[derive(Debug, Args)]
pub struct LabRun {
    /// Only these lessons (`deploy lab list`) [default: all]
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// Also write everything to this file, as Markdown
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Let the overlay lesson run two machines: containers with all rights, an engine in each
    #[arg(long)]
    pub allow_swarm: bool,
}

/// Runs one of them. Ctrl-C and SIGTERM end it when everything that it made is removed.
///
/// # Errors
/// When a lesson failed, or the report can't be written.
pub async fn run(output: &Output, command: Lab) -> Result<()> {
    match command {
        Lab::List => {
            list(output);
            Ok(())
        }
        Lab::Run(args) => teach(output, args).await,
        #[cfg(target_os = "linux")]
        Lab::Guest(options) => crate::guest::serve(&options).await,
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
                output.line(&lines::headline(lesson, style));
            }
        }
        output.line(&format!("{} in {:.0}s", report.summary(), report.seconds));
        if report.lessons.len() > 1 {
            for line in lines::skips(&report.lessons) {
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
    fn note(&self, text: &str) {
        self.output.note(text);
    }

    fn lesson(&self, report: &LessonReport) {
        for line in lines::lesson(report, self.output.style()) {
            self.output.line(&line);
        }
        self.rest.set(self.rest.get() - 1);
        if let Some(task) = &self.task {
            task.detail(&format!("{} more under way", self.rest.get()));
        }
    }
}
