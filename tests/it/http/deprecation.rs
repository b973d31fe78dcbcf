//! What answers tell of what goes away.

use serde_json::json;

use crate::harness::world;

const TODAY: &str = "2026-11-28";

#[tokio::test]
async fn an_answer_tells_which_parts_go_away_and_when() {
    world(async |world| {
        let owner = world.owner();
        let query = "query($query: String, $sort: OrderSortInput) {
            books(query: $query) { nodes { title priceCents } } orders(sort: $sort) { nodes { total } } }";
        let answer = owner.gql(query, json!({ "query": "x", "sort": { "field": "TOTAL" } })).await;
        assert_eq!((answer.status, answer.code()), (200, ""), "{}", answer.body);
        let told = |part: &str, instead: &str, removal: &str| {
            json!({ "part": part, "instead": instead, "deprecatedOn": TODAY, "removalOn": removal })
        };
        assert_eq!(
            answer.body["extensions"]["deprecations"],
            json!([
                told("Book.priceCents", "price", "2027-07-01"),
                told("Order.total", "totalPrice", "2027-07-01"),
                told("OrderSortField.TOTAL", "TOTAL_PRICE", "2027-07-01"),
                told("Query.books(query:)", "search", "2027-10-01"),
            ])
        );
        // The earliest of each.
        assert_eq!(answer.headers["deprecation"], "@1795824000");
        assert_eq!(answer.headers["sunset"], "Thu, 01 Jul 2027 00:00:00 GMT");
        assert_eq!(answer.headers["link"], r#"</deprecations>; rel="deprecation"; type="text/markdown""#);
    })
    .await;
}

#[tokio::test]
async fn who_uses_nothing_that_goes_away_is_told_nothing() {
    world(async |world| {
        let owner = world.owner();
        let answer = owner.gql("{ books(search: \"x\") { nodes { title price { amount } } } }", json!({})).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.body["extensions"].get("deprecations"), None);
        for header in ["deprecation", "sunset", "link"] {
            assert!(!answer.headers.contains_key(header), "{header}");
        }
        // Nor is who is refused before anything is known of the document.
        let answer = owner.gql("{ books(query: ", json!({})).await;
        answer.assert_refused(400, "BAD_REQUEST");
        assert!(!answer.headers.contains_key("deprecation"));
    })
    .await;
}

#[tokio::test]
async fn the_link_leads_to_the_list_of_all_parts() {
    world(async |world| {
        let answer = world.http.get(format!("{}/deprecations", world.base_url)).send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], "text/markdown; charset=utf-8");
        let text = answer.text().await.unwrap();
        assert!(text.contains("| `Order.total` | `totalPrice` | 2026-11-28 | 2027-07-01 |\n"), "{text}");
        assert!(text.contains("| `Query.books(query:)` | `search` | 2026-11-28 | 2027-10-01 |\n"), "{text}");
        assert!(text.contains("# Changes of the API"), "{text}");
    })
    .await;
}
