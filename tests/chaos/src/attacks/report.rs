//! What a run of attacks leaves behind: a table on the terminal, JSON for machines, Markdown for the
//! docs.

use std::fmt::Write as _;

use engine::error::{Error, Result};
use serde::Serialize;
use terminal::Output;
use terminal::style::Tone;
use terminal::table::Cell;

use super::ALL;
use super::verdict::Verdict;
use crate::cli::Options;
use crate::machine::Machine;
use crate::memory::Levels;
use crate::report::{self, table};
use crate::verdict::counts;

/// What stands above the table.
const INTRODUCTION: &str = "\
# Attacks: what many clients can do, and what it costs the others

`make chaos CHAOS=--attacks` brings up a stack of its own, with the images that ship and the limits of
`compose.yaml`, and has many clients misbehave at once. They are in containers of their own on
`public-net-1`, 2,500 to an address, and connect to the proxy's port, some to the API past the proxy.
Whoever is closed or answered comes back 4 to 8 s later. This page is the report of one run, as the
suite wrote it.

A bystander goes on all the while, through the published port and from another address: 20 requests
a second, eight of ten writes, three of ten on a new connection, half of them over TCP, the others over
TLS and HTTP/2, none ever sent twice. These promises are checked:

- **Nobody is killed**: every container has the process that it had before.
- **Memory** of listener, proxy and API peaks below 80 % of the limit, by the kernel's own count. Within
  30 s of the attack's end, without any load, it is less than 32 MiB above what it was before the
  first attack.
- **The bystander** is answered 200 each time, 99 of 100 times within a second; not so marked †: there
  the API is paused, or all ask for what anybody may ask for, more than MongoDB can do, and the
  bystander is one of them.
- **Exactly once**: each of its requests that was answered 200 is in the database once, as it was sent,
  and none is there twice.
- **The first write** after the attack is answered 200 within 2 s of its end.
- **The attack is real**: every connection was opened, and no attacker lacked a port or a descriptor.
";

/// A run, as far as it came.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Fixes the run.
    pub(crate) seed: u64,
    /// The bystander's requests a second.
    pub(crate) rate: u32,
    /// How long an attack lasts.
    pub(crate) seconds: u64,
    /// Attacks that were asked for; empty: all.
    pub(crate) only: Vec<String>,
    /// What it was made on.
    pub(crate) machine: Machine,
    /// Bytes by container, before the first attack.
    pub(crate) memory_idle: Levels,
    /// The rounds that were played, in their order.
    pub(crate) rounds: Vec<Verdict>,
    /// Whether every round that was to be played was.
    pub(crate) complete: bool,
}

/// The columns of the table.
const HEADING: [&str; 10] = [
    "attack",
    "opened",
    "at once",
    "answers",
    "peak",
    "after",
    "bystander",
    "p99",
    "first write",
    "verdict",
];

impl Report {
    /// Whether every promise held, in a run that came to its end.
    pub(crate) fn holds(&self) -> bool {
        self.complete && self.rounds.iter().all(|round| round.broken.is_empty())
    }

