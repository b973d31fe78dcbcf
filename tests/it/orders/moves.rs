//! `orderFulfill`, `orderDeliver`, `orderCancel`, `orderRefund`

use serde_json::{Value, json};
use shelfwise::kernel::actor::Role;

use super::{act, copies, events, make_paid, order, stocked};
use crate::graphql_helpers::codes;
use crate::harness::world;

#[tokio::test]
async fn an_order_goes_from_the_draft_to_the_customer() {
    world(async |world| {
        let owner = world.owner();
        let emma = stocked(&owner, "Emma", 5).await;
        let id = order(&owner, &[(&emma, 2)]).await;

        act(&owner, "orderPlace", &id, "").await;
        make_paid(&world.a, &id).await;
        assert_eq!(act(&owner, "orderFulfill", &id, "").await["order"]["status"], "FULFILLED");
        assert_eq!(copies(&world.a, "Emma").await, (3, 0, 2));
        assert_eq!(act(&owner, "orderDeliver", &id, "").await["order"]["status"], "DELIVERED");

        assert_eq!(copies(&world.a, "Emma").await, (3, 0, 2));
        assert_eq!(events(&world.a).await, ["order.created", "order.placed", "order.fulfilled", "order.delivered"]);
    })
    .await;
}

#[tokio::test]
async fn moves_that_the_machine_has_not_are_refused_with_those_that_it_has() {
    world(async |world| {
        let owner = world.owner();
        let emma = stocked(&owner, "Emma", 50).await;
        let check = async |id: &str, mutation: &str, arguments: &str, allowed: Value| {
            let payload = act(&owner, mutation, id, arguments).await;
            assert_eq!(codes(&payload), ["MOVE_NOT_ALLOWED"], "{mutation}: {payload}");
            assert_eq!(payload["userErrors"][0]["allowedMoves"], allowed, "{mutation}");
        };
        let draft = order(&owner, &[(&emma, 1)]).await;
        for mutation in ["orderPay", "orderFulfill", "orderDeliver", "orderRefund"] {
            check(&draft, mutation, "", json!(["EDIT", "PLACE", "CANCEL"])).await;
        }
        act(&owner, "orderPlace", &draft, "").await;
        for mutation in ["orderPlace", "orderFulfill", "orderDeliver", "orderRefund"] {
            check(&draft, mutation, "", json!(["PAY", "CANCEL"])).await;
        }
        make_paid(&world.a, &draft).await;
        check(&draft, "orderCancel", ", reason: OTHER", json!(["FULFILL", "REFUND"])).await;
        check(&draft, "orderPay", "", json!(["FULFILL", "REFUND"])).await;
        act(&owner, "orderRefund", &draft, "").await;
        for mutation in ["orderPlace", "orderPay", "orderFulfill", "orderDeliver", "orderRefund"] {
            check(&draft, mutation, "", json!([])).await;
        }
        assert_eq!(copies(&world.a, "Emma").await, (50, 0, 0));
    })
    .await;
}

#[tokio::test]
async fn giving_up_frees_what_was_reserved() {
    world(async |world| {
        let owner = world.owner();
        let emma = stocked(&owner, "Emma", 5).await;
        let (draft, placed) = (order(&owner, &[(&emma, 2)]).await, order(&owner, &[(&emma, 2)]).await);
        act(&owner, "orderPlace", &placed, "").await;
        assert_eq!(copies(&world.a, "Emma").await, (3, 2, 0));

        for id in [&draft, &placed] {
            let payload = act(&owner, "orderCancel", id, ", reason: CUSTOMER_REQUEST").await;
            assert_eq!(payload["order"]["status"], "CANCELED");
        }

        assert_eq!(copies(&world.a, "Emma").await, (5, 0, 0));
    })
    .await;
}

#[tokio::test]
async fn paying_back_brings_copies_back_where_they_are() {
    world(async |world| {
        let owner = world.owner();
        let emma = stocked(&owner, "Emma", 10).await;
        let paid = async |quantity| {
            let id = order(&owner, &[(&emma, quantity)]).await;
            act(&owner, "orderPlace", &id, "").await;
            make_paid(&world.a, &id).await;
            id
        };
        let (reserved, kept, returned) = (paid(1).await, paid(2).await, paid(3).await);
        act(&owner, "orderFulfill", &kept, "").await;
        act(&owner, "orderFulfill", &returned, "").await;
        assert_eq!(copies(&world.a, "Emma").await, (4, 1, 5));

        act(&owner, "orderRefund", &reserved, "").await;
        assert_eq!(copies(&world.a, "Emma").await, (5, 0, 5));
        act(&owner, "orderRefund", &kept, "").await;
        assert_eq!(copies(&world.a, "Emma").await, (5, 0, 5));
        act(&owner, "orderRefund", &returned, ", isReturned: true").await;
        assert_eq!(copies(&world.a, "Emma").await, (8, 0, 2));
    })
    .await;
}

#[tokio::test]
async fn who_may_not_changes_nothing() {
    world(async |world| {
        let owner = world.owner();
        let emma = stocked(&owner, "Emma", 5).await;
        let id = order(&owner, &[(&emma, 1)]).await;
        let refund = "mutation($id: ID!) { orderRefund(id: $id) { order { id } } }";
        let read = "query($id: ID!) { order(id: $id) { number } }";
        for (role, query) in [(Role::Clerk, refund), (Role::ReadOnly, refund), (Role::ReadOnly, read)] {
            let response = world.user(&world.a, role).gql(query, json!({ "id": id })).await;
            assert_eq!(response.code(), "FORBIDDEN", "{role}: {query}");
        }
        assert_eq!(world.user(&world.a, Role::Clerk).data(read, json!({ "id": id })).await["order"]["number"], "1");
    })
    .await;
}
