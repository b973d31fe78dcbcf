//! One backend serves both shops in turn, through errors and broken-off requests.

use std::sync::Arc;

use diesel::sql_types::{Integer, Text};
use serde_json::json;
use shelfwise::db::probe::probe;
use shelfwise::db::{DbError, TenantTx};

use crate::graphql_helpers::book;
use crate::harness::World;
use crate::harness::cluster::psql;
use crate::harness::world::world_with;

#[derive(diesel::QueryableByName)]
struct Backend {
    #[diesel(sql_type = Integer)]
    pid: i32,
    #[diesel(sql_type = Text)]
    place: String,
}

const ONE_CONNECTION: &[(&str, &str)] = &[("DB_POOL_MAX", "1")];

#[tokio::test]
async fn the_same_backend_is_in_the_right_place_each_time() {
    world_with(ONE_CONNECTION, async |world| {
        let place = async |shop: &Arc<_>| {
            let session = world.app.services.tenants.session(Arc::clone(shop));
            let query =
                "SELECT pg_backend_pid() AS pid, concat_ws(' ', current_schema(), current_user, session_user) AS place";
            let read = session.read().await.unwrap();
            let backend: Backend = read.one(diesel::sql_query(query)).await.unwrap();
            session.finish().await;
            (backend.pid, backend.place)
        };
        let expected = |schema: &str| format!("{schema} {schema} shelfwise");
        let (pid, first) = place(&world.a).await;
        assert_eq!(first, expected(world.a.schema.as_str()));
        for shop in [&world.b, &world.a, &world.b] {
            assert_eq!(place(shop).await, (pid, expected(shop.schema.as_str())));
        }
    })
    .await;
}

#[tokio::test]
async fn errors_and_rollbacks_leave_nothing_behind() {
    world_with(ONE_CONNECTION, async |world| {
        book(&world.owner(), json!({ "title": "Mine" })).await;
        let failing = async |sql: &str| {
            let session = world.app.services.tenants.session(Arc::clone(&world.a));
            let work = async |tx: &mut TenantTx| tx.execute(diesel::sql_query(sql)).await;
            assert!(session.write::<_, DbError>(work).await.is_err(), "{sql}");
        };
        let titles = async || {
            let query = "{ books { nodes { title } } }";
            let (a, b) = (world.owner().data(query, json!({})).await, world.other_owner().data(query, json!({})).await);
            (a["books"]["nodes"].clone(), b["books"]["nodes"].clone())
        };
        let expected = (json!([{ "title": "Mine" }]), json!([]));
        for sql in [
            "SELECT 1/0",
            "SELECT * FROM no_such_table",
            "INSERT INTO books (id) VALUES (gen_random_uuid())",
            "SAVEPOINT s; SELECT 1/0",
            "ROLLBACK TO SAVEPOINT no_such",
        ] {
            failing(sql).await;
            assert_eq!(titles().await, expected, "{sql}");
        }
        // A mutation that is refused halfway keeps nothing.
        let query = "mutation { bookCreate(input: { title: \"X\", isbn: \"9780306406157\", authorIds: [\"author_01h455vb4pex5vsknk084sn02q\"] }) { userErrors { code } } }";
        let response = world.owner().data(query, json!({})).await;
        assert_eq!(response["bookCreate"]["userErrors"][0]["code"], "AUTHOR_NOT_FOUND");
        assert_eq!(titles().await, expected);
        assert_eq!(world.app.services.tenants.connections_created(), 1, "no error cost the connection");
    })
    .await;
}

/// Adds a book to shop A and another of the same id to shop B, called `Mine` and `Theirs`. Answers the id, and who may remove the
/// other one again.
pub async fn one_id_in_both(world: &World) -> (String, tokio_postgres::Client) {
    let id = book(&world.owner(), json!({ "title": "Mine" })).await;
    let psql = psql().await;
    let copy = format!(
        r#"INSERT INTO "{}".books (id, title, title_key, authors_key, created_at, updated_at)
           SELECT id, 'Theirs', 'theirs', '', created_at, updated_at FROM "{}".books"#,
        world.b.schema, world.a.schema
    );
    psql.execute(&copy, &[]).await.unwrap();
    (id, psql)
}

