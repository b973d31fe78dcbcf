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
        // A report has no pages.
        for rows in ["", ", first: 31", ", first: 366"] {
            let report =
                format!("{{ salesReport(from: \"2026-01-01\", to: \"2026-01-31\", by: DAY{rows}) {{ orderCount }} }}");
            assert_eq!(owner.data(&report, json!({})).await["salesReport"], json!([]));
        }
        assert_eq!(owner.gql("{ books(first: 101) { totalCount } }", json!({})).await.code(), "BAD_REQUEST");
    })
    .await;
}

#[tokio::test]
async fn a_report_costs_its_rows_and_one_that_costs_too_much_is_not_run() {
    world(async |world| {
        let owner = world.owner();
        let report = |first: i32, set: &str| {
            format!("{{ salesReport(from: \"2026-01-01\", to: \"2026-01-31\", by: BOOK, first: {first}) {{ {set} }} }}")
        };
        let response = owner.gql(&report(366, "title orderCount"), json!({})).await;
        assert_eq!((response.status, &response.body["extensions"]["cost"]["requested"]), (200, &json!(1 + 366 * 2)));
        let deep = report(366, "book { category { children { children { name } } } }");
        owner.gql(&deep, json!({})).await.assert_refused(400, "QUERY_TOO_COMPLEX");
    })
    .await;
}
