//! `shelfwise migrate`

use serde_json::{Value, json};
use shelfwise::control::migrations::MigrationSet;
use shelfwise::control::migrations::drive::Ended;
use shelfwise::db::migrate::{Plane, TENANT_VERSION_MIN, migrations, newest_version};

use super::fleet::{Fleet, options};

impl Fleet {
    /// What a command that must succeed prints.
    fn answer(&self, arguments: &[&str]) -> Value {
        let output = self.command(&[&["migrate"], arguments].concat()).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// What a command that must fail says.
    fn failure(&self, arguments: &[&str]) -> String {
        let output = self.command(&[&["migrate"], arguments].concat()).output().unwrap();
        assert!(!output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8_lossy(&output.stderr).into_owned()
    }
}

#[tokio::test]
async fn an_operator_plans_runs_and_looks() {
    let fleet = Fleet::of(3).await;
    fleet.take_back().await;
    let newest = newest_version(Plane::Tenant);
    let plan = fleet.answer(&["plan", "--json"]);
    assert_eq!(
        (&plan["target"], &plan["behind"][0]["tenants"], &plan["waves"]),
        (&json!(newest), &json!(3), &json!(1))
    );
    assert_eq!((&plan["problems"], plan["migrations"].as_array().unwrap().len()), (&json!([]), 2));
    assert!(fleet.failure(&["check"]).contains(TENANT_VERSION_MIN));
    assert!(fleet.failure(&["status"]).contains("no such run"));

    let canary = fleet.tenants[1].slug.clone();
    let held = fleet.failure(&["run", "--canary", &canary, "--hold-after-canaries", "--json"]);
    assert!(held.contains("the canaries are done"), "{held}");
    let status = fleet.answer(&["status", "--json"]);
    let told = ["status", "completed", "pending", "wave"].map(|name| status[name].clone());
    assert_eq!(told, [json!("paused"), json!(1), json!(2), json!(2)]);
    assert!(fleet.failure(&["run"]).contains("resume it, retry it or roll it back"));
    assert!(fleet.failure(&[]).contains("is paused"), "the plain command does not resume by the way");
    assert!(fleet.failure(&["pause", "--reason", "again"]).contains("cannot be paused"));

    let id = status["id"].as_str().unwrap();
    let resumed = fleet.answer(&["resume", id, "--json"]);
    assert_eq!(
        (&resumed["status"], &resumed["completed"], &resumed["failures"]),
        (&json!("completed"), &json!(3), &json!([]))
    );
    assert_eq!(fleet.answer(&["check", "--json"]), json!({ "versionMin": TENANT_VERSION_MIN, "tenants": [] }));
    assert_eq!(fleet.answer(&["run", "--json"]), json!({ "run": null }));
    let all = fleet.answer(&["--json"]);
    assert_eq!((&all["control"], &all["tenants"], &all["run"]), (&json!(0), &json!(0), &Value::Null));
    // Going back is refused: this release does not work on what was there before.
    assert!(fleet.failure(&["rollback", id]).contains("does not work on version"));
    assert!(fleet.failure(&["retry"]).contains("No step of the run has failed"));
    assert!(fleet.failure(&["run", "--wave-size", "0"]).contains("1 to 10000"));
}

#[tokio::test]
async fn the_plain_command_brings_everything_up_to_date_and_names_who_is_not() {
    let fleet = Fleet::of(2).await;
    fleet.take_back().await;
    let schema = fleet.schema(0);
    fleet.sql(&format!(r#"ALTER TABLE "{schema}".events ADD COLUMN cause int"#)).await;
    let failure = fleet.failure(&[]);
    assert!(failure.contains(&fleet.tenants[0].slug) && failure.contains("1 tenants were not migrated"), "{failure}");
    assert!(fleet.failure(&["check"]).contains("migrate before the deploy"));

    fleet.sql(&format!(r#"ALTER TABLE "{schema}".events DROP COLUMN cause"#)).await;
    let again = fleet.answer(&["--json"]);
    assert_eq!((&again["tenants"], &again["failed"]), (&json!(1), &json!([])));
    assert_eq!(again["run"]["status"], "completed");
    let texts = [&["plan"][..], &["status"], &["check"], &["run"]];
    for arguments in texts {
        let output = fleet.command(&[&["migrate"], arguments].concat()).output().unwrap();
        assert!(output.status.success(), "{arguments:?}");
    }
}

#[tokio::test]
async fn a_run_that_is_left_to_workers_is_followed_by_whoever_looks() {
    let fleet = Fleet::of(1).await;
    fleet.take_back().await;
    let started = fleet.answer(&["run", "--detach", "--json"]);
    assert_eq!((&started["status"], &started["pending"]), (&json!("running"), &json!(1)));
    let job =
        "SELECT kind || ' ' || state || ' ' || (tenant_id IS NULL) FROM control.jobs WHERE kind = 'fleet.migrate'";
    assert_eq!(fleet.ask(job).await, "fleet.migrate available true");
    // Nobody leads it, so the next one does.
    assert_eq!(fleet.answer(&["run", "--json"])["completed"], 1);
}

#[tokio::test]
async fn a_run_to_elsewhere_is_not_gone_on_with_as_if_it_were_ours() {
    let fleet = Fleet::of(1).await;
    fleet.take_back().await;
    // A release before this one has begun, and brings the fleet to its own newest version only.
    let all = migrations(Plane::Tenant);
    let set = MigrationSet::of(all[..all.len() - 1].to_vec());
    let run = fleet.start(&set, &options()).await.unwrap();
    for arguments in [&[][..], &["run"]] {
        let failure = fleet.failure(arguments);
        assert!(failure.contains(&format!("goes to version {}", set.newest())), "{failure}");
    }
    assert_eq!(fleet.counts(&run).await, [0, 0, 0, 1], "nothing is done");

    assert_eq!(fleet.drive(&set, &run).await, Ended::Completed);
    let older = MigrationSet { version_min: String::new(), ..set };
    fleet.act(&older, async |bridge| bridge.run_rollback(None).await).await.unwrap();
    let failure = fleet.failure(&[]);
    assert!(failure.contains("takes the fleet back"), "{failure}");
    fleet.failure(&["run"]);
    fleet.act(&older, async |bridge| bridge.run_pause(None, "forward instead").await).await.unwrap();
    assert_eq!(fleet.answer(&["run", "--supersede", "--json"])["completed"], 1);
}
