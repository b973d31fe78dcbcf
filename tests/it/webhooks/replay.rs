//! Dead letters, and sending once more.

use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{deliveries, endpoint, positions, site};
use crate::harness::Client;
use crate::harness::receiver::Receiver;

async fn replay_one(client: &Client<'_>, id: &str) -> Value {
    let query = "mutation($id: ID!) { webhookDeliveryReplay(id: $id) {
        webhookDelivery { id state attemptCount } userErrors { code message path } } }";
    client.data(query, json!({ "id": id })).await["webhookDeliveryReplay"].clone()
}

async fn replay_many(client: &Client<'_>, input: Value) -> Value {
    let query = "mutation($input: WebhookDeliveriesReplayInput!) { webhookDeliveriesReplay(input: $input) {
        count webhookEndpoint { id } userErrors { code message path } } }";
    client.data(query, json!({ "input": input })).await["webhookDeliveriesReplay"].clone()
}

#[tokio::test]
async fn what_one_endpoint_refuses_for_days_is_a_dead_letter_and_can_be_replayed() {
    site(&[], async |site| {
        let (receiver, owner) = (Receiver::start().await, site.world.owner());
        let (id, _) = endpoint(&owner, &receiver.url("/hook")).await;
        receiver.answer(|received, _| {
            let is_poison = received.json()["position"] == "1";
            if is_poison { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK }.into_response()
        });
        site.publish(&site.world.a, 1).await;
        site.rest().await;
        for _ in 0..13 {
            // All others are accepted, so the endpoint is well.
            site.publish(&site.world.a, 2).await;
            site.rest().await;
            site.advance(TimeDelta::hours(40)).await;
            site.rest().await;
        }
        let dead = deliveries(&owner, &id).await.into_iter().find(|one| one["state"] == "DEAD").unwrap();
        assert_eq!((&dead["attemptCount"], &dead["status"]), (&json!(14), &json!(422)));
        assert_eq!(dead["attempts"].as_array().unwrap().len(), 14);
        site.advance(TimeDelta::days(5)).await;
        site.rest().await;
        assert_eq!(receiver.received().iter().filter(|one| one.json()["position"] == "1").count(), 14);

        receiver.status(200);
        let dead_id = dead["id"].as_str().unwrap();
        let replayed = replay_one(&owner, dead_id).await;
        assert_eq!(replayed["webhookDelivery"]["state"], "PENDING");
        site.rest().await;
        let last = receiver.received().pop().unwrap();
        assert_eq!(last.header("webhook-id"), dead["eventId"]);
        let entry = owner.data("{ auditLog(first: 1) { nodes { action entityId before after } } }", json!({})).await;
        assert_eq!(entry["auditLog"]["nodes"][0]["action"], "webhook_delivery.replay");
        let done = deliveries(&owner, &id).await.into_iter().find(|one| one["id"] == dead_id).unwrap();
        assert_eq!((&done["state"], &done["attemptCount"]), (&json!("DELIVERED"), &json!(15)));
    })
    .await;
}

#[tokio::test]
async fn deliveries_are_replayed_by_state_type_and_time() {
    site(&[], async |site| {
        let (receiver, owner) = (Receiver::start().await, site.world.owner());
        let (id, _) = endpoint(&owner, &receiver.url("/hook")).await;
        site.publish_all(&site.world.a, &[1, 2]).await;
        receiver.wait_for("/hook", 2).await;
        site.rest().await;
        site.advance(TimeDelta::hours(1)).await;
        let later = shelfwise::kernel::clock::Clock::now(&*site.clock);
        site.publish_all(&site.world.a, &[3, 4, 5]).await;
        receiver.wait_for("/hook", 5).await;
        site.rest().await;

        let count = async |input: Value| {
            let payload = replay_many(&owner, input).await;
            site.rest().await;
            payload["count"].as_i64().unwrap_or_else(|| panic!("{payload}"))
        };
        assert_eq!(count(json!({ "endpointId": id, "state": "DEAD" })).await, 0);
        assert_eq!(count(json!({ "endpointId": id, "eventType": "order.paid" })).await, 0);
        assert_eq!(count(json!({ "endpointId": id, "from": later })).await, 3);
        assert_eq!(count(json!({ "endpointId": id, "to": later, "state": "DELIVERED" })).await, 2);
        assert_eq!(count(json!({ "endpointId": id })).await, 5);
        let mut replayed = positions(&receiver.received())[5..].to_vec();
        replayed[..3].sort_unstable();
        replayed[3..5].sort_unstable();
        replayed[5..].sort_unstable();
        assert_eq!(replayed, [3, 4, 5, 1, 2, 1, 2, 3, 4, 5]);
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_replayed_is_said_and_nothing_is_sent() {
    site(&[], async |site| {
        let (receiver, owner) = (Receiver::start().await, site.world.owner());
        let (id, _) = endpoint(&owner, &receiver.url("/hook")).await;
        receiver.status(500);
        site.publish(&site.world.a, 1).await;
        receiver.wait_for("/hook", 1).await;
        site.rest().await;
        let pending = deliveries(&owner, &id).await.remove(0)["id"].as_str().unwrap().to_owned();
        assert_eq!(replay_one(&owner, &pending).await["userErrors"][0]["code"], "DELIVERY_PENDING");
        let unknown = "delivery_00000000000000000000000000";
        assert_eq!(replay_one(&owner, unknown).await["userErrors"][0]["code"], "DELIVERY_NOT_FOUND");
        let others = site.world.other_owner();
        assert_eq!(replay_one(&others, &pending).await["userErrors"][0]["code"], "DELIVERY_NOT_FOUND");
        let of_others = replay_many(&others, json!({ "endpointId": id })).await;
        assert_eq!(of_others["userErrors"][0]["code"], "ENDPOINT_NOT_FOUND");
        let range = json!({ "endpointId": id, "from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z" });
        assert_eq!(replay_many(&owner, range).await["userErrors"][0]["code"], "TIME_RANGE_INVALID");
        let refused = replay_many(&owner, json!({ "endpointId": id, "state": "PENDING" })).await;
        assert_eq!((&refused["count"], &refused["webhookEndpoint"]), (&json!(null), &json!(null)));
        assert_eq!(refused["userErrors"][0]["code"], "DELIVERY_PENDING");
        assert_eq!(refused["userErrors"][0]["path"], json!(["input", "state"]));
        let waits = deliveries(&owner, &id).await.remove(0);
        assert_eq!((&waits["state"], &waits["attemptCount"]), (&json!("PENDING"), &json!(1)));
        assert_eq!(receiver.received().len(), 1);
    })
    .await;
}
