//! Where a transaction stands is told within it, and nowhere else.

use std::collections::BTreeSet;
use std::sync::Arc;

use diesel::sql_types::{Integer, Text};
use futures_util::future::join_all;
use serde_json::json;
use shelfwise::kernel::tenant::TenantCtx;

use super::{raw, through};
use crate::graphql_helpers::book;
use crate::harness::World;
use crate::isolation::reuse::one_id_in_both;

#[derive(diesel::QueryableByName)]
struct Backend {
    #[diesel(sql_type = Integer)]
    pid: i32,
    #[diesel(sql_type = Text)]
    place: String,
}

/// The backend that serves a shop, and where it stands.
async fn place(world: &World, shop: &Arc<TenantCtx>) -> (i32, String) {
    let session = world.app.services.tenants.session(Arc::clone(shop));
    let query = "SELECT pg_backend_pid() AS pid, concat_ws(' ', current_schema(), current_user, session_user) AS place";
    let backend: Backend = session.read().await.unwrap().one(diesel::sql_query(query)).await.unwrap();
    session.finish().await;
    (backend.pid, backend.place)
}

#[tokio::test]
async fn one_backend_behind_many_connections_is_in_the_right_place_each_time() {
    through(1, "", &[("DB_POOL_MAX", "4")], async |world, _| {
        let shops = [&world.a, &world.b].repeat(20);
        let places = join_all(shops.iter().map(|shop| place(world, shop))).await;
        for (shop, (_, place)) in shops.iter().zip(&places) {
            let schema = shop.schema.as_str();
            assert_eq!(*place, format!("{schema} {schema} shelfwise"));
        }
        let backends: BTreeSet<i32> = places.iter().map(|(pid, _)| *pid).collect();
        assert_eq!(backends.len(), 1, "all of them on one backend");
        assert_eq!(world.app.services.tenants.connections_created(), 4, "by several connections");
    })
    .await;
}

#[tokio::test]
async fn what_a_session_sets_does_leak_and_so_nothing_rests_on_it() {
    through(1, "", &[], async |world, pooler| {
        book(&world.owner(), json!({ "title": "Mine" })).await;
        // What the servers keep of the registry: to ask for it now would be to ask as whoever was careless.
        world.other_owner().data("{ books { totalCount } }", json!({})).await;
        let (careless, next) = (raw(pooler).await, raw(pooler).await);
        let schema = &world.a.schema;
        careless.batch_execute(&format!(r#"SET search_path TO "{schema}"; SET ROLE "{schema}""#)).await.unwrap();

        // Another client finds itself in the shop: the unsafe way is unsafe here.
        let seen = next.simple_query("SELECT title FROM books").await.unwrap();
        assert!(format!("{seen:?}").contains("Mine"), "{seen:?}");

        // Ours do not care where the backend was left.
        let (a, b) = (place(world, &world.a).await, place(world, &world.b).await);
        assert_eq!((a.0, a.1), (b.0, format!("{schema} {schema} shelfwise")));
        assert_eq!(b.1, format!("{0} {0} shelfwise", world.b.schema));
        let books = world.other_owner().data("{ books { nodes { title } } }", json!({})).await;
        assert_eq!(books["books"]["nodes"], json!([]));
        careless.batch_execute("RESET ROLE; RESET search_path").await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn two_shops_with_one_id_by_two_servers_and_fewer_backends_see_each_its_own() {
    through(2, "", &[("DB_POOL_MAX", "8"), ("DB_CHECKOUT_TIMEOUT_MS", "20000")], async |world, _| {
        let (id, psql) = one_id_in_both(world).await;
        let second = world.twin().await;
        let query = "query($id: ID!) { book(id: $id) { title authors { nodes { name } } } node(id: $id) { id } }";
        let ask = async |round: usize| {
            let server = [world, &second][round % 2];
            let (mine, theirs) = (server.owner(), server.other_owner());
            let (a, b) = tokio::join!(mine.data(query, json!({ "id": id })), theirs.data(query, json!({ "id": id })));
            assert_eq!((&a["book"]["title"], &b["book"]["title"]), (&json!("Mine"), &json!("Theirs")));
        };
        join_all((0..40).map(ask)).await;
        second.end().await;
        psql.execute(&format!(r#"DELETE FROM "{}".books"#, world.b.schema), &[]).await.unwrap();
    })
    .await;
}
