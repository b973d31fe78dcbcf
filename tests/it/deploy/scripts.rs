//! `script/deploy` and `script/rollback`, with a `kubectl` that writes down what it is asked.

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};

use super::files::{below, path, text};

/// Answers as a cluster would whose migration ends as `JOB` says, with pods that wait for `PODS`, and where what has `FAILS` in it
/// fails; sees what was applied after `LAG` looks. Keeps of each workload the revisions and their tags, the last of which runs.
const KUBECTL: &str = r#"#!/bin/bash
set -euo pipefail
if [ "$1" = kustomize ]; then
    sed 's|^|# |' "$2/kustomization.yaml"
    printf 'image: ghcr.io/shelfwise/shelfwise:unset\n'
    exit 0
fi
echo "$*" >> "$CLUSTER/asked"
[[ -z "${FAILS:-}" || "$*" != *"$FAILS"* ]] || exit 1
of=$(sed -nE 's/.*(component=|deployment\/shelfwise-)(api|worker).*/\2/p' <<< "$*")
runs="$CLUSTER/$of.runs" left="$CLUSTER/$of.left"
tag() { tail -n 1 "$1" | cut -d ' ' -f 2; }
roll() { echo "$(($(tail -n 1 "$1" | cut -d ' ' -f 1) + 1)) $2" >> "$1"; }
case "$*" in
    *"get job"*) printf '%s' "$JOB" ;;
    *"get pods"*) printf '%s\n' "${PODS:-}" ;;
    *"get replicasets"*) sed 's| | ghcr.io/shelfwise/shelfwise:|' "$runs" ;;
    *observedGeneration*)
        if [ -s "$CLUSTER/unseen" ]; then
            sed -i 1d "$CLUSTER/unseen"
            printf '5/4/%s' "$(head -n 1 "$runs" | cut -d ' ' -f 1)"
        else
            printf '5/5/%s' "$(tail -n 1 "$runs" | cut -d ' ' -f 1)"
        fi ;;
    *went-back-from\}*) printf 'ghcr.io/shelfwise/shelfwise:%s %s' "$(tag "$runs")" "$(cat "$left")" ;;
    *"annotate --overwrite"*) sed 's/.*=//' <<< "$*" > "$left" ;;
    *"rollout undo"*)
        tag=$(sed -n "s/^${@: -1} //p" "$runs")
        sed -i "/^${@: -1} /d" "$runs"
        roll "$runs" "$tag" ;;
    *"apply --filename"*)
        grep '^image' "${@: -1}" >> "$CLUSTER/asked"
        for it in api worker; do roll "$CLUSTER/$it.runs" "$(sed -n 's/^image: .*://p' "${@: -1}")"; done
        seq "${LAG:-0}" > "$CLUSTER/unseen" ;;
    *) ;;
esac
"#;

/// A cluster.
struct Cluster {
    folder: tempfile::TempDir,
}

impl Cluster {
    /// One whose servers and workers run the third revision.
    fn new() -> Self {
        Self::with(&["3 a"], &["3 a"])
    }

    /// One whose servers and workers have run these.
    fn with(servers: &[&str], workers: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let kubectl = folder.path().join("kubectl");
        std::fs::write(&kubectl, KUBECTL).unwrap();
        std::fs::set_permissions(&kubectl, std::fs::Permissions::from_mode(0o755)).unwrap();
        for (name, revisions) in [("api", servers), ("worker", workers)] {
            std::fs::write(folder.path().join(format!("{name}.runs")), revisions.join("\n") + "\n").unwrap();
            std::fs::write(folder.path().join(format!("{name}.left")), "").unwrap();
        }
        Self { folder }
    }

    /// The tags that servers and workers run.
    fn tags(&self) -> [String; 2] {
        ["api", "worker"].map(|name| {
            let runs = std::fs::read_to_string(self.folder.path().join(format!("{name}.runs"))).unwrap();
            runs.lines().last().unwrap().split_once(' ').unwrap().1.to_owned()
        })
    }

