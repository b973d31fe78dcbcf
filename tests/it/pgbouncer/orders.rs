//! Orders by more clients than there are backends.

use futures_util::future::join_all;
use serde_json::json;

use super::through;
use crate::graphql_helpers::codes;
use crate::harness::cluster::psql;
use crate::orders::{act, copies, events, order, stocked};

#[tokio::test]
async fn of_many_who_want_the_last_copies_as_many_get_them_through_two_backends() {
    through(2, "", &[("DB_POOL_MAX", "8"), ("DB_CHECKOUT_TIMEOUT_MS", "20000")], async |world, _| {
        let second = world.twin().await;
        let (here, there) = (world.owner(), second.owner());
        let emma = stocked(&here, "Emma", 5).await;
        let mut orders = Vec::new();
        for _ in 0..16 {
            orders.push(order(&here, &[(&emma, 1)]).await);
        }
        let place = async |(number, id): (usize, &String)| {
            let client = if number % 2 == 0 { &here } else { &there };
            act(client, "orderPlace", id, "").await
        };

        let answers = join_all(orders.iter().enumerate().map(place)).await;

        let (placed, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| !answer["order"].is_null());
        assert_eq!((placed.len(), refused.len()), (5, 11));
        assert!(refused.iter().all(|answer| codes(answer) == ["INSUFFICIENT_STOCK"]), "{refused:?}");
        assert_eq!(copies(&world.a, "Emma").await, (0, 5, 0));
        assert_eq!(events(&world.a).await.iter().filter(|kind| *kind == "order.placed").count(), 5);
        // Numbers have no gap, and no two orders have one.
        let numbers =
            format!(r#"SELECT count(*), count(DISTINCT number), max(number) FROM "{}".orders"#, world.a.schema);
        let row = psql().await.query_one(&numbers, &[]).await.unwrap();
        assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (16, 16));
        second.end().await;
    })
    .await;
}

#[tokio::test]
async fn a_repeated_request_is_answered_once_whatever_backend_it_meets() {
    through(2, "", &[("DB_POOL_MAX", "8")], async |world, _| {
        let owner = world.owner();
        let emma = stocked(&owner, "Emma", 5).await;
        let id = order(&owner, &[(&emma, 2)]).await;
        let query = "mutation($id: ID!, $key: IdempotencyKey) {
            orderPlace(id: $id, idempotencyKey: $key) { order { id status } userErrors { code } } }";
        let place = || owner.gql(query, json!({ "id": id, "key": "once" }));

        let answers = join_all((0..6).map(|_| place())).await;
        let last = place().await;

        assert_eq!(last["/orderPlace/order/status"], "PLACED", "{}", last.body);
        let known = |code: &str| code.is_empty() || code == "IDEMPOTENCY_IN_PROGRESS";
        assert!(answers.iter().all(|answer| known(answer.code())), "{answers:?}");
        assert_eq!(copies(&world.a, "Emma").await, (3, 2, 0), "two copies, once");
    })
    .await;
}
