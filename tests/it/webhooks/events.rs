//! Catching up: what has happened, asked for in the order in which it became so.

use serde_json::{Value, json};
use shelfwise::kernel::actor::Role;

use super::site;
use crate::harness::Client;

const EVENTS: &str = "query($first: Int, $after: String, $filter: EventFilterInput) {
    events(first: $first, after: $after, filter: $filter) {
        pageInfo { hasNextPage endCursor } nodes { id position type version entityId data at } } }";

async fn events(client: &Client<'_>, variables: Value) -> (Vec<String>, Value) {
    let events = client.data(EVENTS, variables).await["events"].clone();
    let positions = events["nodes"].as_array().unwrap().iter();
    (positions.map(|event| event["position"].as_str().unwrap().to_owned()).collect(), events["pageInfo"].clone())
}

#[tokio::test]
async fn who_pages_on_from_where_they_were_misses_nothing() {
    site(&[], async |site| {
        let (owner, shop) = (site.world.owner(), &site.world.a);
        site.publish_all(shop, &[1, 2, 1]).await;
        let (first, page) = events(&owner, json!({ "first": 2 })).await;
        assert_eq!((first, &page["hasNextPage"]), (vec!["1".to_owned(), "2".to_owned()], &json!(true)));
        let (second, page) = events(&owner, json!({ "first": 2, "after": page["endCursor"] })).await;
        assert_eq!((second, &page["hasNextPage"]), (vec!["3".to_owned()], &json!(false)));
        // Later, from the same place.
        site.publish_all(shop, &[4, 5]).await;
        let (third, _) = events(&owner, json!({ "after": page["endCursor"] })).await;
        assert_eq!(third, ["4", "5"]);

        let of = async |filter: Value| events(&owner, json!({ "filter": filter })).await.0;
        assert_eq!(of(json!({ "entityId": "book_00000000000000000000000001" })).await, ["1", "3"]);
        assert_eq!(of(json!({ "afterPosition": "3", "types": ["book.stock_low"] })).await, ["4", "5"]);
        assert_eq!(of(json!({ "types": ["order.paid"] })).await, Vec::<String>::new());
        let last =
            owner.data("{ events(last: 1) { nodes { position data type } } eventTypes { name } }", json!({})).await;
        assert_eq!(
            last["events"]["nodes"][0],
            json!({ "position": "5", "data": { "stock": 1 }, "type": "book.stock_low" })
        );
        assert!(last["eventTypes"].as_array().unwrap().contains(&json!({ "name": "order.placed" })));
        assert_eq!(events(&site.world.other_owner(), json!({})).await.0, Vec::<String>::new());
    })
    .await;
}

#[tokio::test]
async fn what_is_no_event_is_refused_and_who_may_not_see_them_sees_none() {
    site(&[], async |site| {
        let owner = site.world.owner();
        let bad = [
            json!({ "filter": { "types": ["order.eaten"] } }),
            json!({ "filter": { "afterPosition": "1e3" } }),
            json!({ "after": "x" }),
            json!({ "first": 101 }),
            json!({ "filter": { "types": vec!["order.paid"; 51] } }),
        ];
        for variables in bad {
            let answer = owner.gql(EVENTS, variables.clone()).await;
            assert_eq!(answer.code(), "BAD_REQUEST", "{variables}: {}", answer.body);
        }
        let clerk = site.world.user(&site.world.a, Role::Clerk);
        assert_eq!(clerk.gql(EVENTS, json!({})).await.code(), "FORBIDDEN");
        assert_eq!(site.world.stranger().gql(EVENTS, json!({})).await.code(), "UNAUTHENTICATED");
    })
    .await;
}