#[tokio::test]
async fn the_same_id_is_two_books_in_two_shops() {
    world_with(&[], async |world| {
        let (id, psql) = one_id_in_both(world).await;
        let query = "query($id: ID!) { book(id: $id) { title authors { nodes { name } } } node(id: $id) { id } }";
        let (owner, other) = (world.owner(), world.other_owner());
        for _ in 0..20 {
            let (a, b) = tokio::join!(owner.data(query, json!({ "id": id })), other.data(query, json!({ "id": id })));
            assert_eq!((&a["book"]["title"], &b["book"]["title"]), (&json!("Mine"), &json!("Theirs")));
        }
        psql.execute(&format!(r#"DELETE FROM "{}".books"#, world.b.schema), &[]).await.unwrap();
    })
    .await;
}

/// PostgreSQL's own lists of members can be behind, which cannot be brought about here: that the role is not granted looks the same.
#[tokio::test]
async fn a_backend_that_lets_a_shop_not_in_serves_nobody_any_more() {
    world_with(ONE_CONNECTION, async |world| {
        let (query, tenants) = ("{ books { totalCount } }", &world.app.services.tenants);
        for client in [world.owner(), world.other_owner()] {
            client.data(query, json!({})).await;
        }
        assert_eq!(tenants.connections_created(), 1);
        let psql = psql().await;
        psql.batch_execute(&format!(r#"REVOKE "{}" FROM shelfwise"#, world.a.schema)).await.unwrap();
        assert_eq!(world.owner().gql(query, json!({})).await.code(), "SERVICE_UNAVAILABLE");
        world.other_owner().data(query, json!({})).await;
        assert_eq!(tenants.connections_created(), 2);
        // Who is not let in at all has not tried to break out.
        let tried = probe(tenants, &world.a, &world.b.schema).await;
        assert!(matches!(tried, Err(DbError::Barred(_))), "{tried:?}");

        psql.batch_execute(&format!(r#"GRANT "{}" TO shelfwise"#, world.a.schema)).await.unwrap();
        world.owner().data(query, json!({})).await;
        assert_eq!(probe(tenants, &world.a, &world.b.schema).await.unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn a_connection_is_retired_after_so_many_tenants() {
    world_with(&[("DB_POOL_MAX", "1"), ("DB_TENANTS_PER_CONNECTION_MAX", "1")], async |world| {
        let query = "{ books { totalCount } }";
        for _ in 0..3 {
            world.owner().data(query, json!({})).await;
        }
        assert_eq!(world.app.services.tenants.connections_created(), 1, "one tenant is within the bound");
        world.other_owner().data(query, json!({})).await;
        world.assert_nothing_borrowed().await;
        world.owner().data(query, json!({})).await;
        assert_eq!(world.app.services.tenants.connections_created(), 2, "the second tenant was one too many");
    })
    .await;
}

#[tokio::test]
async fn a_transaction_in_the_wrong_place_answers_nothing_and_costs_its_connection() {
    world_with(ONE_CONNECTION, async |world| {
        let owner = world.owner();
        book(&owner, json!({ "title": "Mine" })).await;
        let psql = crate::harness::cluster::psql().await;
        let stamp = async |id: uuid::Uuid| {
            let update = format!(r#"UPDATE "{}".tenant_stamp SET tenant_id = $1"#, world.a.schema);
            psql.execute(&update, &[&id]).await.unwrap();
        };
        // The schema says that it is another's: as if the path had led there.
        stamp(world.b.id.0).await;
        let query = "{ books { nodes { title } } }";
        let write = "mutation { authorCreate(input: { name: \"X\" }) { author { id } } }";
        for (count, operation) in [(1, query), (2, write)] {
            let response = owner.gql(operation, json!({})).await;
            assert_eq!(response.code(), "INTERNAL_ERROR");
            assert!(!response.body.to_string().contains("Mine"), "{}", response.body);
            assert_eq!(world.app.services.tenants.violations(), count);
        }
        stamp(world.a.id.0).await;
        assert_eq!(owner.data(query, json!({})).await["books"]["nodes"], json!([{ "title": "Mine" }]));
        assert_eq!(owner.data("{ authors { totalCount } }", json!({})).await["authors"]["totalCount"], 0);
        assert_eq!(
            world.app.services.tenants.connections_created(),
            3,
            "each misplaced transaction cost its connection"
        );
        let metrics = world.http.get(format!("{}/metrics", world.base_url)).send().await.unwrap().text().await.unwrap();
        assert!(metrics.contains("shelfwise_isolation_violations 2"));
    })
    .await;
}
