//! Two who set the same thing for the first time at once: one comes after the other, and knows of it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use shelfwise::kernel::clock::SystemClock;

use super::{noted, trail, update};
use crate::harness::World;
use crate::harness::cluster::psql_of;

/// How long two may take.
const BOTH_WITHIN: Duration = Duration::from_secs(30);

/// Two shops in a database of their own, and who looks at it.
struct Site {
    world: World,
    psql: tokio_postgres::Client,
    name: String,
}

impl Site {
    /// Runs two acts, and lets neither end before both are under way: what `lock` holds, they need last of all.
    async fn both<T>(&self, lock: &str, one: impl Future<Output = T>, two: impl Future<Output = T>) -> (T, T) {
        let holder = psql_of(&self.name).await;
        holder.batch_execute(&format!("BEGIN; {lock}")).await.unwrap();
        let release = async {
            let waiting = "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted AND pid IN
                (SELECT pid FROM pg_stat_activity WHERE datname = current_database())";
            while self.psql.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) < 2 {
                tokio::task::yield_now().await;
            }
            holder.batch_execute("ROLLBACK").await.unwrap();
        };
        let all = async { tokio::join!(one, two, release) };
        let (one, two, ()) = tokio::time::timeout(BOTH_WITHIN, all).await.expect("both come to an end");
        (one, two)
    }

    /// Sends a mutation of operators, which must be right.
    async fn act(&self, mutation: &str) {
        let data = self
            .world
            .admin()
            .data(&format!("mutation {{ r: {mutation} {{ userErrors {{ code }} }} }}"), json!({}))
            .await;
        assert_eq!(data["r"]["userErrors"], json!([]), "{mutation}");
    }
}

/// The second entry begins with what the first one ends with, and that one with nothing.
fn follow(entries: &[(Value, Value)]) {
    assert_eq!(entries.len(), 2, "{entries:?}");
    assert_eq!((&entries[0].0, &entries[1].0), (&json!(null), &entries[0].1), "{entries:?}");
    assert_ne!(entries[0].1, entries[1].1);
}

#[tokio::test]
async fn of_two_that_set_something_first_the_second_knows_of_the_first() {
    let (world, name) = World::start_alone(Arc::new(SystemClock), &[]).await;
    let site = Site { world, psql: psql_of(&name).await, name };
    let slug = site.world.a.slug.as_str();
    let trails = "LOCK TABLE control.admin_audit IN SHARE MODE";
    let flag = |percent: i32| {
        format!(
            "flagUpdate(name: \"stock_low_on_update\", input: {{ percent: {percent}, owner: \"Ann\", endsOn: \"2099-03-31\" }})"
        )
    };
    let plan = |value: i32| format!("planSettingUpdate(plan: \"business\", name: CATALOG_STOCK_LOW, value: {value})");
    let tenant = |value: i32| format!("tenantSettingUpdate(slug: \"{slug}\", name: CATALOG_STOCK_LOW, value: {value})");
    for (target, one, two) in
        [("stock_low_on_update", flag(10), flag(20)), ("business", plan(4), plan(5)), (slug, tenant(6), tenant(7))]
    {
        site.both(trails, site.act(&one), site.act(&two)).await;
        let entries = noted(&site.psql, target).await;
        let ends = |(_, details): &(String, Value)| (details["before"].clone(), details["after"].clone());
        follow(&entries.iter().map(ends).collect::<Vec<_>>());
    }

    let owner = site.world.owner();
    let head = format!(r#"SELECT FROM "{}".tenant_head FOR UPDATE"#, site.world.a.schema);
    let (one, two) = (json!(8), json!(9));
    site.both(&head, update(&owner, "CATALOG_STOCK_LOW", one), update(&owner, "CATALOG_STOCK_LOW", two)).await;
    let entries = trail(&site.psql, &site.world.a).await;
    follow(&entries.into_iter().map(|(_, _, before, after)| (before, after)).collect::<Vec<_>>());
    site.world.end().await;
}
