//! The API's settings, from any file and environment.

use api::settings::{Settings, TABLE};
use testkit::fuzz::settings;

#[test]
fn api_settings() {
    settings::run(
        "api_settings",
        "API_",
        TABLE.keys.iter().map(|key| (key.name, key.default)),
        "mongodb+srv:// ?w=0 %",
        |file, environment| Settings::load(Some(file), environment).map(drop),
    );
}
