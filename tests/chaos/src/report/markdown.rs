//! The page for the docs.

use std::fmt::Write;

use super::Report;
use super::table::{or_dash, seconds};
use crate::faults::ALL;
use crate::verdict::Verdict;

/// What stands above the table.
const INTRODUCTION: &str = "\
# Chaos: what breaks, and what it costs

`make chaos` brings up a stack of its own with two API replicas, keeps it under a steady load, and
injects one fault after another. This page is the report of one run, as the suite wrote it.

Of ten requests eight are writes (`POST`, `PUT`, `GET /`) and two only read (`/hello`); three of ten
come on a new connection, the others on kept ones. Half go over TCP, a quarter over TLS, a quarter as
streams of HTTP/2. The rate stays the same whatever the answers are, and no request is ever sent twice.
A kept connection that is found closed before a byte was written is replaced, and so is a session of
HTTP/2 whose server says that it hasn't taken the request up; everything else that isn't a 200 counts as
answered otherwise.

After each fault, these promises are checked against the database itself:

- **Nothing lost**: every request that was answered 200 is there exactly once, under the id in its
  answer (which is its `X-Request-Id`), with the method, URL and body that were sent.
- **Nothing twice**: no request is there twice, whatever its answer was, and none is by the end of
  the run. One that got no 200 may be there once: the answer may be what was lost, and no client can
  tell.
- **Recovery**: within 10 s of the fault's end, whatever is sent is answered 200 again. The time is
  from the fault's end to the first answer among the requests sent after the last one that failed. A
  kill is over when the signal is sent; what follows is recovery.
- **Memory** of every container is back near its level before within 10 s, under the steady load, and
  every container is healthy.
- **No request fails** at all where another API replica can serve, or none is needed: marked † below.
";

/// The whole page.
pub(super) fn render(report: &Report) -> String {
    let mut page = INTRODUCTION.to_owned();
    // Writing to a string can't fail.
    _ = write!(page, "\n## Results\n\n{}", results(&report.rounds));
    _ = write!(page, "\n{}", remarks(report));
    _ = write!(page, "\n## The faults\n\n{}", faults());
    _ = write!(page, "\n## How to repeat it\n\n{}", repeat(report));
    page
}

fn results(rounds: &[Verdict]) -> String {
    let mut table = String::from(
        "| fault | victim | lasted | sent | 200 | otherwise | lost | twice | recovery | promises |\n\
         |---|---|--:|--:|--:|---|--:|--:|--:|---|\n",
    );
    for round in rounds {
        let free = ALL
            .iter()
            .any(|entry| entry.name == round.fault && entry.costs_nothing);
        _ = writeln!(
            table,
            "| `{}`{} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            round.fault,
            if free { " †" } else { "" },
            round.victim,
            seconds(Some(round.lasted)),
            round.sent,
            round.answered,
            or_dash(round.otherwise_text()),
            round.findings.lost.len(),
            round.findings.duplicated.len(),
            seconds(round.recovery),
            if round.broken.is_empty() {
                "held"
            } else {
                "**broken**"
            },
        );
    }
    table
}

fn remarks(report: &Report) -> String {
    let sum = |count: fn(&Verdict) -> usize| report.rounds.iter().map(count).sum::<usize>();
    let mut text = format!(
        "{} requests in all; {} were answered 200. {} that were not are in the database all the \
         same, once each.\n",
        sum(|round| round.sent),
        sum(|round| round.answered),
        sum(|round| round.findings.unannounced),
    );
    text.push_str(
        "\nOtherwise: a number is an HTTP status; *cut*: the connection ended without a byte of \
         response; *truncated*: in the middle of one; *unreachable*: no connection, nothing sent; \
         *timeout*: no answer within 10 s.\n",
    );
    for round in &report.rounds {
        for broken in &round.broken {
            _ = write!(text, "\n- Broken by `{}`: {broken}.", round.fault);
        }
    }
    if !report.stored_twice.is_empty() {
        _ = write!(
            text,
            "\n- Broken: {} stored more than once by the end of the run.",
            report.stored_twice.len()
        );
    }
    for skipped in &report.skipped {
        _ = write!(
            text,
            "\n- `{}` was skipped: {}.",
            skipped.fault, skipped.reason
        );
    }
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

fn faults() -> String {
    let mut table = String::from("| fault | what is done |\n|---|---|\n");
    for entry in ALL {
        _ = writeln!(table, "| `{}` | {} |", entry.name, entry.about);
    }
    table
}

fn repeat(report: &Report) -> String {
    let machine = &report.machine;
    format!(
        "```console\n$ make chaos CHAOS='--seed {} --seconds {} --rate {}'\n```\n\n\
         The same seed gives the same order, timings, victims and requests; what the machine makes \
         of them differs a little from run to run. `--only FAULT,…` takes some of the faults, \
         `--list` lists them, `--project NAME` tests a stack that is running. The suite needs root on \
         the engine's host: it enters the database's network, which that host can't reach, and kills \
         processes behind the engine's back. It restarts the engine only if it had to start it.\n\n\
         This run: {machine}\n",
        report.seed, report.seconds, report.rate,
    )
}
