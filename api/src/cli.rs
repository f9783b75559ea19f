//! The command line.

use std::pin::pin;
use std::process::ExitCode;

use service::cli::{Program, Tool, USAGE, fail, stop_signal};
use service::logging;
use tokio::runtime::Builder;

use crate::app::Application;
use crate::budget;
use crate::settings::{Settings, TABLE};

/// Does what the arguments and the environment say.
pub fn run() -> ExitCode {
    let program = Program {
        name: "api",
        version: env!("CARGO_PKG_VERSION"),
        about: "Records HTTP requests in MongoDB",
        table: &TABLE,
        notes: budget::HELP.to_owned(),
        load: |file| Settings::load(file, std::env::vars_os()),
        admin: |settings: &Settings| settings.admin_listen,
        serve,
        tools: &[Tool {
            name: "keeper",
            about: "Run the keeper, a service of its own: `api keeper --help`",
            has_arguments: true,
            run: keeper::cli::run,
        }],
    };
    program.run()
}

fn serve(settings: Settings) -> ExitCode {
    // The server tells each step of its start and stop; ours says enough.
    if let Err(error) = logging::start("actix_server=warn") {
        return fail(USAGE, error);
    }
    logging::note_passed_over(&settings.passed_over);
    // The write path and MongoDB's connections have this thread; HTTP has its workers.
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(1, error),
    };
    runtime.block_on(async {
        // Heeded from the first moment, also while a name is being looked up.
        let mut stop = pin!(stop_signal());
        let built = tokio::select! {
            biased;
            () = &mut stop => {
                tracing::info!("stopped before the start was done");
                return ExitCode::SUCCESS;
            }
            built = Application::build(settings) => built,
        };
        let application = match built {
            Ok(application) => application,
            Err(error) => return fail(if error.is_usage() { USAGE } else { 1 }, error),
        };
        match application.run_until_stopped(stop).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(1, error),
        }
    })
}
