//! What breaks behind PgBouncer, and what it breaks off itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel::sql_types::Text;
use serde_json::json;
use shelfwise::kernel::clock::Clock as _;

use super::{raw, through};
use crate::harness::cluster::psql;

#[derive(diesel::QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}

const BOOKS: &str = "{ books { totalCount } }";

#[tokio::test]
async fn an_abandoned_statement_is_cancelled_on_its_backend() {
    through(1, "", &[("DB_POOL_MAX", "1"), ("DB_CHECKOUT_TIMEOUT_MS", "5000")], async |world, _| {
        let marker = shelfwise::kernel::clock::SystemClock.new_id();
        let sleep = async {
            let session = world.app.services.tenants.session(Arc::clone(&world.a));
            let read = session.read().await.unwrap();
            let query = format!("SELECT '{marker}' AS name FROM pg_sleep(30)");
            read.load::<_, Name, _>(diesel::sql_query(query)).await
        };
        assert!(tokio::time::timeout(Duration::from_millis(300), sleep).await.is_err());

        let started = Instant::now();
        // The only backend was the sleeper's.
        world.other_owner().data(BOOKS, json!({})).await;
        assert!(started.elapsed() < Duration::from_secs(3), "waited {:?}", started.elapsed());
        let query = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE $1 AND state = 'active' AND pid <> pg_backend_pid()";
        let still: i64 = psql().await.query_one(query, &[&format!("%{marker}%")]).await.unwrap().get(0);
        assert_eq!(still, 0, "the server still sleeps");
    })
    .await;
}

#[tokio::test]
async fn a_backend_that_dies_under_a_transaction_costs_that_answer_alone() {
    through(1, "", &[("DB_POOL_MAX", "1")], async |world, _| {
        let session = world.app.services.tenants.session(Arc::clone(&world.a));
        let read = session.read().await.unwrap();
        let pid: Name = read.one(diesel::sql_query("SELECT pg_backend_pid()::text AS name")).await.unwrap();
        // Waits until it is gone.
        let kill = "SELECT pg_terminate_backend($1, 20000)";
        psql().await.execute(kill, &[&pid.name.parse::<i32>().unwrap()]).await.unwrap();
        let error = read.load::<_, Name, _>(diesel::sql_query("SELECT 'x' AS name")).await.err().unwrap();
        assert!(error.is_unavailable(), "{error:?}");
        drop((read, session));

        assert_eq!(world.owner().data(BOOKS, json!({})).await["books"]["totalCount"], 0);
    })
    .await;
}

#[tokio::test]
async fn who_waits_too_long_for_a_backend_is_told_to_come_again() {
    through(1, "query_wait_timeout = 1", &[("DB_POOL_MAX", "2")], async |world, pooler| {
        world.owner().data(BOOKS, json!({})).await;
        let holder = raw(pooler).await;
        holder.batch_execute("BEGIN").await.unwrap();

        let response = world.owner().gql(BOOKS, json!({})).await;

        assert_eq!(response.code(), "SERVICE_UNAVAILABLE", "{}", response.body);
        holder.batch_execute("COMMIT").await.unwrap();
        assert_eq!(world.owner().data(BOOKS, json!({})).await["books"]["totalCount"], 0);
    })
    .await;
}

#[tokio::test]
async fn what_one_server_changes_the_other_hears_by_the_direct_way() {
    through(2, "", &[], async |world, _| {
        let second = world.twin().await;
        let rename =
            "mutation($slug: String!) { tenantPlanChange(slug: $slug, plan: \"enterprise\") { userErrors { code } } }";
        world.admin().data(rename, json!({ "slug": world.a.slug.as_str() })).await;
        for server in [world, &second] {
            server.context_when(|context| context.plan == "enterprise").await;
        }
        second.end().await;
    })
    .await;
}
