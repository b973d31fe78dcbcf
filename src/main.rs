//! The `shelfwise` binary: parses the command line, builds the runtime, and calls the command.

use std::io::ErrorKind;
use std::time::Duration;

use clap::Parser as _;
use shelfwise::cli::{Cli, run, run_without_settings};
use shelfwise::config::Config;
use shelfwise::telemetry::logs;
use shelfwise::telemetry::traces::Traces;

/// How long what cannot be broken off may hold up the end of the process.
const END_TIMEOUT: Duration = Duration::from_secs(1);

/// A tenth less processor time a request than the system's allocator, measured by `script/bench`.
#[cfg(not(feature = "heap-profiling"))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// An allocator that can tell who holds what.
#[cfg(feature = "heap-profiling")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

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
    let traces = logs::init(&config.log, &config.telemetry)?;
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = config.worker_threads {
        runtime.worker_threads(threads);
    }
    let runtime = runtime.enable_all().build()?;
    let result = runtime.block_on(async {
        let sending = traces.map(Traces::start).transpose()?;
        let result = run(cli, config).await;
        if let Some(sending) = sending {
            sending.finish().await;
        }
        result
    });
    // A look-up of a name may be under way that nobody can break off.
    runtime.shutdown_timeout(END_TIMEOUT);
    result
}
