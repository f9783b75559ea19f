//! The API's settings, from any file and environment.

use api::settings::{KEYS, Settings};
use testkit::fuzz::settings;

#[test]
fn api_settings() {
    settings::run(
        "api_settings",
        "API_",
        KEYS.iter().map(|key| (key.name, key.default)),
        "mongodb+srv:// ?w=0 %",
        |file, environment| Settings::from_sources(Some(file), Some(environment)).map(drop),
    );
}
