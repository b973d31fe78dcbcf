//! `script/deploy` and `script/rollback`, with a `kubectl` that writes down what it is asked.

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};

use super::files::{below, path, text};

/// Answers as a cluster would whose migration ends as `JOB` says and whose workloads come up but for `FAILS`; writes down the rest.
const KUBECTL: &str = r#"#!/bin/bash
set -euo pipefail
if [ "$1" = kustomize ]; then
    sed 's|^|# |' "$2/kustomization.yaml"
    printf 'image: ghcr.io/shelfwise/shelfwise:unset\n'
    exit 0
fi
echo "$*" >> "$ASKED"
case "$*" in
    *"get job"*) printf '%s' "$JOB" ;;
    *went-back-from\}*) printf '%s' "$WENT_BACK" ;;
    # What is applied is another revision.
    *"kubernetes\.io/revision"*) printf '%s' "$((3 + $(grep -c 'apply --filename' "$ASKED" || true)))" ;;
    *"apply --filename"*) grep '^image' "${@: -1}" >> "$ASKED" ;;
    *"rollout status deployment/$FAILS "*) exit 1 ;;
    *) ;;
esac
"#;

/// A cluster.
struct Cluster {
    folder: tempfile::TempDir,
    /// What was taken back, as its workloads say.
    went_back: String,
}

impl Cluster {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let kubectl = folder.path().join("kubectl");
        std::fs::write(&kubectl, KUBECTL).unwrap();
        std::fs::set_permissions(&kubectl, std::fs::Permissions::from_mode(0o755)).unwrap();
        Self { folder, went_back: String::new() }
    }

    /// Runs a script, and answers whether it succeeded, what was asked of the cluster, and what was said.
    fn run(&self, script: &str, arguments: &[&str], (job, fails): (&str, &str)) -> (bool, Vec<String>, String) {
        let asked = self.folder.path().join("asked");
        std::fs::write(&asked, "").unwrap();
        let path_variable = format!("{}:{}", self.folder.path().display(), std::env::var("PATH").unwrap());
        let Output { status, stdout, stderr } = Command::new(path(script))
            .args(arguments)
            .env("PATH", path_variable)
            .env("ASKED", &asked)
            .env("JOB", job)
            .env("FAILS", fails)
            .env("WENT_BACK", &self.went_back)
            .env("DEPLOY_POLL_SECONDS", "0")
            .env_remove("SMOKE_URL")
            .output()
            .unwrap();
        // What is only looked at, or written beside it, is left out.
        let is_act = |line: &&str| !line.contains(" get deployment/") && !line.contains(" annotate ");
        let asked = std::fs::read_to_string(asked).unwrap().lines().filter(is_act).map(short).collect();
        (status.success(), asked, String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap())
    }
}

/// What was asked, without what is the same everywhere.
fn short(line: &str) -> String {
    let line = line.trim_start_matches("--namespace ");
    match line.split_once(" --to-revision ") {
        Some((act, revision)) => format!("{act} to {revision}"),
        None => line.split(" --").next().unwrap().to_owned(),
    }
}

const BEFORE: [&str; 3] = [
    "shelfwise-staging delete job shelfwise-migrate",
    "shelfwise-staging apply",
    "shelfwise-staging get job shelfwise-migrate",
];

#[test]
fn a_deploy_migrates_then_rolls() {
    let (is_done, asked, told) =
        Cluster::new().run("script/deploy", &["staging", "3f2a91c"], ("SuccessCriteriaMet Complete", "-"));
    assert!(is_done, "{told}");
    assert_eq!(asked[..3], BEFORE);
    assert_eq!(
        asked[3..],
        [
            "shelfwise-staging logs job/shelfwise-migrate",
            "shelfwise-staging apply",
            "image: ghcr.io/shelfwise/shelfwise:3f2a91c",
            "shelfwise-staging rollout status deployment/shelfwise-api",
            "shelfwise-staging rollout status deployment/shelfwise-worker",
        ]
    );
    assert!(told.contains("not smoked: SMOKE_URL is not set"), "{told}");
}

