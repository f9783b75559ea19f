//! The parts of the stack and their figures, from their own metrics.

use serde::Serialize;

use crate::settings::Settings;

/// Asks the parts, and remembers the last 15 minutes.
#[derive(Debug)]
pub struct Stack {}

/// What `/api/stats` answers.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Figures {}

impl Stack {
    /// Begins to ask.
    pub fn new(_settings: &Settings) -> Self {
        Self {}
    }

    /// How things are now.
    pub fn figures(&self) -> Figures {
        Figures::default()
    }
}
