//! Statements that are prepared on a backend which somebody else has next.

use std::sync::Arc;

use diesel::sql_types::Text;
use serde_json::json;

use super::{raw, through};
use crate::graphql_helpers::book;
use crate::harness::World;

#[derive(diesel::QueryableByName, Debug)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}

/// The names of the statements that are prepared on the backend while it is asked for them.
async fn prepared(world: &World) -> Vec<String> {
    let session = world.app.services.tenants.session(Arc::clone(&world.a));
    let query = diesel::sql_query("SELECT name::text AS name FROM pg_prepared_statements ORDER BY 1");
    let names: Vec<Name> = session.read().await.unwrap().load(query).await.unwrap();
    session.finish().await;
    names.into_iter().map(|row| row.name).collect()
}

#[tokio::test]
async fn no_transaction_leaves_a_statement_behind() {
    through(1, "", &[], async |world, pooler| {
        if pooler.keeps_statements() {
            return;
        }
        let owner = world.owner();
        book(&owner, json!({ "title": "Mine" })).await;
        owner.data("{ books { nodes { title authors { nodes { name } } } } }", json!({})).await;
        let refused = owner
            .data(
                "mutation { bookArchive(id: \"book_01h455vb4pex5vsknk084sn02q\") { userErrors { code } } }",
                json!({}),
            )
            .await;
        assert_eq!(refused["bookArchive"]["userErrors"][0]["code"], "BOOK_NOT_FOUND");
        // What anybody may look for who asks without preparing anything.
        let left = raw(pooler).await.simple_query("SELECT name FROM pg_prepared_statements").await.unwrap();
        assert_eq!(left.len(), 2, "a description and an end, and no row: {left:?}");
    })
    .await;
}

#[tokio::test]
async fn statements_of_others_under_the_same_names_are_in_nobodys_way() {
    through(1, "", &[("DB_POOL_MAX", "3")], async |world, pooler| {
        if pooler.keeps_statements() {
            return;
        }
        let owner = world.owner();
        book(&owner, json!({ "title": "Mine" })).await;
        // The driver counts: another process counts as well, and this one will come to these names next.
        let names = prepared(world).await;
        let number = names.iter().filter_map(|name| name.strip_prefix('s')?.parse::<usize>().ok()).max().unwrap();
        let theirs: Vec<String> =
            (number + 1..number + 3_000).map(|number| format!("PREPARE s{number} AS SELECT 1")).collect();
        let theirs = theirs.join("; ");
        let other = raw(pooler).await;
        for round in 1..=3 {
            // Some that a process prepared which has died since.
            let _ = other.batch_execute(&theirs).await;
            let books = owner.data("{ books { totalCount } }", json!({})).await;
            assert_eq!(books["books"]["totalCount"], round);
            book(&owner, json!({ "title": format!("Mine {round}") })).await;
        }
        let second = world.twin().await;
        let _ = other.batch_execute(&theirs).await;
        let books = second.owner().data("{ books { totalCount } }", json!({})).await;
        assert_eq!(books["books"]["totalCount"], 4, "a connection that is made anew asks beside them too");
        second.end().await;
    })
    .await;
}

#[tokio::test]
async fn looks_of_health_rest_on_no_statement_of_the_look_before() {
    through(1, "", &[("HEALTH_INTERVAL_SECONDS", "1")], async |world, pooler| {
        let other = raw(pooler).await;
        let health = &world.app.services.health;
        for round in 1..=3 {
            while health.looks() < round {
                assert!(health.is_ready().await, "look {round}");
            }
            // Whoever has the backend next leaves nothing of it, as ourselves do.
            other.batch_execute("DEALLOCATE ALL").await.unwrap();
        }
        assert!(health.is_ready().await);
    })
    .await;
}
