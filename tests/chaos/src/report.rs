//! What a run leaves behind: a table on the terminal, JSON for machines, Markdown for the docs.

mod markdown;
pub(crate) mod table;

use engine::error::{Error, Result};
use serde::Serialize;
use std::path::Path;
use terminal::Output;
use terminal::style::Tone;

use crate::cli::{Options, Pace};
use crate::machine::Machine;
use crate::verdict::Verdict;

/// A run, as far as it came.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Fixes the run.
    pub(crate) seed: u64,
    /// Requests a second.
    pub(crate) rate: u32,
    /// How long a fault lasts, give or take one second.
    pub(crate) seconds: u64,
    /// Faults that were asked for; empty: all.
    pub(crate) only: Vec<String>,
    /// What it was made on.
    pub(crate) machine: Machine,
    /// The rounds that were played, in their order.
    pub(crate) rounds: Vec<Verdict>,
    /// Faults that can't be injected here, and why.
    pub(crate) skipped: Vec<Skipped>,
    /// Requests that were stored twice once everything was over: a second copy may have come later
    /// than the look at its round.
    pub(crate) stored_twice: Vec<String>,
    /// Whether every round that was to be played was.
    pub(crate) complete: bool,
}

/// A fault that was left out.
#[derive(Debug, Serialize)]
pub(crate) struct Skipped {
    /// Its name.
    pub(crate) fault: &'static str,
    /// Why.
    pub(crate) reason: String,
}

impl Report {
    /// A run that begins.
    pub(crate) fn new(options: &Options, pace: Pace, machine: Machine) -> Self {
        Self {
            seed: options.seed,
            rate: pace.rate,
            seconds: pace.seconds,
            only: options.only.clone(),
            machine,
            rounds: Vec::new(),
            skipped: Vec::new(),
            stored_twice: Vec::new(),
            complete: false,
        }
    }

    /// A round was judged.
    pub(crate) fn add(&mut self, verdict: Verdict) {
        self.rounds.push(verdict);
    }

    /// A fault can't be injected here.
    pub(crate) fn skip(&mut self, fault: &'static str, reason: String) {
        self.skipped.push(Skipped { fault, reason });
    }

    /// Every round was played, and after them all these were stored twice.
    pub(crate) fn complete(&mut self, stored_twice: Vec<String>) {
        self.stored_twice = stored_twice;
        self.complete = true;
    }

    /// Whether every promise held, in a run that came to its end.
    pub(crate) fn holds(&self) -> bool {
        self.complete
            && self.stored_twice.is_empty()
            && self.rounds.iter().all(|round| round.broken.is_empty())
    }

    /// Prints the table, what was left out, and the verdict.
    pub(crate) fn finish(&self, output: &Output) {
        let rows: Vec<_> = self.rounds.iter().map(table::cells).collect();
        output.line("");
        output.table(&table::HEADING, &rows);
        for skipped in &self.skipped {
            output.note(&format!(
                "{} was skipped: {}",
                skipped.fault, skipped.reason
            ));
        }
        let style = output.style();
        for round in &self.rounds {
            for broken in &round.broken {
                let mark = style.paint(Tone::Bad, "broken:");
                output.line(&format!("{mark} {}: {broken}", round.fault));
            }
        }
        if let Some(first) = self.stored_twice.first() {
            output.line(&format!(
                "{} stored more than once by the end of the run: {} (such as {first})",
                style.paint(Tone::Bad, "broken:"),
                self.stored_twice.len()
            ));
        }
        if self.holds() {
            let sent: usize = self.rounds.iter().map(|round| round.sent).sum();
            output.line(&format!(
                "every promise held: {} rounds, {sent} requests, none lost, none stored twice",
                self.rounds.len()
            ));
        }
    }

    /// Writes the files.
    ///
    /// # Errors
    /// When one can't be written, or the run isn't fit for the docs.
    pub(crate) async fn write(&self, options: &Options, output: &Output) -> Result<()> {
        let json = serde_json::to_string_pretty(self).map_err(|error| {
            Error::failed(format!("can't write the report: {error}"), "report this")
        })?;
        let markdown = markdown::render(self);
        let whole = self.complete && self.only.is_empty();
        self::write(options, output, "report", &json, &markdown, whole).await
    }
}

/// Writes a report under `name`; `whole` says whether it is of every round there is, and so fit for
/// the docs.
///
/// # Errors
/// When a file can't be written, or the docs want a report that isn't whole.
pub(crate) async fn write(
    options: &Options,
    output: &Output,
    name: &str,
    json: &str,
    markdown: &str,
    whole: bool,
) -> Result<()> {
    let page = options.out.join(format!("{name}.md"));
    write_file(&options.out.join(format!("{name}.json")), json).await?;
    write_file(&page, markdown).await?;
    output.line(&format!("report: {}", page.display()));
    let Some(file) = &options.commit_to else {
        return Ok(());
    };
    if !whole {
        return Err(Error::failed(
            format!(
                "{} is for whole runs, and was left as it is",
                file.display()
            ),
            "run it without --only, to its end",
        ));
    }
    write_file(file, markdown).await
}

async fn write_file(file: &Path, text: &str) -> Result<()> {
    let written = async {
        if let Some(directory) = file.parent() {
            tokio::fs::create_dir_all(directory).await?;
        }
        tokio::fs::write(file, text).await
    };
    written.await.map_err(|error| {
        Error::failed(
            format!("can't write {}: {error}", file.display()),
            "see that its directory may be written to",
        )
    })
}
