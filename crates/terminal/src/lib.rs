//! How the command-line tools speak: bars and spinners on a terminal, plain lines elsewhere, JSON for
//! machines, and errors that say what to do next. Nothing else of theirs writes to standard output.
//!
//! Standard output is the answer, notes go to standard error, whatever the form. With `--json` each
//! command's standard output is one document or one JSON value a line ([`Form`]), also where it fails:
//! the error is the last line then, or the document. Where the document was printed already, the error
//! goes to standard error.

mod ending;
pub mod error;
mod progress;
mod pulse;
pub mod style;
pub mod table;
pub mod text;

use std::io::{self, IsTerminal, Write, stderr, stdout};
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::{MultiProgress, ProgressDrawTarget};
use serde::Serialize;
use serde_json::json;

pub use ending::{Ending, interrupted};
use error::Error;
pub use progress::{Layers, Task};
use pulse::Pulse;
use style::{Style, Tone};

/// What standard output holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Lines for people.
    Text,
    /// One JSON document: the answer of a command that changes nothing and is over at once.
    Document,
    /// A JSON value a line as things happen.
    Lines,
}

/// Where everything is printed; cheap to share by reference.
#[derive(Debug)]
pub struct Output {
    form: Form,
    style: Style,
    /// For standard error, which may lead elsewhere.
    error_style: Style,
    /// Whether the document was printed.
    answered: AtomicBool,
    /// Draws bars; hidden where standard error is no terminal.
    bars: MultiProgress,
    terminal: bool,
    pulse: Pulse,
}

impl Output {
    /// In a form, and without colours where `no_color` asks for none.
    pub fn new(form: Form, no_color: bool) -> Self {
        let text = form == Form::Text;
        let terminal = text && stderr().is_terminal() && stdout().is_terminal();
        let target = if terminal {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let style = |terminal: bool| Style::detect(no_color, text && terminal);
        Self {
            form,
            style: style(stdout().is_terminal()),
            error_style: style(stderr().is_terminal()),
            answered: AtomicBool::new(false),
            bars: MultiProgress::with_draw_target(target),
            terminal,
            pulse: Pulse::new((text && !terminal).then_some(|line| _ = print(line))),
        }
    }

    /// Whether the reader is a machine.
    pub fn is_json(&self) -> bool {
        self.form != Form::Text
    }

    /// How to colour what is handed to [`line`](Self::line).
    pub fn style(&self) -> Style {
        self.style
    }

    /// A line for people; nothing in JSON mode.
    pub fn line(&self, text: &str) {
        if self.form == Form::Text {
            self.write(text);
        }
    }

    /// A table for people; nothing in JSON mode.
    pub fn table(&self, heading: &[&str], rows: &[Vec<table::Cell>]) {
        for line in table::lines(heading, rows, self.style) {
            self.line(&line);
        }
    }

    /// Something the user should know though it stops nothing: on standard error, as a JSON line
    /// for machines.
    pub fn note(&self, text: &str) {
        let text = &text::escape_lines(text);
        self.complain(&if self.is_json() {
            json_line(&json!({"event": "note", "message": text}))
        } else {
            let mark = self.error_style.paint(Tone::Notice, "note:");
            format!("{mark} {text}")
        });
    }

    /// One of the JSON lines; nothing in other forms.
    pub fn event(&self, event: &impl Serialize) {
        self.bars.suspend(|| _ = self.stream_event(event));
    }

    /// Like [`event`](Self::event), for streams that end when nobody reads them.
    ///
    /// # Errors
    /// When standard output is closed.
    pub fn stream_event(&self, event: &impl Serialize) -> io::Result<()> {
        if self.form == Form::Lines {
            self.stream(&json_line(event))
        } else {
            Ok(())
        }
    }

    /// The whole answer of a command such as `ps --json`; nothing for people.
    pub fn document(&self, document: &impl Serialize) {
        match self.form {
            Form::Text => {}
            Form::Lines => self.event(document),
            Form::Document => {
                if let Ok(text) = serde_json::to_string_pretty(document) {
                    self.answered.store(true, Ordering::Relaxed);
                    self.write(&text::escape_json(&text));
                }
            }
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

    /// The error that ends the process.
    pub fn failure(&self, error: &Error) {
        if self.is_json() {
            let line = json_line(&json!({"event": "error", "error": error}));
            if self.answered.load(Ordering::Relaxed) {
                self.complain(&line);
            } else {
                self.write(&line);
            }
            return;
        }
        let mark = self.error_style.paint(Tone::Bad, "error:");
        let next = self.error_style.paint(Tone::Strong, "next:");
        // What went wrong is often told in words of others: an engine, a container, a file.
        let mut lines = vec![format!("{mark} {}", text::escape_lines(&error.message))];
        let details = error.details.iter().map(|line| text::escape_lines(line));
        lines.extend(details.map(|line| format!("  {line}")));
        lines.push(format!("{next} {}", text::escape_lines(&error.next)));
        self.complain(&lines.join("\n"));
    }

    /// Like [`line`](Self::line) in every form, for streams that end when nobody reads them.
    ///
    /// # Errors
    /// When standard output is closed.
    pub fn stream(&self, text: &str) -> io::Result<()> {
        self.pulse.printed();
        print(text)
    }

    /// A part of a document from elsewhere, as it is: it has to be harmless to terminals.
    ///
    /// # Errors
    /// When standard output is closed.
    pub fn part(&self, bytes: &[u8]) -> io::Result<()> {
        self.answered.store(true, Ordering::Relaxed);
        let mut out = stdout().lock();
        out.write_all(bytes)?;
        out.flush()
    }

    /// A closed pipe (`deploy up | head`) must not stop the work, so it is ignored here.
    fn write(&self, text: &str) {
        self.bars.suspend(|| _ = self.stream(text));
    }

    /// To standard error. It may be closed; there is nobody left to tell then.
    fn complain(&self, text: &str) {
        self.bars
            .suspend(|| _ = writeln!(stderr().lock(), "{text}"));
    }
}

/// A value in one line, harmless to terminals.
fn json_line(value: &impl Serialize) -> String {
    // None of what is printed can fail to be JSON: no map of ours has keys that aren't strings.
    let line = serde_json::to_string(value).unwrap_or_default();
    text::escape_json(&line).into_owned()
}

fn print(text: &str) -> io::Result<()> {
    let mut out = stdout().lock();
    out.write_all(text.as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()
}
