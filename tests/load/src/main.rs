//! A load as shops make it, by goose: users of several shops browse, search and order, operators look on, and all of it is held
//! against what the server takes for `{ __typename }` in the same run. `script/load` starts a server and runs this.

mod mix;
mod verdict;

use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::Duration;

use goose::prelude::*;

use mix::{Site, admin_jobs, admin_tenants, browse_book, browse_page, floor, order, order_list, search};
use verdict::Recorder;

/// How long a user looks at an answer.
const THINKING: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(250));

/// Where the load goes.
static SITE: OnceLock<Site> = OnceLock::new();

/// What has come of it.
static RECORDER: Recorder = Recorder::new();

#[tokio::main]
async fn main() -> ExitCode {
    let site = match Site::from_environment() {
        Ok(site) => SITE.get_or_init(|| site),
        Err(problem) => {
            eprintln!("load: {problem}");
            return ExitCode::from(2);
        }
    };
    match attack().await {
        Ok(_) => RECORDER.judge(&site.terms),
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::from(2)
        }
    }
}

/// Runs all of it: of fifteen users eight browse, three search, two order, one is an operator, and one asks for nothing.
async fn attack() -> Result<GooseMetrics, GooseError> {
    let scenario =
        |name: &str, weight: usize| Scenario::new(name).set_weight(weight)?.set_wait_time(THINKING.0, THINKING.1);
    GooseAttack::initialize()?
        .register_scenario(
            scenario("Browse", 8)?
                .register_transaction(transaction!(browse_page).set_weight(2)?)
                .register_transaction(transaction!(browse_book).set_weight(3)?),
        )
        .register_scenario(scenario("Search", 3)?.register_transaction(transaction!(search)))
        .register_scenario(
            scenario("Order", 2)?
                .register_transaction(transaction!(order).set_weight(3)?)
                .register_transaction(transaction!(order_list)),
        )
        .register_scenario(
            scenario("Operate", 1)?
                .register_transaction(transaction!(admin_tenants))
                .register_transaction(transaction!(admin_jobs)),
        )
        .register_scenario(scenario("Floor", 1)?.register_transaction(transaction!(floor)))
        .execute()
        .await
}
