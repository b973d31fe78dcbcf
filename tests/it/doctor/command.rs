//! `shelfwise doctor` as it is run, and the page that lists its rows.

use std::process::{Command, Output};

use serde_json::Value;
use shelfwise::cli::doctor::ROWS;
use shelfwise::config::auth::JwtKey;

use crate::harness::cluster::shared_urls;
use crate::harness::command::shelfwise;

const PAGE: &str = include_str!("../../../runbooks/readiness-checklist.md");

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn the_page_lists_the_rows_in_their_order() {
    let rows: Vec<(String, String)> = PAGE
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .map(|line| {
            let (name, rest) = line.split_once("` | ").unwrap();
            (name.to_owned(), rest.split(" | ").next().unwrap().to_owned())
        })
        .collect();
    let expected: Vec<(String, String)> = ROWS.iter().map(|row| (row.name.to_owned(), row.title.to_owned())).collect();
    assert_eq!(rows, expected);
}

#[test]
fn every_row_names_a_page_or_one_that_is_being_written() {
    for row in ROWS {
        let (folder, page) = row.runbook.split_once('/').unwrap();
        assert!(folder == "runbooks" && page.ends_with(".md"), "{}", row.runbook);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_fails_ends_the_command_with_an_error_and_json_has_all_rows() {
    let key = JwtKey::generate("test-1").unwrap().to_setting();
    let run = async |arguments: &'static [&'static str]| -> Output {
        let (urls, key) = (shared_urls(), key.clone());
        tokio::task::spawn_blocking(move || shelfwise(&urls, &key, arguments)).await.unwrap()
    };
    let output = run(&["doctor", "--json"]).await;
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["ok"], false);
    let names: Vec<&str> = report["rows"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(names, ROWS.map(|row| row.name));
    let row = |name: &str| report["rows"].as_array().unwrap().iter().find(|row| row["name"] == name).unwrap();
    assert_eq!((&row("settings")["status"], &row("database")["status"]), (&"fail".into(), &"pass".into()));
    assert!(text(&output.stderr).contains("not fit for production: settings, "), "{output:?}");

    let output = run(&["doctor"]).await;
    assert_eq!(output.status.code(), Some(1));
    let lines = text(&output.stdout);
    assert!(lines.contains("\npass  database ") && lines.contains("; see runbooks/"), "{lines}");
    assert!(lines.lines().last().unwrap().starts_with("25 rows: "), "{lines}");
}

#[test]
fn settings_that_cannot_be_read_are_a_row_and_no_secret_is_told() {
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shelfwise"));
        command.args(arguments).env_clear().current_dir(std::env::temp_dir());
        command.envs([("SHELFWISE_ENV", "production"), ("PORT", "x"), ("DATABASE_URL", "mysql://a:hunter2@db/x")]);
        command.output().unwrap()
    };
    let output = run(&["doctor", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let message = report["rows"][0]["message"].as_str().unwrap();
    for name in ["PORT", "DATABASE_URL", "JWT_KEYS", "MASTER_KEYS"] {
        assert!(message.contains(name), "{message}");
    }
    assert_eq!(report["rows"].as_array().unwrap().len(), ROWS.len());
    assert!(report["rows"][1]["message"].as_str().unwrap().starts_with("not known"));
    assert!(!text(&output.stdout).contains("hunter2") && !text(&output.stderr).contains("hunter2"));
    // Other commands say it as they did.
    assert!(text(&run(&["work"]).stderr).contains("the configuration has problems"));
}
