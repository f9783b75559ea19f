//! The command line.

use std::process::ExitCode;

use service::cli::{Program, Tool, USAGE, fail, stop_signal};
use service::logging;

use crate::app::Application;
use crate::relay;
use crate::settings::{Settings, TABLE};

/// Does what the arguments and the environment say.
pub fn run() -> ExitCode {
    let program = Program {
        name: "console",
        version: env!("CARGO_PKG_VERSION"),
        about: "Shows recorded requests and how the stack is",
        table: &TABLE,
        notes: String::new(),
        load: |file| Settings::load(file, std::env::vars_os()),
        admin: |settings: &Settings| settings.admin_listen,
        serve,
        tools: &[Tool {
            name: "relay",
            about: "Pass bytes between standard input and output and the running console (`deploy` on a Swarm)",
            has_arguments: false,
            run: |_| relay::run(),
        }],
    };
    program.run()
}

fn serve(settings: Settings) -> ExitCode {
    if let Err(error) = logging::start("actix_server=warn") {
        return fail(USAGE, error);
    }
    logging::note_passed_over(&settings.passed_over);
    actix_web::rt::System::new().block_on(async {
        let application = match Application::build(settings).await {
            Ok(application) => application,
            Err(error) => return fail(1, error),
        };
        match application.run_until_stopped(stop_signal()).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(1, error),
        }
    })
}
