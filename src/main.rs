//! The `shelfwise` binary: parses the command line, builds the runtime, and calls the command.

use std::io::ErrorKind;

use clap::Parser as _;
use shelfwise::cli::{Cli, run, run_without_settings};
use shelfwise::config::Config;

/// A tenth less processor time a request than the system's allocator, measured by `script/bench`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    let cli = Cli::parse();
    let result = match Config::from_env() {
        Ok(config) => configured(cli, config),
        Err(problem) => run_without_settings(&cli, problem),
    };
    match result {
        Ok(()) => std::process::ExitCode::SUCCESS,
        // Whoever read what was printed has seen enough.
        Err(error) if error.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == ErrorKind::BrokenPipe) => {
            std::process::ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("shelfwise: {error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}

/// Runs a command with its settings.
fn configured(cli: Cli, config: Config) -> anyhow::Result<()> {
    shelfwise::telemetry::logs::init(&config.log)?;
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = config.worker_threads {
        runtime.worker_threads(threads);
    }
    runtime.enable_all().build()?.block_on(run(cli, config))
}