#[test]
fn a_deploy_is_refused_while_schemas_are_not_at_what_it_works_on() {
    let (is_done, asked, told) =
        Cluster::new().run("script/deploy", &["staging", "3f2a91c"], ("FailureTarget Failed", "-"));
    assert!(!is_done && told.contains("deploy: refused"), "{told}");
    assert_eq!(asked[..3], BEFORE);
    assert_eq!(asked[3..], ["shelfwise-staging logs job/shelfwise-migrate"], "nothing is rolled");
}

#[test]
fn a_deploy_that_does_not_come_up_is_rolled_back() {
    let answers = ("Complete", "shelfwise-worker");
    let (is_done, asked, told) = Cluster::new().run("script/deploy", &["production", "v2.1"], answers);
    assert!(!is_done && told.contains("shelfwise-worker does not come up; going back"), "{told}");
    let undone: Vec<&String> = asked.iter().filter(|line| line.contains("rollout undo")).collect();
    assert_eq!(
        undone,
        [
            "shelfwise-production rollout undo deployment/shelfwise-api to 3",
            "shelfwise-production rollout undo deployment/shelfwise-worker to 3"
        ]
    );
}

#[test]
fn what_is_no_environment_or_no_tag_changes_nothing() {
    for arguments in [
        &["staging"][..],
        &["staging", "latest"],
        &["staging", "unset"],
        &["staging", "a b"],
        &["staging", "a;b"],
        &["moon", "3f2a91c"],
        &[],
    ] {
        let (is_done, asked, _) = Cluster::new().run("script/deploy", arguments, ("Complete", "-"));
        assert!(!is_done && asked.is_empty(), "{arguments:?}: {asked:?}");
    }
    let (is_done, asked, _) = Cluster::new().run("script/rollback", &["moon"], ("", "-"));
    assert!(!is_done && asked.is_empty(), "{asked:?}");
}

#[test]
fn a_rollback_takes_back_servers_and_workers_and_waits_for_them() {
    let (is_done, asked, told) = Cluster::new().run("script/rollback", &["production"], ("", "-"));
    assert!(is_done, "{told}");
    let words = ["rollout undo", "rollout undo", "rollout status", "rollout status"];
    assert_eq!(asked.len(), words.len(), "{asked:?}");
    for (line, word) in asked.iter().zip(words) {
        assert!(line.starts_with(&format!("shelfwise-production {word} deployment/shelfwise-")), "{line}");
    }
}

#[test]
fn what_was_taken_back_is_not_brought_back_by_a_second_rollback() {
    let cluster = Cluster { went_back: "3f2a91c".to_owned(), ..Cluster::new() };
    let (is_done, asked, told) = cluster.run("script/rollback", &["production"], ("", "-"));
    assert!(!is_done && asked.is_empty() && told.contains("3f2a91c was taken back already"), "{told}{asked:?}");
}

#[test]
fn scripts_stop_at_the_first_thing_that_fails() {
    let mut scripts = below("script", "");
    scripts.extend(below("deploy", ".sh"));
    // What the others of its folder read is not run.
    scripts.retain(|script| script != "deploy/backup/common.sh");
    for script in scripts {
        let text = text(&script);
        assert!(text.starts_with("#!/usr/bin/env bash\n") || text.starts_with("#!/bin/bash\n"), "{script}");
        // The server of PostgreSQL's image runs this one within its own.
        if script != "deploy/postgres/passwords.sh" {
            assert!(text.contains("\nset -euo pipefail\n"), "{script}");
        }
        let mode = std::fs::metadata(path(&script)).unwrap().permissions().mode();
        assert!(script == "deploy/postgres/passwords.sh" || mode & 0o111 == 0o111, "{script} cannot be run");
    }
}
