//! The doctor: each row of the readiness checklist fails where it should, over a real PostgreSQL, and passes where all is well.

mod command;
mod production;
mod rows;
mod services;

use shelfwise::cli::doctor::{Finding, Status, examine};
use shelfwise::config::Config;
use shelfwise::kernel::clock::SystemClock;

/// What the doctor finds of one row.
async fn finding(config: &Config, row: &str) -> Finding {
    of_row(examine(config, &SystemClock).await, row)
}

/// The finding of a row among all.
fn of_row(findings: Vec<Finding>, row: &str) -> Finding {
    findings.into_iter().find(|finding| finding.row.name == row).unwrap_or_else(|| panic!("there is no row {row}"))
}

/// Checks how a row stands and what is said of it.
#[track_caller]
fn check(finding: &Finding, status: Status, words: &str) {
    assert_eq!(finding.verdict.status, status, "{finding:?}");
    assert!(finding.verdict.message.contains(words), "{words:?} is missing in {finding:?}");
    assert_eq!(finding.verdict.hint.is_some(), status != Status::Pass, "what is not well has a hint: {finding:?}");
}
