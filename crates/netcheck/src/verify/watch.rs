//! Looks again and again, and tells what changes: each finding when it begins and when it ends.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use engine::error::{Error, Exit, Result};
use serde_json::json;
use terminal::style::Tone;
use terminal::{Output, text};

use super::check::Finding;
use super::{Subject, Verification, verify};

/// What is the matter at one time, by what it is about: whether it is wrong or couldn't be judged, and
/// the sentence.
type State = BTreeMap<String, (Matter, String)>;

/// The kinds of matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Matter {
    /// Not as drawn.
    Finding,
    /// Nobody can tell.
    Unjudged,
}

/// What is the matter, and how much was proven; `None` where the stack couldn't be looked at.
struct Look {
    state: State,
    tally: Option<String>,
}

/// What has been told and not ended.
struct Known {
    matter: Matter,
    sentence: String,
    since: Instant,
}

/// Checks `pause` apart until it is interrupted or the engine is gone. The first look says how things
/// are, the later ones what has changed since.
///
/// # Errors
/// When the engine doesn't answer any more.
pub async fn watch(output: &Output, subject: &Subject<'_>, pause: Duration) -> Result<()> {
    let teller = Teller { output };
    let mut known: BTreeMap<String, Known> = BTreeMap::new();
    let mut changed = true;
    loop {
        let Look { state, tally } = look(subject).await?;
        known.retain(|subject, known| {
            // What nobody could look at hasn't ended.
            let lasts = tally.is_none() || state.contains_key(subject);
            if !lasts {
                teller.ended(&known.sentence, known.since.elapsed());
                changed = true;
            }
            lasts
        });
        for (subject, (matter, sentence)) in state {
            if known.get(&subject).is_none_or(|it| it.matter != matter) {
                teller.began(matter, &sentence);
                let since = Instant::now();
                let begun = Known {
                    matter,
                    sentence,
                    since,
                };
                known.insert(subject, begun);
            }
        }
        if let Some(tally) = tally.filter(|_| known.is_empty() && changed) {
            teller.verified(&tally);
        }
        changed = false;
        tokio::time::sleep(pause).await;
    }
}

/// What is the matter now. That the stack can't be looked at, since it isn't
/// there for one, is the matter too.
async fn look(subject: &Subject<'_>) -> Result<Look> {
    match verify(subject).await {
        Ok(verification) => Ok(Look {
            state: state(&verification),
            tally: Some(verification.tally()),
        }),
        Err(error) if error.exit == Exit::Failed => {
            let Error { message, .. } = error;
            let state = State::from([(message.clone(), (Matter::Finding, message))]);
            Ok(Look { state, tally: None })
        }
        Err(error) => Err(error),
    }
}

fn state(verification: &Verification) -> State {
    let of = |findings: &[Finding], matter| {
        let each = findings.iter().cloned();
        each.map(move |it| (it.subject, (matter, it.sentence)))
            .collect::<Vec<_>>()
    };
    let unjudged = of(&verification.unjudged, Matter::Unjudged);
    // Of one subject the failure is told.
    unjudged
        .into_iter()
        .chain(of(&verification.findings, Matter::Finding))
        .collect()
}

/// Writes a line for each change, with its time (RFC 3339, UTC).
struct Teller<'a> {
    output: &'a Output,
}

impl Teller<'_> {
    fn began(&self, matter: Matter, sentence: &str) {
        let (change, tone) = match matter {
            Matter::Finding => ("began", Tone::Bad),
            Matter::Unjudged => ("unjudged", Tone::Notice),
        };
        self.line(change, tone, sentence, None);
    }

    fn ended(&self, sentence: &str, after: Duration) {
        self.line("ended", Tone::Good, sentence, Some(after));
    }

    fn verified(&self, tally: &str) {
        self.line("verified", Tone::Good, tally, None);
    }

    fn line(&self, change: &str, tone: Tone, sentence: &str, after: Option<Duration>) {
        let time = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        if self.output.is_json() {
            self.output.event(&json!({
                "event": "verify_change",
                "time": time,
                "change": change,
                "sentence": sentence,
                "after_ms": after.map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX)),
            }));
            return;
        }
        let after = after.map_or_else(String::new, |after| {
            format!(" after {}", text::duration(after))
        });
        let change = self
            .output
            .style()
            .paint(tone, &format!("{change}{after}:"));
        let sentence = text::escape_lines(sentence);
        self.output.line(&format!("{time} {change} {sentence}"));
    }
}
