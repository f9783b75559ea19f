//! `deploy replay`: what was recorded is sent again, the oldest first (docs/replay.md).
//!
//! Pages of recorded requests come from the console ([`source`]), each becomes the message that is sent
//! ([`message`]), at its time ([`pace`]), over few connections ([`send`]), and what came of it is told
//! ([`report`]). In memory are two pages, and [`MOST_BYTES`] of bodies that aren't answered yet.

mod message;
mod pace;
mod report;
mod send;
mod source;
pub(crate) mod target;

use std::sync::Arc;

use engine::Engine;
use engine::error::{Error, Result};
use terminal::interrupted;
use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep_until;

use self::message::{Message, Unsendable};
use self::pace::Pace;
use self::report::Report;
use self::send::{Answer, Sender};
use self::source::Source;
use super::requests::query;
use crate::cli::Replay;
use crate::console::Console;
use crate::context::Context;

/// Bodies on their way at a time. A larger one is on its way alone.
const MOST_BYTES: usize = 64 << 20;
/// Requests on their way at a time, where they have their times.
const CONNECTIONS: usize = 64;
/// After so many in a row for which there was no connection, the others aren't tried.
const MOST_UNREACHED: u32 = 10;

pub(super) async fn run(context: &Context, args: Replay) -> Result<()> {
    let project = context.project()?;
    let engine = Engine::connect().await?;
    let console = Arc::new(Console::find(&engine, &project).await?);
    let source = Source::new(console, query(&args.wanted.wanted), args.limit).await?;
    let has_times = args.rate.is_some() || args.as_recorded;
    let connections = if has_times { CONNECTIONS } else { 1 };
    let mut replay = Running {
        keep_host: args.keep_host,
        pace: Pace::new(args.rate, args.as_recorded),
        limit: args.connections.map_or(connections, usize::from),
        sender: Sender::new(args.to),
        report: Report::new(&context.output, args.dry_run),
        under_way: JoinSet::new(),
        bytes: 0,
        unreached: 0,
    };
    if !args.dry_run {
        // What nobody answers at is told before anything is read.
        replay.sender.reach().await?;
    }
    let ended = tokio::select! {
        ended = replay.all(source, args.dry_run) => ended,
        ending = interrupted() => Err(Error::failed(
            format!("interrupted by {ending}: what was on its way may have arrived"),
            replay.report.how_to_go_on(),
        )),
    };
    replay.report.end(replay.pace.behind());
    ended.and_then(|()| replay.report.outcome())
}

struct Running<'a> {
    keep_host: bool,
    pace: Pace,
    /// Requests on their way at a time.
    limit: usize,
    sender: Sender,
    report: Report<'a>,
    under_way: JoinSet<(Message, Result<Answer, send::Failure>)>,
    /// Of their bodies.
    bytes: usize,
    /// Those in a row for which there was no connection.
    unreached: u32,
}

impl Running<'_> {
    async fn all(&mut self, source: Source, dry_run: bool) -> Result<()> {
        let mut pages = source.pages();
        while let Some(page) = pages.recv().await {
            for recorded in page? {
                let message = match Message::of(&recorded, self.sender.target(), self.keep_host) {
                    Ok(message) => message,
                    Err(Unsendable(why)) => {
                        self.report.skipped(&recorded, why);
                        continue;
                    }
                };
                if dry_run {
                    if self.report.would_send(&message).is_err() {
                        // The reader left (`deploy replay --dry-run | head`).
                        return Ok(());
                    }
                    continue;
                }
                self.wait(&message).await?;
                self.begin(message);
            }
        }
        while let Some(done) = self.under_way.join_next().await {
            self.done(done)?;
        }
        Ok(())
    }

    /// Until its time has come and there is room for it.
    async fn wait(&mut self, message: &Message) -> Result<()> {
        let is_full = |it: &Self| {
            it.under_way.len() >= it.limit
                || (!it.under_way.is_empty() && it.bytes + message.body.len() > MOST_BYTES)
        };
        let due = self.pace.due(message.received_at);
        loop {
            tokio::select! {
                // What is done is told meanwhile.
                Some(done) = self.under_way.join_next() => self.done(done)?,
                () = sleep_until(due), if !is_full(self) => break,
            }
        }
        self.pace.began(due);
        Ok(())
    }

    fn begin(&mut self, message: Message) {
        self.bytes += message.body.len();
        self.report.sent(&message);
        let sender = self.sender.clone();
        self.under_way.spawn(async move {
            let answer = sender.send(&message).await;
            (message, answer)
        });
    }

    fn done(
        &mut self,
        done: std::result::Result<(Message, Result<Answer, send::Failure>), JoinError>,
    ) -> Result<()> {
        let (message, answer) = done.map_err(|err| {
            Error::failed(format!("sending broke down: {err}"), "report it as a bug")
        })?;
        self.bytes -= message.body.len();
        self.unreached = match &answer {
            Err(failure) if !failure.was_connected => self.unreached + 1,
            _ => 0,
        };
        self.report.done(&message, &answer);
        match answer {
            Err(failure) if self.unreached >= MOST_UNREACHED => Err(Error::failed(
                format!("given up after {MOST_UNREACHED} in a row: {failure}"),
                self.report.how_to_go_on(),
            )),
            _ => Ok(()),
        }
    }
}
