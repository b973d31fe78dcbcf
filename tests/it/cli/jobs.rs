//! `shelfwise jobs`

use std::process::Output;

use serde_json::Value;
use shelfwise::config::auth::JwtKey;
use shelfwise::kernel::ids::JobId;
use uuid::Uuid;

use crate::harness::command::shelfwise;
use crate::jobs::queue::Queue;

/// Runs the command and its arguments against a queue.
fn jobs(queue: &Queue, arguments: &[&str]) -> Output {
    let key = JwtKey::generate("test-1").unwrap().to_setting();
    shelfwise(&queue.urls, &key, &[&["jobs"], arguments].concat())
}

/// What a command that must succeed prints, an object a line.
fn lines(output: &Output) -> Vec<Value> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What a command that must fail says.
fn failure(output: &Output) -> String {
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Dead letters of a kind.
async fn dead(queue: &Queue, kind: &str, count: i32) -> Vec<Uuid> {
    let ids = queue.add_many(kind, None, count).await;
    queue
        .sql(&format!("UPDATE control.jobs SET state = 'discarded', finalized_at = now() WHERE kind = '{kind}'"))
        .await;
    ids
}

#[tokio::test]
async fn an_operator_sees_and_moves_jobs_one_by_one_and_all_at_once() {
    let queue = Queue::new().await;
    let (mails, sums) = (dead(&queue, "test.mail", 3).await, dead(&queue, "test.sum", 2).await);
    let waiting = queue.add("test.wait", None).await;
    let name = |id: Uuid| JobId(id).to_string();

    assert_eq!(lines(&jobs(&queue, &["list", "--json"])).len(), 6);
    assert_eq!(lines(&jobs(&queue, &["list", "--json", "--state", "discarded", "--limit", "4"])).len(), 4);
    assert_eq!(lines(&jobs(&queue, &["list", "--json", "--kind", "test.mail"])).len(), 3);

    let replayed = lines(&jobs(&queue, &["replay", &name(mails[0]), "--json"]));
    assert_eq!((&replayed[0]["id"], &replayed[0]["state"]), (&name(mails[0]).into(), &"available".into()));
    assert_eq!(lines(&jobs(&queue, &["replay", "--kind", "test.mail", "--json"]))[0]["count"], 2);
    assert_eq!(lines(&jobs(&queue, &["discard", &name(sums[0]), "--json"]))[0]["state"], "cancelled");
    assert_eq!(lines(&jobs(&queue, &["discard", "--all", "--json"]))[0]["count"], 1);
    assert_eq!(lines(&jobs(&queue, &["cancel", &name(waiting), "--json"]))[0]["state"], "cancelled");

    let states = "SELECT string_agg(kind || ' ' || state || ' ' || count, ', ' ORDER BY kind) FROM (
        SELECT kind, state, count(*) FROM control.jobs GROUP BY kind, state) counts";
    assert_eq!(queue.ask(states).await, "test.mail available 3, test.sum cancelled 2, test.wait cancelled 1");
    let noted = "SELECT count(*) FROM control.admin_audit WHERE operator LIKE 'cli:%'";
    assert_eq!(queue.ask(noted).await, "5", "each is in the trail of what operators do");
}

#[tokio::test]
async fn what_cannot_be_done_is_said_and_changes_nothing() {
    let queue = Queue::new().await;
    let dead = dead(&queue, "test.mail", 1).await[0];
    let nobody = JobId(Uuid::nil()).to_string();
    for arguments in [
        &["replay"][..],
        &["discard"],
        &["replay", "order_01h455vb4pex5vsknk084sn02q"],
        &["replay", &nobody],
        &["cancel", &JobId(dead).to_string()],
        &["replay", "--all", "--kind", "test.mail"],
        &["list", "--state", "lost"],
        &["stats", "--tenant", "nobody"],
    ] {
        assert!(!failure(&jobs(&queue, arguments)).is_empty(), "{arguments:?}");
    }
    assert_eq!(queue.state(dead).await, "discarded");
    assert_eq!(queue.ask("SELECT count(*) FROM control.admin_audit").await, "0");
}
