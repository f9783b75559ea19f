//! What came of it, told as it comes and at the end.
//!
//! No status is recorded with a request. It is known all the same: the API answers 200 to what it records,
//! so whatever is answered otherwise differs.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use engine::error::{Error, Result};
use serde_json::{Value, json};

use super::message::Message;
use super::send::{Answer, Failure};
use super::source::Recorded;
use crate::output::{Output, text};

/// What every request that is recorded was answered.
const RECORDED_STATUS: u16 = 200;
/// Lines for people that tell of single requests; the others are counted, and `--json` has all.
const TOLD: u64 = 20;

pub(super) struct Report<'a> {
    output: &'a Output,
    dry_run: bool,
    began: Instant,
    sent: u64,
    answered: u64,
    statuses: BTreeMap<u16, u64>,
    differing: u64,
    failed: u64,
    skipped: u64,
    /// Values by the names of their fields.
    left_out: BTreeMap<String, u64>,
    told: u64,
    /// When the last that was begun had been received, as RFC 3339.
    last: Option<String>,
}

impl<'a> Report<'a> {
    pub(super) fn new(output: &'a Output, dry_run: bool) -> Self {
        Self {
            output,
            dry_run,
            began: Instant::now(),
            sent: 0,
            answered: 0,
            statuses: BTreeMap::new(),
            differing: 0,
            failed: 0,
            skipped: 0,
            left_out: BTreeMap::new(),
            told: 0,
            last: None,
        }
    }

    /// That one isn't sent.
    pub(super) fn skipped(&mut self, recorded: &Recorded, why: &str) {
        self.skipped += 1;
        self.tell(
            &recorded.id,
            &format!("not sent: {why}"),
            &json!({"event": "skipped", "id": recorded.id, "reason": why}),
        );
    }

    /// What would be sent.
    ///
    /// # Errors
    /// When nobody reads it any more.
    pub(super) fn would_send(&mut self, message: &Message) -> io::Result<()> {
        self.sent(message);
        if self.output.is_json() {
            return self.output.stream_event(&event(message));
        }
        let mut line = format!(
            "{}  {}  {} fields, {} bytes",
            message.id,
            text::escape(&what(message)),
            message.fields.len(),
            message.body.len()
        );
        if !message.left_out.is_empty() {
            line.push_str("; without ");
            line.push_str(&text::escape(&message.left_out.join(", ")));
        }
        self.output.stream(&line)
    }

    /// That one is on its way, or would be.
    pub(super) fn sent(&mut self, message: &Message) {
        self.sent += 1;
        for name in &message.left_out {
            *self.left_out.entry(name.clone()).or_default() += 1;
        }
        self.last = Some(humantime::format_rfc3339_millis(message.received_at).to_string());
    }

    /// What was answered.
    pub(super) fn done(&mut self, message: &Message, answer: &Result<Answer, Failure>) {
        let mut event = json!({"id": message.id, "method": message.method.as_str(),
                               "target": message.target.to_string()});
        let mut set = |key: &str, value: Value| event[key] = value;
        let said = match answer {
            Ok(Answer { status }) => {
                self.answered += 1;
                *self.statuses.entry(status.as_u16()).or_default() += 1;
                if status.as_u16() == RECORDED_STATUS {
                    return;
                }
                self.differing += 1;
                set("event", "differs".into());
                set("status", status.as_u16().into());
                set("recorded_status", RECORDED_STATUS.into());
                format!(
                    "{}, {RECORDED_STATUS} when it was recorded",
                    status.as_u16()
                )
            }
            Err(failure) => {
                self.failed += 1;
                set("event", "failed".into());
                set("error", failure.to_string().into());
                failure.to_string()
            }
        };
        self.tell(&format!("{}  {}", message.id, what(message)), &said, &event);
    }

    fn tell(&mut self, which: &str, said: &str, event: &Value) {
        self.told += 1;
        self.output.event(event);
        if self.told <= TOLD {
            let line = format!("{which}: {said}");
            self.output.line(&text::escape(&line));
        } else if self.told == TOLD + 1 {
            self.output
                .line("further ones are counted; --json tells of all");
        }
    }

    /// All of it. `behind` is by how much the latest was late.
    pub(super) fn end(&self, behind: Duration) {
        let took = self.began.elapsed();
        self.output.event(&json!({
            "event": if self.dry_run { "would_replay" } else { "replayed" },
            "sent": self.sent,
            "answered": self.answered,
            "statuses": self.statuses,
            "differing": self.differing,
            "failed": self.failed,
            "skipped": self.skipped,
            "left_out": self.left_out,
            "seconds": took.as_secs_f64(),
            "behind_seconds": behind.as_secs_f64(),
        }));
        if self.dry_run {
            self.output.line(&format!(
                "{} would be sent; nothing was",
                requests(self.sent)
            ));
        } else {
            self.output.line(&format!(
                "{} sent in {}: {} answered, {} failed",
                requests(self.sent),
                text::duration(took),
                self.answered,
                self.failed
            ));
        }
        let statuses: Vec<_> = self.statuses.iter().collect();
        let statuses = statuses
            .iter()
            .map(|(status, count)| format!("{status}: {count}"));
        let statuses: Vec<_> = statuses.collect();
        if !statuses.is_empty() {
            self.output.line(&format!(
                "answered with {}; {} otherwise than when recorded ({RECORDED_STATUS})",
                statuses.join(", "),
                self.differing
            ));
        }
        let values: u64 = self.left_out.values().sum();
        if values > 0 {
            let names = self.left_out.iter();
            let names: Vec<_> = names
                .map(|(name, count)| format!("{name} {count}"))
                .collect();
            let names = text::escape(&names.join(", ")).into_owned();
            self.output.line(&format!(
                "left out, since they weren't recorded: {values} values ({names})"
            ));
        }
        if self.skipped > 0 {
            self.output.line(&format!(
                "not sent, since they weren't recorded whole: {}",
                requests(self.skipped)
            ));
        }
        if behind >= Duration::from_secs(1) {
            self.output.note(&format!(
                "the pace wasn't kept: up to {} late",
                text::duration(behind)
            ));
        }
    }

    /// An error, if any failed.
    pub(super) fn outcome(&self) -> Result<()> {
        if self.failed == 0 {
            return Ok(());
        }
        Err(Error::failed(
            format!("{} of {} got no answer", self.failed, requests(self.sent)),
            "look at what they were sent to; `deploy replay --where id=ID` sends one again",
        ))
    }

    /// After it has ended early.
    pub(super) fn how_to_go_on(&self) -> String {
        match &self.last {
            Some(last) => {
                format!("`--where since={last}` goes on with what was received from then on")
            }
            None => "nothing was sent: run it again".to_owned(),
        }
    }
}

fn what(message: &Message) -> String {
    format!("{} {}", message.method, message.target)
}

fn requests(number: u64) -> String {
    match number {
        1 => "1 request".to_owned(),
        _ => format!("{number} requests"),
    }
}

/// As it would be sent, but for its body.
fn event(message: &Message) -> Value {
    let fields = message.fields.iter();
    // As they are recorded: a character for each byte.
    let text = |value: &[u8]| value.iter().map(|it| char::from(*it)).collect::<String>();
    let fields: Vec<_> = fields
        .map(|(name, it)| json!([name.as_str(), text(it.as_bytes())]))
        .collect();
    json!({
        "event": "request",
        "id": message.id,
        "method": message.method.as_str(),
        "target": message.target.to_string(),
        "headers": fields,
        "body_bytes": message.body.len(),
        "left_out": message.left_out,
    })
}
