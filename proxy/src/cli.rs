//! The command line.

use std::process::ExitCode;

use service::{
    cli::{Program, Tool, USAGE, fail},
    logging::note_passed_over,
};
use tracing::info;

use crate::{
    app::Application,
    look,
    observe::logging,
    settings::{Settings, TABLE},
    worker::budget,
};

/// Does what the arguments and the environment say; returns when that is done.
pub fn run() -> ExitCode {
    let program = Program {
        name: "proxy",
        version: env!("CARGO_PKG_VERSION"),
        about: "Reverse proxy for HTTP/1.1 that follows its upstream through DNS",
        table: &TABLE,
        notes: format!(
            "{}\nRUST_LOG filters the log (default: info); the access log has its own switch.",
            budget::HELP
        ),
        load: |file| Settings::load(file, std::env::vars_os()),
        admin: |settings: &Settings| settings.admin_listen,
        serve,
        tools: &[Tool {
            name: "look",
            about: "Make a TLS handshake and a request as JSON on standard input says (`deploy verify`)",
            has_arguments: false,
            run: |_| look::run(),
        }],
    };
    program.run()
}

fn serve(settings: Settings) -> ExitCode {
    let guard = match logging::start(settings.access_log) {
        Ok(guard) => guard,
        Err(error) => return fail(USAGE, error),
    };
    note_passed_over(&settings.passed_over);
    if !settings.trusted_proxies.is_empty() {
        info!(addresses = %settings.trusted_proxies, "X-Forwarded-For is believed of these");
    }
    let code = match Application::build(settings, guard.sink()) {
        Ok(application) => {
            application.run_until_stopped();
            ExitCode::SUCCESS
        }
        Err(error) => fail(1, error),
    };
    drop(guard);
    code
}
