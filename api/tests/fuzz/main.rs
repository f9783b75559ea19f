//! Properties of the API's document and settings that hold for any input (see `tests/fuzz/driver.rs`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

#[path = "../../../tests/fuzz/settings.rs"]
mod any_settings;
#[path = "../../../tests/fuzz/driver.rs"]
mod driver;

mod document;
mod settings;
