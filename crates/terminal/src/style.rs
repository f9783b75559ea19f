//! Colour, where the reader is a person at a terminal who wants it.

use std::env;

use anstyle::{AnsiColor, Style as Ansi};

/// What a piece of text means; the colours follow from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// No emphasis.
    Plain,
    /// Done, healthy, to be created.
    Good,
    /// Needs a look, will be changed.
    Notice,
    /// Failed, unhealthy, to be removed.
    Bad,
    /// Secondary.
    Faint,
    /// Headings.
    Strong,
}

/// Decides once whether anything is coloured.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    colour: bool,
}

impl Style {
    /// Colour on a terminal, unless `--no-color` or `NO_COLOR` (<https://no-color.org>) says otherwise.
    pub fn detect(no_color: bool, terminal: bool) -> Self {
        let unwanted = no_color || env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            colour: terminal && !unwanted,
        }
    }

    /// Never any colour.
    pub const PLAIN: Self = Self { colour: false };

    /// `text` as its tone asks for.
    pub fn paint(self, tone: Tone, text: &str) -> String {
        let ansi = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Good => AnsiColor::Green.on_default(),
            Tone::Notice => AnsiColor::Yellow.on_default(),
            Tone::Bad => AnsiColor::Red.on_default(),
            Tone::Faint => Ansi::new().dimmed(),
            Tone::Strong => Ansi::new().bold(),
        };
        self.wrap(ansi, text)
    }

    /// `text` in one of a few colours, always the same for the same `key`.
    pub fn by_key(self, key: &str, text: &str) -> String {
        const COLOURS: [AnsiColor; 6] = [
            AnsiColor::Cyan,
            AnsiColor::Yellow,
            AnsiColor::Green,
            AnsiColor::Magenta,
            AnsiColor::Blue,
            AnsiColor::BrightCyan,
        ];
        let sum: usize = key.bytes().map(usize::from).sum();
        self.wrap(COLOURS[sum % COLOURS.len()].on_default(), text)
    }

    fn wrap(self, ansi: Ansi, text: &str) -> String {
        if self.colour {
            format!("{ansi}{text}{ansi:#}")
        } else {
            text.to_owned()
        }
    }
}
