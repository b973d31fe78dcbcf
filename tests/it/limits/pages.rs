//! The greatest page of a plan.

use serde_json::json;
use shelfwise::kernel::limits::LimitKind;

use super::limit;
use crate::harness::world;

#[tokio::test]
async fn a_page_beyond_the_plans_is_refused_wherever_it_stands_and_nothing_runs() {
    world(async |world| {
        limit(world, LimitKind::PageSize, 30).await;
        let owner = world.owner();
        for query in [
            "query($n: Int = 31) { books(first: $n) { totalCount } }",
            "{ books(last: 31) { totalCount } }",
            "{ books(first: 2) { nodes { authors(first: 31) { nodes { name } } } } }",
            "{ ...F } fragment F on Query { authors(first: 31) { totalCount } }",
            "{ node(id: \"book_x\") { ... on Book { authors(first: 31) { nodes { name } } } } }",
            // One that no plan has does not hide it.
            "{ a: books(first: 101) { totalCount } b: books(first: 31) { totalCount } }",
        ] {
            let response = owner.gql(query, json!({})).await;
            response.assert_refused(400, "BAD_REQUEST");
            let message = response.body["errors"][0]["message"].as_str().unwrap();
            assert_eq!(message, "On this shop's plan a page has 1 to 30 items.", "{query}");
        }
        let sent = owner.gql("query($n: Int) { books(first: $n) { totalCount } }", json!({ "n": 31 })).await;
        sent.assert_refused(400, "BAD_REQUEST");
        owner.data("{ books(first: 30) { totalCount } authors { totalCount } }", json!({})).await;
        world.other_owner().data("{ books(first: 100) { totalCount } }", json!({})).await;
        assert_eq!(owner.gql("{ books(first: 101) { totalCount } }", json!({})).await.code(), "BAD_REQUEST");
    })
    .await;
}