    /// Prints the table and the verdict.
    pub(crate) fn finish(&self, output: &Output) {
        let rows: Vec<_> = self.rounds.iter().map(cells).collect();
        output.line("");
        output.table(&HEADING, &rows);
        let style = output.style();
        for round in &self.rounds {
            for broken in &round.broken {
                let mark = style.paint(Tone::Bad, "broken:");
                output.line(&format!("{mark} {}: {broken}", round.attack));
            }
        }
        if self.holds() {
            output.line(&format!(
                "every promise held: {} attacks",
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
        let whole = self.complete && self.only.is_empty();
        report::write(options, output, "attacks", &json, &self.page(), whole).await
    }

    fn page(&self) -> String {
        let mut page = INTRODUCTION.to_owned();
        // Writing to a string can't fail.
        _ = write!(page, "\n## Results\n\n{}", self.results());
        _ = write!(
            page,
            "\n## The attacks\n\n| attack | what is done |\n|---|---|\n"
        );
        for attack in ALL {
            _ = writeln!(page, "| `{}` | {} |", attack.name, attack.about);
        }
        _ = write!(page, "\n## How to repeat it\n\n{}", self.repeat());
        page
    }

    fn results(&self) -> String {
        let mut table = format!(
            "| {} |\n|---|--:|--:|---|---|---|---|--:|--:|---|\n",
            HEADING.join(" | ")
        );
        for round in &self.rounds {
            let mut cells: Vec<String> = cells(round).into_iter().map(|(text, _)| text).collect();
            if let Some(name) = cells.first_mut() {
                let rush = ALL
                    .iter()
                    .any(|attack| attack.name == round.attack && !attack.spares_bystander);
                *name = format!("`{name}`{}", if rush { " †" } else { "" });
            }
            if let Some(verdict) = cells.last_mut().filter(|text| *text != "held") {
                *verdict = format!("**{verdict}**");
            }
            _ = writeln!(table, "| {} |", cells.join(" | "));
        }
        table.push_str(
            "\nOpened: connections in all; at once: the most at the same time. Answers: what the \
             attackers got. Peak: of the limit. After: without load, when memory had fallen, \
             or 30 s after the end. Bystander: requests, and those that weren't answered 200.\n",
        );
        for round in &self.rounds {
            for broken in &round.broken {
                _ = write!(table, "\n- Broken by `{}`: {broken}.", round.attack);
            }
        }
        if !table.ends_with('\n') {
            table.push('\n');
        }
        table
    }

    fn repeat(&self) -> String {
        format!(
            "```console\n$ make chaos CHAOS='--attacks --seed {} --seconds {} --rate {}'\n```\n\n\
             `--only ATTACK,…` takes some of the attacks, `--attacks --list` lists them. The suite \
             needs root on the engine's host, for the kernel's figures.\n\n\
             This run: {}\n",
            self.seed, self.seconds, self.rate, self.machine,
        )
    }
}

/// One line of the table.
fn cells(verdict: &Verdict) -> Vec<Cell> {
    let plain = |text: String| (text, Tone::Plain);
    // The database's cache says nothing about clients.
    let parts = || {
        verdict
            .peaks
            .iter()
            .filter(|peak| peak.service != "mongo" || peak.killed.is_some())
    };
    let peaks: Vec<String> = parts()
        .map(|peak| {
            let fate = peak.killed.as_deref().map(|how| format!(" ({how})"));
            format!(
                "{} {} %{}",
                peak.service,
                peak.share(),
                fate.unwrap_or_default()
            )
        })
        .collect();
    let after: Vec<String> = parts()
        .filter_map(|peak| {
            let bytes = verdict.memory_after.get(&peak.container)?;
            Some(format!("{} {} MiB", peak.service, bytes >> 20))
        })
        .collect();
    let failed = counts(&verdict.bystander.otherwise);
    vec![
        (verdict.attack.to_owned(), Tone::Strong),
        plain(verdict.seen.opened.to_string()),
        plain(verdict.seen.most.to_string()),
        plain(table::or_dash(counts(&verdict.seen.statuses))),
        plain(peaks.join(", ")),
        plain(after.join(", ")),
        plain(if failed.is_empty() {
            verdict.bystander.sent.to_string()
        } else {
            format!("{}: {failed}", verdict.bystander.sent)
        }),
        plain(table::seconds(Some(verdict.bystander.p99))),
        plain(table::seconds(verdict.first_write)),
        if verdict.broken.is_empty() {
            ("held".to_owned(), Tone::Good)
        } else {
            ("broken".to_owned(), Tone::Bad)
        },
    ]
}

/// What is said when a round ends.
pub(crate) fn one_line(verdict: &Verdict) -> String {
    let held = if verdict.broken.is_empty() {
        "held".to_owned()
    } else {
        format!("BROKEN: {}", verdict.broken.join("; "))
    };
    let cells: Vec<String> = HEADING
        .iter()
        .zip(cells(verdict))
        .skip(1)
        .take(HEADING.len() - 2)
        .map(|(heading, (text, _))| format!("{heading} {text}"))
        .collect();
    format!("{held}; {}", cells.join("; "))
}
