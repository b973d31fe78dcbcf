//! Futures that are dropped at any point: no row of another shop, no storm of connections, no lost connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use diesel::sql_types::Text;
use shelfwise::app::App;
use shelfwise::db::{DbError, TenantTx};
use shelfwise::kernel::tenant::TenantCtx;

use crate::harness::chance::{Random, dropped_after};
use crate::harness::cluster::psql;
use crate::harness::world::{shop, world_with};

#[derive(diesel::QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}

/// Reads the shop's canary twice, in statements that depend on each other.
async fn read(app: &App, tenant: &Arc<TenantCtx>) -> Result<Vec<String>, DbError> {
    let session = app.services.tenants.session(Arc::clone(tenant));
    let canary = || diesel::sql_query("SELECT name FROM authors WHERE name_key LIKE 'canary%'");
    let read = session.read().await?;
    let (mut names, more) = tokio::try_join!(read.load::<_, Name, _>(canary()), read.load::<_, Name, _>(canary()))?;
    names.extend(more);
    names.extend(session.read().await?.load::<_, Name, _>(canary()).await?);
    session.finish().await;
    Ok(names.into_iter().map(|row| row.name).collect())
}

/// Writes and rolls back, so that a lost rollback would be seen.
async fn write(app: &App, tenant: &Arc<TenantCtx>) -> Result<(), DbError> {
    let session = app.services.tenants.session(Arc::clone(tenant));
    let work = async |tx: &mut TenantTx| {
        tx.execute(diesel::sql_query("UPDATE authors SET version = version + 1 WHERE name_key LIKE 'canary%'")).await?;
        Err::<(), _>(DbError::Other("meant to be rolled back".to_owned()))
    };
    match session.write(work).await {
        Err(DbError::Other(message)) if message == "meant to be rolled back" => Ok(()),
        other => other,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_operations_never_show_another_shops_rows() {
    world_with(&[("DB_POOL_MAX", "8"), ("DB_CHECKOUT_TIMEOUT_MS", "20000")], async |world| {
        let mut tenants = Vec::new();
        for _ in 0..4 {
            let tenant = shop(&world.app, "c").await;
            let insert = format!(
                r#"INSERT INTO "{}".authors (id, name, name_key, created_at, updated_at)
                   VALUES (gen_random_uuid(), '{}', 'canary', now(), now())"#,
                tenant.schema, tenant.slug
            );
            psql().await.execute(&insert, &[]).await.unwrap();
            tenants.push(tenant);
        }
        let tenants = Arc::new(tenants);
        let (answered, dropped) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let tasks: Vec<_> = (0..16_u64)
            .map(|task| {
                let (app, tenants) = (Arc::clone(&world.app), Arc::clone(&tenants));
                let (answered, dropped) = (Arc::clone(&answered), Arc::clone(&dropped));
                tokio::spawn(async move {
                    let mut random = Random::new(task, 0);
                    for _ in 0..250 {
                        let tenant = &tenants[random.below(4) as usize];
                        let polls = if random.below(2) == 0 { u32::MAX } else { random.below(9) as u32 };
                        if random.below(4) == 0 {
                            if let Some(result) = dropped_after(polls, write(&app, tenant)).await {
                                result.unwrap();
                            }
                            continue;
                        }
                        match dropped_after(polls, read(&app, tenant)).await {
                            Some(names) => {
                                let names = names.unwrap();
                                assert_eq!(names, vec![tenant.slug.to_string(); 3], "rows of another shop");
                                answered.fetch_add(1, Ordering::Relaxed);
                            }
                            None => {
                                dropped.fetch_add(1, Ordering::Relaxed);
                            }
                        }
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        world.assert_nothing_borrowed().await;

        let (answered, dropped) = (answered.load(Ordering::Relaxed), dropped.load(Ordering::Relaxed));
        assert!(answered > 1_000 && dropped > 500, "{answered} answered, {dropped} dropped");
        let created = world.app.services.tenants.connections_created();
        assert!(created <= 16, "{created} connections for a pool of 8: a storm");
        for tenant in tenants.iter() {
            let query = format!(r#"SELECT max(version) FROM "{}".authors"#, tenant.schema);
            let version: i32 = psql().await.query_one(&query, &[]).await.unwrap().get(0);
            assert_eq!(version, 1, "a write that was rolled back has stayed");
        }
    })
    .await;
}

#[tokio::test]
async fn an_abandoned_statement_is_cancelled_and_the_next_borrower_does_not_wait_for_it() {
    world_with(&[("DB_POOL_MAX", "1"), ("DB_CHECKOUT_TIMEOUT_MS", "5000")], async |world| {
        let sleep = async {
            let session = world.app.services.tenants.session(Arc::clone(&world.a));
            let read = session.read().await.unwrap();
            read.load::<_, Name, _>(diesel::sql_query("SELECT 'x' AS name FROM pg_sleep(30)")).await
        };
        assert!(tokio::time::timeout(Duration::from_millis(200), sleep).await.is_err());

        let started = Instant::now();
        read(&world.app, &world.b).await.unwrap();
        assert!(started.elapsed() < Duration::from_secs(3), "waited {:?}", started.elapsed());
        let query = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(30)%' AND state = 'active' AND pid <> pg_backend_pid()";
        let still: i64 = psql().await.query_one(query, &[]).await.unwrap().get(0);
        assert_eq!(still, 0, "the server still sleeps");
    })
    .await;
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_no_transaction_open() {
    world_with(&[("DB_POOL_MAX", "2")], async |world| {
        let owner = world.owner();
        let query = "mutation { authorCreate(input: { name: \"Left Behind\" }) { author { id } } }";
        for milliseconds in [0, 1, 2, 3, 5, 8] {
            let request = owner.request(query, serde_json::json!({})).send();
            let _ = tokio::time::timeout(Duration::from_millis(milliseconds), request).await;
        }
        world.assert_nothing_borrowed().await;
        let data = owner.data("{ authors { totalCount } }", serde_json::json!({})).await;
        assert!(data["authors"]["totalCount"].as_i64().unwrap() <= 1);
        let query = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%' AND xact_start < now() - interval '2 seconds' AND query LIKE $1";
        let open: i64 = psql().await.query_one(query, &[&format!("%{}%", world.a.schema)]).await.unwrap().get(0);
        assert_eq!(open, 0);
    })
    .await;
}

#[tokio::test]
async fn a_killed_backend_costs_one_answer_and_no_more() {
    world_with(&[("DB_POOL_MAX", "1")], async |world| {
        let owner = world.owner();
        owner.data("{ books { totalCount } }", serde_json::json!({})).await;
        let session = world.app.services.tenants.session(Arc::clone(&world.a));
        let pid: Name = session
            .read()
            .await
            .unwrap()
            .one(diesel::sql_query("SELECT pg_backend_pid()::text AS name"))
            .await
            .unwrap();
        session.finish().await;
        drop(session);
        // Waits until it is gone: killed later, it would cost a later answer.
        let kill = "SELECT pg_terminate_backend($1, 20000)";
        psql().await.execute(kill, &[&pid.name.parse::<i32>().unwrap()]).await.unwrap();

        let mut codes = Vec::new();
        for _ in 0..3 {
            codes.push(owner.gql("{ books { totalCount } }", serde_json::json!({})).await.code().to_owned());
        }
        assert!(codes.iter().filter(|code| !code.is_empty()).count() <= 1, "{codes:?}");
        assert_eq!(codes[2], "");
    })
    .await;
}

#[tokio::test]
async fn of_a_mutation_whose_commit_is_not_answered_it_is_said_that_nobody_knows() {
    world_with(&[], async |world| {
        // What ends the backend at the COMMIT: of what was kept and could not be told the client sees as much.
        let schema = world.a.schema.as_str();
        let script = format!(
            r#"CREATE FUNCTION "{schema}".die() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
                   'BEGIN PERFORM pg_catalog.pg_terminate_backend(pg_catalog.pg_backend_pid()); RETURN NULL; END';
               CREATE CONSTRAINT TRIGGER die AFTER INSERT ON "{schema}".authors DEFERRABLE INITIALLY DEFERRED
                   FOR EACH ROW EXECUTE FUNCTION "{schema}".die()"#
        );
        psql().await.batch_execute(&script).await.unwrap();
        let create = r#"mutation { authorCreate(input: { name: "Jane Austen" }) { author { id } } }"#;
        let answer = world.owner().gql(create, serde_json::json!({})).await;
        assert_eq!(answer.code(), "SERVICE_UNAVAILABLE", "{}", answer.body);
        let error = &answer.body["errors"][0];
        assert!(error["message"].as_str().unwrap().contains("may have been done or not"), "{error}");
        assert_eq!(error["extensions"].get("retryAfterSeconds"), None, "{error}");
        assert!(!answer.headers.contains_key("retry-after"));

        psql().await.batch_execute(&format!(r#"DROP FUNCTION "{schema}".die CASCADE"#)).await.unwrap();
        assert!(world.owner().data(create, serde_json::json!({})).await["authorCreate"]["author"]["id"].is_string());
    })
    .await;
}
