//! The workflows: jobs wait for jobs that are there, run scripts that are there, and may do no more than they must.

use serde_json::Value;

use super::files::{all, below, document, entries, items, path, string, text};

/// The jobs that a job waits for.
fn needs(job: &Value) -> Vec<&str> {
    match &job["needs"] {
        Value::String(one) => vec![one],
        many => items(many).iter().map(string).collect(),
    }
}

#[test]
fn jobs_wait_for_jobs_that_are_there_and_end() {
    for file in below(".github/workflows", ".yml") {
        let workflow = document(&file);
        assert!(workflow["permissions"].is_object(), "{file} does not say what it may do");
        for (name, job) in entries(&workflow["jobs"]) {
            for other in needs(job) {
                assert!(workflow["jobs"][other].is_object(), "{file}: {name} waits for {other}");
            }
            // A job that is another workflow has its own.
            assert!(job["uses"].is_string() || job["timeout-minutes"].is_u64(), "{file}: {name} may take for ever");
            for step in items(&job["steps"]) {
                let action = step["uses"].as_str().unwrap_or("own@1");
                assert!(action.contains('@'), "{file}: {action} has no version");
            }
        }
    }
}

#[test]
fn the_scripts_that_are_run_are_there() {
    let mut count = 0;
    for file in below(".github/workflows", ".yml") {
        for run in all(&document(&file), "run") {
            for word in string(run).split_whitespace().filter(|word| word.starts_with("script/") && *word != "script/*")
            {
                assert!(path(word).is_file(), "{file}: {word}");
                count += 1;
            }
        }
    }
    assert!(count > 3, "{count}");
}

#[test]
fn production_comes_after_staging_was_smoked() {
    let workflow = document(".github/workflows/ci.yml");
    let job = |name: &str| workflow["jobs"][name].clone();
    assert_eq!(needs(&job("production")), ["image", "staging"]);
    for checked in ["lint", "unit", "integration", "contract", "image"] {
        assert!(needs(&job("staging")).contains(&checked), "{checked} is not waited for");
    }
    for environment in ["staging", "production"] {
        let job = job(environment);
        assert_eq!(job["environment"]["name"], environment);
        let runs: Vec<&str> = all(&job, "run").into_iter().map(string).collect();
        let deploy = format!("script/deploy {environment} ");
        assert!(runs.iter().any(|run| run.contains(&deploy)), "{environment}: {runs:?}");
        assert!(all(&job, "SMOKE_URL").len() == 1, "{environment} is not smoked");
        // Deploys of one environment wait for each other, and none is broken off.
        assert_eq!(job["concurrency"]["cancel-in-progress"], false);
    }
}

#[test]
fn a_deploy_waits_as_long_as_its_migration_may_take_and_can_still_go_back() {
    // Runners of GitHub cut jobs at six hours, whatever a workflow says.
    for file in below(".github/workflows", ".yml") {
        for (name, job) in entries(&document(&file)["jobs"]) {
            assert!(job["timeout-minutes"].as_u64().is_none_or(|minutes| minutes <= 360), "{file}: {name}");
        }
    }
    let migration = document("deploy/kubernetes/base/migrate.yaml")["spec"]["activeDeadlineSeconds"].as_u64().unwrap();
    let script = text("script/deploy");
    let waits = script.split("DEPLOY_MIGRATE_SECONDS:-").nth(1).unwrap().split('}').next().unwrap();
    let waits: u64 = waits.parse().unwrap();
    assert!(migration < waits, "{migration} and {waits}");
    for environment in ["staging", "production"] {
        let minutes = document(".github/workflows/ci.yml")["jobs"][environment]["timeout-minutes"].as_u64().unwrap();
        // Two workloads come up in ten minutes each, and two go back in as many.
        assert!(waits + 40 * 60 < minutes * 60, "{environment} has {minutes} minutes");
    }
}
