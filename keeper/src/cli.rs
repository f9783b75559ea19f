//! The command line: `api keeper`.

use std::ffi::OsString;
use std::process::ExitCode;

use service::cli::{Program, Tool, USAGE, fail, stop_signal};
use service::logging;
use tokio::io::{stdin, stdout};
use tokio::runtime::Builder;

use crate::app::Application;
use crate::copy::{Failure, dump, load};
use crate::settings::{Settings, TABLE};

/// Does what `arguments`, those after `keeper`, and the environment say.
pub fn run(arguments: &[OsString]) -> ExitCode {
    let program = Program {
        name: "keeper",
        version: env!("CARGO_PKG_VERSION"),
        about: "Lets go of recorded requests that are too old or too many",
        table: &TABLE,
        notes: String::new(),
        load: |file| Settings::load(file, std::env::vars_os()),
        admin: |settings: &Settings| settings.admin_listen,
        serve,
        tools: &[
            Tool {
                name: "dump",
                about: "Write all requests to standard output, for `deploy backup`",
                has_arguments: false,
                run: |_| {
                    copy(async |settings| dump::run(settings, stdin(), stdout()).await.map(drop))
                },
            },
            Tool {
                name: "load",
                about: "Store requests from standard input, for `deploy restore`",
                has_arguments: false,
                run: |_| {
                    copy(async |settings| load::run(settings, stdin(), stdout()).await.map(drop))
                },
            },
        ],
    };
    program.run_with(arguments)
}

fn serve(settings: Settings) -> ExitCode {
    if let Err(error) = logging::start("mongodb=warn") {
        return fail(USAGE, error);
    }
    logging::note_passed_over(&settings.passed_over);
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(1, error),
    };
    runtime.block_on(async {
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

/// Runs what copies documents, with the settings of the environment. Standard output is the stream's.
fn copy(work: impl AsyncFnOnce(&Settings) -> Result<(), Failure>) -> ExitCode {
    let settings = match Settings::load(None, std::env::vars_os()) {
        Ok(settings) => settings,
        Err(error) => return fail(USAGE, error),
    };
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(1, error),
    };
    let done = runtime.block_on(work(&settings));
    // A thread may still be reading standard input, which has no end yet.
    runtime.shutdown_background();
    done.map_or_else(|failure| fail(1, failure), |()| ExitCode::SUCCESS)
}
