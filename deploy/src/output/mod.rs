//! What the user sees: bars and spinners on a terminal, plain lines elsewhere,
//! JSON lines for machines. Nothing else in the crate writes to standard output.

pub mod plan;
mod progress;
mod pulse;
pub mod style;
pub mod table;
pub mod text;

use std::io::{self, IsTerminal, Write, stderr, stdout};

use indicatif::{MultiProgress, ProgressDrawTarget};
use serde::Serialize;
use serde_json::json;

pub use progress::{Layers, Task};
use pulse::Pulse;
use style::{Style, Tone};

use crate::error::Error;

/// Where everything is printed; cheap to share by reference.
#[derive(Debug)]
pub struct Output {
    json: bool,
    style: Style,
    /// Draws bars; hidden where standard error is no terminal.
    bars: MultiProgress,
    terminal: bool,
    pulse: Pulse,
}

impl Output {
    /// For the flags `--json` and `--no-color`.
    pub fn new(json: bool, no_color: bool) -> Self {
        let terminal = !json && stderr().is_terminal() && stdout().is_terminal();
        let target = if terminal {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        Self {
            json,
            style: if json {
                Style::PLAIN
            } else {
                Style::detect(no_color)
            },
            bars: MultiProgress::with_draw_target(target),
            terminal,
            pulse: Pulse::new((!json && !terminal).then_some(|line| _ = print(line))),
        }
    }

    /// Whether the reader is a machine.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// How to colour what is handed to [`line`](Self::line).
    pub fn style(&self) -> Style {
        self.style
    }

    /// A line for people; nothing in JSON mode.
    pub fn line(&self, text: &str) {
        if !self.json {
            self.write(text);
        }
    }

    /// A table for people; nothing in JSON mode.
    pub fn table(&self, heading: &[&str], rows: &[Vec<table::Cell>]) {
        for line in table::lines(heading, rows, self.style) {
            self.line(&line);
        }
    }

    /// Something the user should know though it stops nothing.
    pub fn note(&self, text: &str) {
        let text = &text::escape_lines(text);
        if self.json {
            self.event(&json!({"event": "note", "message": text}));
        } else {
            let mark = self.style.paint(Tone::Notice, "note:");
            self.write(&format!("{mark} {text}"));
        }
    }

    /// One JSON line; nothing for people.
    pub fn event(&self, event: &impl Serialize) {
        if self.json
            && let Ok(line) = serde_json::to_string(event)
        {
            self.write(&text::escape_json(&line));
        }
    }

    /// A whole JSON document, the answer of a command such as `ps --json`.
    pub fn document(&self, document: &impl Serialize) {
        if let Ok(text) = serde_json::to_string_pretty(document) {
            self.write(&text::escape_json(&text));
        }
    }

    /// Starts showing progress on one thing: `subject` is what, `state` how far.
    pub fn task(&self, subject: &str, state: &str) -> Task<'_> {
        Task::start(self, subject, state)
    }

    /// Like [`task`](Self::task), but worth no line: it shows only while it takes time.
    pub fn silent_task(&self, subject: &str) -> Task<'_> {
        Task::silent(self, subject)
    }

    /// The error that ends the process: to standard error for people, a line like
    /// every other for machines.
    pub fn failure(&self, error: &Error) {
        if self.json {
            self.event(&json!({"event": "error", "error": error}));
            return;
        }
        let mark = self.style.paint(Tone::Bad, "error:");
        let next = self.style.paint(Tone::Strong, "next:");
        // What went wrong is often told in words of others: an engine, a container, a file.
        let mut lines = vec![format!("{mark} {}", text::escape_lines(&error.message))];
        let details = error.details.iter().map(|line| text::escape_lines(line));
        lines.extend(details.map(|line| format!("  {line}")));
        lines.push(format!("{next} {}\n", text::escape_lines(&error.next)));
        let text = lines.join("\n");
        // Standard error may be closed; there is nobody left to tell then.
        self.bars
            .suspend(|| _ = stderr().lock().write_all(text.as_bytes()));
    }

    /// Like [`line`](Self::line) in every mode, for streams that end when nobody reads them.
    pub fn stream(&self, text: &str) -> io::Result<()> {
        self.pulse.printed();
        print(text)
    }

    /// A closed pipe (`deploy up | head`) must not stop the work, so it is ignored here.
    fn write(&self, text: &str) {
        self.bars.suspend(|| _ = self.stream(text));
    }
}

fn print(text: &str) -> io::Result<()> {
    let mut out = stdout().lock();
    out.write_all(text.as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()
}
