//! A rotation of a shop's key: customers' keys are sealed anew, and nobody notices.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use shelfwise::app::owner;
use shelfwise::config::database::DatabaseUrls;
use shelfwise::db::migrate::migrate_control;
use shelfwise::kernel::clock::{Clock as _, SystemClock};
use shelfwise::kernel::seal::sealed_by;
use shelfwise::worker::{handlers, work};
use tokio_postgres::Client as Psql;
use uuid::Uuid;

use super::order;
use crate::harness::World;
use crate::harness::cluster::{own_database, psql_of};

/// How long a worker may take to come to the job and do it.
const WITHIN: Duration = Duration::from_secs(60);

/// More customers than are sealed in one go.
const MANY: usize = 1_100;

/// Two shops in a database of their own: workers on one queue would steal each other's jobs.
async fn world_of(urls: &DatabaseUrls) -> World {
    migrate_control(&owner(urls).unwrap()).await.unwrap();
    World::start_over(urls, &[]).await
}

/// Enters many customers, below the API.
async fn enter_many(world: &World, psql: &Psql) {
    let ids: Vec<Uuid> = (0..MANY).map(|_| SystemClock.new_id()).collect();
    let vault = &world.app.services.vault;
    let keys: Vec<Vec<u8>> = ids.iter().map(|id| vault.subject_new(&world.a, *id).unwrap().1).collect();
    let insert = format!(
        r#"INSERT INTO "{}".customers (id, email_hash, subject_key, created_at)
           SELECT id, uuid_send(id), key, now() FROM unnest($1::uuid[], $2::bytea[]) AS new (id, key)"#,
        world.a.schema
    );
    psql.execute(&insert, &[&ids, &keys]).await.unwrap();
}

/// The customers' keys as they are stored, in the order of ids.
async fn stored(world: &World, psql: &Psql) -> Vec<Option<Vec<u8>>> {
    let query = format!(r#"SELECT subject_key FROM "{}".customers ORDER BY id"#, world.a.schema);
    psql.query(&query, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

/// Lets a worker come to the job, and answers when it has ended: in which state.
async fn worked(world: &World, psql: &Psql) -> String {
    let now = "UPDATE control.jobs SET state = 'available', scheduled_at = now(), finalized_at = NULL
               WHERE kind = 'keys.reseal'";
    assert_eq!(psql.execute(now, &[]).await.unwrap(), 1);
    let state = "SELECT state FROM control.jobs WHERE kind = 'keys.reseal' AND finalized_at IS NOT NULL";
    let ended = async {
        loop {
            if let Some(row) = psql.query_opt(state, &[]).await.unwrap() {
                return row.get(0);
            }
        }
    };
    let app = &world.app;
    tokio::select! {
        worked = work(Arc::clone(app), handlers(app), std::future::pending()) => panic!("{worked:?}"),
        ended = tokio::time::timeout(WITHIN, ended) => ended.expect("the job ends"),
    }
}

/// Rotates the shop's key, lets the new one begin, and answers its id.
async fn rotated(world: &World, psql: &Psql) -> Uuid {
    let rotate = "mutation($slug: String!) { tenantRotateKey(slug: $slug) { userErrors { code } } }";
    world.admin().data(rotate, json!({ "slug": world.a.slug.as_str() })).await;
    let waits = "SELECT jobs.state, jobs.payload->>'key' = keys->2->>'id',
            scheduled_at > (keys->2->>'from')::timestamptz + interval '4 minutes'
        FROM control.jobs JOIN control.tenants ON tenants.id = tenant_id WHERE kind = 'keys.reseal'";
    let row = psql.query_one(waits, &[]).await.unwrap();
    assert_eq!((row.get(0), row.get(1), row.get(2)), ("scheduled", true, true));
    let begin = "UPDATE control.tenants SET keys = jsonb_set(keys, '{2,from}', to_jsonb(now() - interval '1 minute'))
                 WHERE id = $1";
    psql.execute(begin, &[&world.a.id.0]).await.unwrap();
    let has_begun = |from| from < SystemClock.now();
    let context = world.context_when(|shop| shop.keys.0.get(2).is_some_and(|key| has_begun(key.from))).await;
    context.keys.0[2].id
}

#[tokio::test]
async fn a_rotation_has_all_customers_keys_sealed_anew_and_nobody_notices() {
    let (name, urls) = own_database().await;
    let (world, psql) = (world_of(&urls).await, psql_of(&name).await);
    let client = world.owner();
    let of_ann = order(&client, &[]).await;
    enter_many(&world, &psql).await;
    let erase = format!(
        r#"UPDATE "{}".customers SET subject_key = NULL, email_hash = NULL, erased_at = now()
           WHERE id = (SELECT max(id::text)::uuid FROM "{}".customers)"#,
        world.a.schema, world.a.schema
    );
    psql.execute(&erase, &[]).await.unwrap();
    let key = rotated(&world, &psql).await;
    let before = stored(&world, &psql).await;

    assert_eq!(worked(&world, &psql).await, "completed");

    let after = stored(&world, &psql).await;
    assert_eq!(after.len(), MANY + 1);
    assert_eq!(after.iter().flatten().count(), MANY, "who was erased stays erased");
    assert!(after.iter().flatten().all(|sealed| sealed_by(sealed) == Some(key)));
    assert!(before.iter().flatten().all(|sealed| sealed_by(sealed) != Some(key)));
    let query = "query($id: ID!) { order(id: $id) { customer { name email } }
        orders(filter: { customerEmail: \"ANN@customers.example\" }) { totalCount } }";
    let data = client.data(query, json!({ "id": of_ann })).await;
    assert_eq!(data["order"]["customer"], json!({ "name": "Ann Example", "email": "ann@customers.example" }));
    assert_eq!(data["orders"]["totalCount"], 1);
    // What is entered next is of the same customer, under the key that was sealed anew.
    order(&client, &[]).await;
    assert_eq!(client.data(query, json!({ "id": of_ann })).await["orders"]["totalCount"], 2);

    assert_eq!(worked(&world, &psql).await, "completed");
    assert_eq!(stored(&world, &psql).await, after, "twice changes nothing");
    world.end().await;
}

#[tokio::test]
async fn a_key_that_is_damaged_stops_no_other_and_is_told_of() {
    let (name, urls) = own_database().await;
    let (world, psql) = (world_of(&urls).await, psql_of(&name).await);
    let of_ann = order(&world.owner(), &[]).await;
    let insert = format!(
        r#"INSERT INTO "{}".customers (id, email_hash, subject_key, created_at)
           SELECT $1, 'x', subject_key, now() FROM "{}".customers"#,
        world.a.schema, world.a.schema
    );
    psql.execute(&insert, &[&Uuid::from_u128(1)]).await.unwrap();
    let key = rotated(&world, &psql).await;

    assert_eq!(worked(&world, &psql).await, "discarded");

    let sealed: Vec<bool> =
        stored(&world, &psql).await.iter().flatten().map(|sealed| sealed_by(sealed) == Some(key)).collect();
    assert_eq!(sealed, [false, true]);
    let why = "SELECT errors::text FROM control.jobs WHERE kind = 'keys.reseal'";
    let why: String = psql.query_one(why, &[]).await.unwrap().get(0);
    assert!(why.contains("the keys of 1 customers are not what was sealed"), "{why}");
    let query = "query($id: ID!) { order(id: $id) { customer { name } } }";
    let data: Value = world.owner().data(query, json!({ "id": of_ann })).await;
    assert_eq!(data["order"]["customer"]["name"], "Ann Example");
    world.end().await;
}
