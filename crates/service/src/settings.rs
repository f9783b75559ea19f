//! Settings: defaults < `--config FILE` (TOML) < environment.
//!
//! A service has one [`Table`] of its keys. `--help` prints it, [`Values`] are read by it, and errors
//! quote it, so that the three can't drift apart. Values are read as text and parsed by whoever asks
//! for them, so that a bad one is named by its key, its value and what was expected, wherever it came
//! from.

mod error;
#[cfg(feature = "full")]
mod file;
mod table;
mod values;

pub use error::SettingsError;
pub use table::{Key, Table, key, standard};
pub use values::Values;
