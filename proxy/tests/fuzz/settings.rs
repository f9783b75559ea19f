//! The proxy's settings, from any file and environment.

use proxy::settings::{Settings, TABLE};
use testkit::fuzz::settings;

#[test]
fn proxy_settings() {
    settings::run(
        "proxy_settings",
        "PROXY_",
        TABLE.keys.iter().map(|key| (key.name, key.default)),
        "::/0 99999999999999999999",
        |file, environment| {
            let environment = environment.into_iter();
            let environment = environment.map(|(name, value)| (name.into(), value.into()));
            Settings::load(Some(file), environment).map(drop)
        },
    );
}