    /// Runs a script, and answers whether it succeeded, what was asked of the cluster, and what was said.
    fn run(&self, script: &str, arguments: &[&str], answers: &[(&str, &str)]) -> (bool, Vec<String>, String) {
        let asked = self.folder.path().join("asked");
        std::fs::write(&asked, "").unwrap();
        let path_variable = format!("{}:{}", self.folder.path().display(), std::env::var("PATH").unwrap());
        let Output { status, stdout, stderr } = Command::new(path(script))
            .args(arguments)
            .env("PATH", path_variable)
            .env("CLUSTER", self.folder.path())
            .env("JOB", "Complete")
            .env("DEPLOY_POLL_SECONDS", "0")
            .env_remove("SMOKE_URL")
            .envs(answers.iter().copied())
            .output()
            .unwrap();
        // What is only looked at, or written beside it, is left out.
        let unseen = [" get deployment/", " get pods ", " get replicasets ", " annotate "];
        let is_act = |line: &&str| !unseen.iter().any(|word| line.contains(word));
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
        Cluster::new().run("script/deploy", &["staging", "3f2a91c"], &[("JOB", "SuccessCriteriaMet Complete")]);
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
        Cluster::new().run("script/deploy", &["staging", "3f2a91c"], &[("JOB", "FailureTarget Failed")]);
    assert!(!is_done && told.contains("deploy: refused"), "{told}");
    assert_eq!(asked[..3], BEFORE);
    assert_eq!(asked[3..], ["shelfwise-staging logs job/shelfwise-migrate"], "nothing is rolled");
}

#[test]
fn a_deploy_that_does_not_come_up_is_rolled_back() {
    let answers = [("FAILS", "rollout status deployment/shelfwise-worker")];
    let (is_done, asked, told) = Cluster::new().run("script/deploy", &["production", "v2.1"], &answers);
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
        let (is_done, asked, _) = Cluster::new().run("script/deploy", arguments, &[]);
        assert!(!is_done && asked.is_empty(), "{arguments:?}: {asked:?}");
    }
    let (is_done, asked, _) = Cluster::new().run("script/rollback", &["moon"], &[]);
    assert!(!is_done && asked.is_empty(), "{asked:?}");
}

#[test]
fn a_deploy_whose_workload_cannot_be_written_to_is_taken_back_although_the_cluster_sees_it_late() {
    let cluster = Cluster::new();
    let answers = [("FAILS", "annotate deployment/shelfwise-worker"), ("LAG", "3")];
    let (is_done, _, told) = cluster.run("script/deploy", &["staging", "b"], &answers);
    assert!(!is_done && told.contains("shelfwise-worker cannot be written to; going back"), "{told}");
    assert_eq!(cluster.tags(), ["a", "a"]);
}

#[test]
fn a_migration_that_cannot_begin_is_refused_at_once_and_one_without_end_at_its_deadline() {
    for reason in ["ImagePullBackOff", "ErrImagePull", "InvalidImageName"] {
        let pods = format!("{reason}: no such image\nPodInitializing: ");
        let (is_done, asked, told) =
            Cluster::new().run("script/deploy", &["staging", "b"], &[("JOB", ""), ("PODS", &pods)]);
        assert!(!is_done && told.contains(&format!("cannot begin: {reason}: no such image; what runs")), "{told}");
        assert_eq!(asked[..3], BEFORE);
        assert_eq!(asked[3..], ["shelfwise-staging delete job shelfwise-migrate"], "nothing begins later");
    }
    let answers = [("JOB", ""), ("PODS", "PodInitializing: "), ("DEPLOY_MIGRATE_SECONDS", "0")];
    let (is_done, asked, told) = Cluster::new().run("script/deploy", &["staging", "b"], &answers);
    assert!(!is_done && told.contains("The migration has not ended within 0 seconds"), "{told}");
    assert_eq!(asked[3..], ["shelfwise-staging logs job/shelfwise-migrate"], "nothing is rolled");
}

#[test]
fn a_rollback_takes_back_servers_and_workers_and_waits_for_them_and_twice_does_nothing_more() {
    // With other settings, the same release is another revision.
    let cluster = Cluster::with(&["9 a", "10 b", "11 b"], &["4 a", "5 b"]);
    let (is_done, asked, told) = cluster.run("script/rollback", &["production"], &[]);
    assert!(is_done, "{told}");
    assert_eq!(
        asked,
        [
            "shelfwise-production rollout undo deployment/shelfwise-api to 9",
            "shelfwise-production rollout undo deployment/shelfwise-worker to 4",
            "shelfwise-production rollout status deployment/shelfwise-api",
            "shelfwise-production rollout status deployment/shelfwise-worker",
        ]
    );
    let (is_done, asked, told) = cluster.run("script/rollback", &["production"], &[]);
    assert!(!is_done && asked.is_empty() && told.contains("b was taken back already"), "{told}{asked:?}");
    let (is_done, _, told) = cluster.run("script/rollback", &["production", "b"], &[]);
    assert!(is_done && told.contains("shelfwise-api runs a, and is left as it is"), "{told}");
    assert_eq!(cluster.tags(), ["a", "a"]);
    let (is_done, asked, told) = cluster.run("script/rollback", &["production", "c"], &[]);
    assert!(!is_done && asked.is_empty() && told.contains("nothing runs c"), "{told}");
}

#[test]
fn what_was_rolled_by_half_is_taken_back_where_it_runs() {
    let cluster = Cluster::with(&["3 z", "4 a", "5 b"], &["3 z", "4 a"]);
    let (is_done, asked, told) = cluster.run("script/rollback", &["staging"], &[]);
    assert!(!is_done && asked.is_empty() && told.contains("say which is to go"), "{told}");
    for _ in 0..2 {
        let (is_done, _, told) = cluster.run("script/rollback", &["staging", "b"], &[]);
        assert!(is_done && told.contains("shelfwise-worker runs a, and is left as it is"), "{told}");
        assert_eq!(cluster.tags(), ["a", "a"]);
    }
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
