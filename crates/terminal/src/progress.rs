//! One line of progress per thing being worked on.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::Output;
use super::style::Tone;
use super::text;

/// Work on one thing. On a terminal a spinner that ends as a line; elsewhere a
/// line for every state, and one every so often. Dropped unfinished (the error follows), it just disappears.
#[derive(Debug)]
pub struct Task<'a> {
    output: &'a Output,
    subject: String,
    bar: ProgressBar,
    /// Its number among what is worked on.
    number: u64,
    started: Instant,
    silent: bool,
}

impl<'a> Task<'a> {
    pub(super) fn start(output: &'a Output, subject: &str, state: &str) -> Self {
        let mut task = Self::silent(output, subject);
        task.silent = false;
        task.state(state);
        task
    }

    pub(super) fn silent(output: &'a Output, subject: &str) -> Self {
        let bar = output.bars.add(ProgressBar::new_spinner());
        if let Ok(style) =
            ProgressStyle::with_template("{spinner:.cyan} {prefix}  {msg} ({elapsed})")
        {
            bar.set_style(style);
        }
        bar.set_prefix(subject.to_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        Self {
            output,
            subject: subject.to_owned(),
            bar,
            number: output.pulse.begin(subject),
            started: Instant::now(),
            silent: true,
        }
    }

    /// A step worth a line of its own where there is no terminal.
    pub fn state(&self, state: &str) {
        self.detail(state);
        self.output
            .event(&json!({"event": "progress", "subject": self.subject, "state": state}));
        if !self.output.terminal {
            self.output.line(&format!("{}: {state}", self.subject));
        }
    }

    /// Detail that matters only while it happens: shown on a terminal, and as a sign of life.
    pub fn detail(&self, detail: &str) {
        self.bar.set_message(detail.to_owned());
        self.output.pulse.detail(self.number, detail);
    }

    /// The end, which stays on the screen.
    pub fn done(self, state: &str) {
        self.bar.finish_and_clear();
        if self.silent {
            return;
        }
        let elapsed = self.started.elapsed();
        self.output.event(&json!({
            "event": "done",
            "subject": self.subject,
            "state": state,
            "seconds": (elapsed.as_secs_f64() * 1000.0).round() / 1000.0,
        }));
        let style = self.output.style;
        self.output.line(&if self.output.terminal {
            let mark = style.paint(Tone::Good, "✔");
            let time = style.paint(Tone::Faint, &text::duration(elapsed));
            format!("{mark} {}  {state}  {time}", self.subject)
        } else {
            format!("{}: {state} ({})", self.subject, text::duration(elapsed))
        });
    }
}

impl Drop for Task<'_> {
    fn drop(&mut self) {
        self.output.pulse.end(self.number);
        self.bar.finish_and_clear();
    }
}

/// The layers of an image on their way, a bar in bytes for each on a terminal;
/// elsewhere a line when a layer is complete.
#[derive(Debug)]
pub struct Layers<'a> {
    output: &'a Output,
    bars: HashMap<String, ProgressBar>,
}

impl<'a> Layers<'a> {
    /// No layers yet.
    pub fn new(output: &'a Output) -> Self {
        Self {
            output,
            bars: HashMap::new(),
        }
    }

    /// What the engine says about layer `id`; `bytes` is done and total while it knows them.
    pub fn update(&mut self, id: &str, status: &str, bytes: Option<(u64, u64)>) {
        if let Some((current, total)) = bytes {
            let bar = self.bars.entry(id.to_owned()).or_insert_with(|| {
                let bar = self.output.bars.add(ProgressBar::new(total));
                if let Ok(style) = ProgressStyle::with_template(
                    "  {prefix:12} {bar:30.cyan} {bytes:>10}/{total_bytes:10} {msg}",
                ) {
                    bar.set_style(style);
                }
                bar.set_prefix(id.to_owned());
                bar
            });
            bar.set_length(total);
            bar.set_position(current);
            bar.set_message(status.to_owned());
            self.output.event(&json!({
                "event": "layer", "layer": id, "state": status, "current": current, "total": total,
            }));
        } else if matches!(status, "Pull complete" | "Already exists") {
            if let Some(bar) = self.bars.remove(id) {
                bar.finish_and_clear();
            }
            self.output
                .event(&json!({"event": "layer", "layer": id, "state": status}));
            if !self.output.terminal {
                self.output
                    .line(&format!("  layer {id}: {}", status.to_lowercase()));
            }
        }
    }
}

impl Drop for Layers<'_> {
    fn drop(&mut self) {
        for bar in self.bars.values() {
            bar.finish_and_clear();
        }
    }
}
