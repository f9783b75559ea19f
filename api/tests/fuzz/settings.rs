//! The API's settings, from any file and environment.

use api::settings::{KEYS, Settings};

use crate::any_settings;

#[test]
fn api_settings() {
    any_settings::run(
        "api_settings",
        "API_",
        KEYS.iter().map(|key| (key.name, key.default)),
        &[b"mongodb+srv://", b"?w=0", b"%"],
        |file, environment| Settings::from_sources(Some(file), Some(environment)).map(drop),
    );
}
