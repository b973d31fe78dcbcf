//! `shelfwise plan` and `shelfwise tenant limit`.

use std::process::Output;

use serde_json::{Value, json};
use shelfwise::config::auth::JwtKey;

use crate::harness::command::shelfwise;
use crate::jobs::queue::Queue;

/// What a command that must succeed prints, an object a line.
fn lines(output: &Output) -> Vec<Value> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn an_operator_lists_and_changes_plans_and_what_is_agreed_beside_them() {
    let queue = Queue::new().await;
    queue.tenants(2).await;
    let key = JwtKey::generate("test-1").unwrap().to_setting();
    let run = |arguments: &[&str]| shelfwise(&queue.urls, &key, arguments);
    let plans = lines(&run(&["plan", "list", "--json"]));
    assert_eq!((plans.len(), &plans[0]["code"], &plans[0]["limits"]["books"]), (4, &json!("free"), &json!(5_000)));
    let changed = lines(&run(&["plan", "set", "free", "books=6000", "jobs=3", "--name", "Gratis", "--json"]));
    assert_eq!((&changed[0]["name"], &changed[0]["limits"]["books"]), (&json!("Gratis"), &json!(6_000)));
    assert_eq!(
        queue.ask("SELECT books || ',' || jobs || ',' || weight FROM control.plans WHERE code = 'free'").await,
        "6000,3,1"
    );

    let changed = lines(&run(&["tenant", "change-plan", "shop-1", "starter", "--json"]));
    assert_eq!(changed[0]["plan"], "starter");
    let set = [
        "tenant",
        "limit",
        "set",
        "shop-1",
        "books=9",
        "--until",
        "2036-01-01T00:00:00Z",
        "--reason",
        "Fair",
        "--json",
    ];
    let agreed = lines(&run(&set));
    assert_eq!(
        (&agreed[0]["limit"], &agreed[0]["value"], &agreed[0]["reason"]),
        (&json!("books"), &json!(9), &json!("Fair"))
    );
    assert_eq!(lines(&run(&["tenant", "limit", "list", "--json"])), agreed);
    assert_eq!(lines(&run(&["tenant", "limit", "list", "shop-1", "--json"])), agreed);
    assert_eq!(lines(&run(&["tenant", "limit", "list", "shop-2", "--json"])), Vec::<Value>::new());
    lines(&run(&["tenant", "limit", "clear", "shop-1", "books", "--json"]));
    assert_eq!(queue.ask("SELECT count(*) FROM control.plan_overrides").await, "0");
    let actions = "SELECT string_agg(action, ',' ORDER BY id) FROM control.admin_audit";
    let acts = "plan.update,tenant.plan_change,tenant.limit_override,tenant.limit_clear";
    assert_eq!(queue.ask(actions).await, acts);

    for arguments in [
        &["plan", "set", "free", "books=-1"][..],
        &["plan", "set", "free", "pages=1"],
        &["plan", "set", "golden", "books=1"],
        &["tenant", "change-plan", "shop-1", "golden"],
        &["tenant", "limit", "set", "shop-1", "books=9", "--until", "2026-01-01T00:00:00Z", "--reason", "Late"],
        &["tenant", "limit", "clear", "shop-1", "books"],
        &["tenant", "limit", "list", "nobody"],
    ] {
        assert!(!run(arguments).status.success(), "{arguments:?}");
    }
    assert_eq!(queue.ask(actions).await, acts, "what is refused leaves no entry");
}
