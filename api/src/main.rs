//! The `api` binary: reads the command line and the settings, and runs the library.

use std::path::PathBuf;
use std::process::ExitCode;

use api::app::Application;
use api::observe::healthcheck::{self, Question};
use api::observe::telemetry;
use api::settings::{self, ConfigError, Settings};
use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Exit code for a setting that can't be used, as for a wrong command line.
const USAGE: u8 = 2;

/// Records HTTP requests in MongoDB.
#[derive(Parser)]
#[command(version, after_help = settings::help())]
struct Cli {
    /// TOML file with settings; the environment comes before it.
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Asks the running API whether it is healthy; exits 0 if so, else 1.
    Healthcheck {
        /// Asks whether it can record requests: MongoDB answers, and accepts the credentials.
        #[arg(long)]
        ready: bool,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let settings = match Settings::load(cli.config.as_deref()) {
        Ok(settings) => settings,
        Err(error) => return complain(&error, USAGE),
    };
    match cli.command {
        Some(Command::Healthcheck { ready }) => {
            let question = if ready {
                Question::Ready
            } else {
                Question::Healthy
            };
            match healthcheck::run(settings.admin_listen, question) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => complain(&error, 1),
            }
        }
        None => serve(settings),
    }
}

fn serve(settings: Settings) -> ExitCode {
    if let Err(error) = telemetry::init() {
        return complain(
            &ConfigError::BadValue {
                origin: "RUST_LOG".to_owned(),
                value: std::env::var("RUST_LOG").unwrap_or_default(),
                expected: "a level such as info, or target=level pairs",
                detail: Some(error.to_string()),
            },
            USAGE,
        );
    }
    if !settings.passed_over.is_empty() {
        tracing::info!(
            variables = settings.passed_over.join(" "),
            "passed over: they describe a service (Kubernetes, Docker links) and are no settings"
        );
    }
    // The write path and MongoDB's connections have this thread; HTTP has its workers.
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return complain(&error, 1),
    };
    runtime.block_on(async {
        // Heeded from the first moment, also while a name is being looked up.
        let mut stop = std::pin::pin!(stop_signal());
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
            Err(error) => {
                let code = if error.is_usage() { USAGE } else { 1 };
                return complain(&error, code);
            }
        };
        match application.run_until_stopped(stop).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => complain(&error, 1),
        }
    })
}

/// Waits for SIGTERM or SIGINT.
async fn stop_signal() {
    let (Ok(mut terminate), Ok(mut interrupt)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        tracing::error!("signals can't be handled here; stop the process with SIGKILL");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the user's terminal, before and beside logging"
)]
fn complain(error: &dyn std::error::Error, code: u8) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::from(code)
}
