//! Properties of the API's document and settings that hold for any input (`testkit::fuzz`).
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod document;
mod settings;
