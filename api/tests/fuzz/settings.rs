//! The API's settings, from any file and environment.

use api::settings::{Settings, TABLE};

use crate::any_settings;

#[test]
fn api_settings() {
    any_settings::run(
        "api_settings",
        "API_",
        TABLE.keys.iter().map(|key| (key.name, key.default)),
        &[b"mongodb+srv://", b"?w=0", b"%"],
        |file, environment| Settings::load(Some(file), environment).map(drop),
    );
}
