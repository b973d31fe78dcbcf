//! What arrives, how, and what is kept of it.

use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use chrono::TimeDelta;
use serde_json::json;

use super::{act, deliveries, endpoint, endpoint_with, shown, site};
use crate::harness::receiver::Receiver;

#[tokio::test]
async fn an_event_arrives_signed_and_is_kept_with_what_came_of_it() {
    site(&[], async |site| {
        let (receiver, owner) = (Receiver::start().await, site.world.owner());
        let headers = json!([{ "name": "X-Shop", "value": "one" }, { "name": "authorization", "value": "Bearer t" }]);
        let input = json!({ "url": receiver.url("/hook?a=b"), "eventTypes": ["book.stock_low"], "headers": headers });
        let (id, secret) = endpoint_with(&owner, input).await;
        let (other, _) =
            endpoint_with(&owner, json!({ "url": receiver.url("/other"), "eventTypes": ["order.paid"] })).await;
        receiver.answer(|_, _| (StatusCode::OK, "thank\0 you").into_response());

        site.publish(&site.world.a, 7).await;

        let received = receiver.wait_for("/hook", 1).await.remove(0);
        site.rest().await;
        assert!(received.is_signed_by(&secret));
        let names = ["x-shop", "authorization", "content-type", "user-agent", "accept-encoding"];
        let values = names.map(|name| received.header(name).to_owned());
        assert_eq!(values, ["one", "Bearer t", "application/json", "ShelfWise", "identity"]);
        let body = received.json();
        assert_eq!(body["id"], received.header("webhook-id"));
        assert_eq!((&body["type"], &body["version"]), (&json!("book.stock_low"), &json!(1)));
        assert_eq!((&body["data"], &body["position"]), (&json!({ "stock": 1 }), &json!("1")));
        assert_eq!(body["entity"], "book_00000000000000000000000007");
        let kept = deliveries(&owner, &id).await;
        assert_eq!(kept.len(), 1);
        let delivery = &kept[0];
        assert_eq!((&delivery["state"], &delivery["status"]), (&json!("DELIVERED"), &json!(200)));
        assert_eq!((&delivery["eventId"], &delivery["attemptCount"]), (&body["id"], &json!(1)));
        assert_eq!(delivery["body"].as_str().unwrap().as_bytes(), received.body);
        assert_eq!(delivery["attempts"][0]["responseExcerpt"], "thank you");
        assert!(delivery["latencyMs"].as_i64().is_some());
        assert_eq!(deliveries(&owner, &other).await, Vec::<serde_json::Value>::new());
        assert_eq!((receiver.received().len(), site.queued(&site.world.a).await), (1, 0));
    })
    .await;
}

#[tokio::test]
async fn what_fails_comes_again_with_the_same_id_and_bytes_and_a_signature_of_its_own() {
    site(&[], async |site| {
        let (receiver, owner) = (Receiver::start().await, site.world.owner());
        let (id, secret) = endpoint(&owner, &receiver.url("/hook")).await;
        receiver.answer(|_, before| if before < 2 { StatusCode::BAD_GATEWAY } else { StatusCode::OK }.into_response());

        site.publish(&site.world.a, 1).await;
        site.rest().await;
        let waits = deliveries(&owner, &id).await.remove(0);
        assert_eq!((&waits["state"], &waits["status"]), (&json!("PENDING"), &json!(502)));
        assert_eq!(site.queued(&site.world.a).await, 1);
        site.advance(TimeDelta::seconds(6)).await;
        site.rest().await;
        site.advance(TimeDelta::seconds(70)).await;
        let received = receiver.wait_for("/hook", 3).await;
        site.rest().await;

        let first = &received[0];
        assert!(
            received.iter().all(|one| one.body == first.body && one.header("webhook-id") == first.header("webhook-id"))
        );
        assert!(first.is_signed_by(&secret));
        let times: Vec<i64> = received.iter().map(|one| one.header("webhook-timestamp").parse().unwrap()).collect();
        assert!(times[1] - times[0] >= 6 && times[2] - times[1] >= 70, "{times:?}");
        let done = deliveries(&owner, &id).await.remove(0);
        assert_eq!(
            (&done["state"], &done["attemptCount"], &done["nextAttemptAt"]),
            (&json!("DELIVERED"), &json!(3), &json!(null))
        );
        let statuses: Vec<_> = done["attempts"].as_array().unwrap().iter().map(|one| one["status"].clone()).collect();
        assert_eq!(statuses, [200, 502, 502]);
        assert_eq!(shown(&owner, &id).await["breaker"]["failureCount"], 0);
        assert_eq!(site.queued(&site.world.a).await, 0);
    })
    .await;
}

#[tokio::test]
async fn what_happened_to_one_entity_arrives_in_order_and_holds_up_no_other() {
    site(&[], async |site| {
        let (receiver, owner) = (Receiver::start().await, site.world.owner());
        endpoint(&owner, &receiver.url("/hook")).await;
        // The first event of entity 1 fails three times; all others are accepted.
        receiver.answer(|received, _| {
            let is_stuck = received.json()["position"] == "1";
            static FAILED: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
            let fails = is_stuck && FAILED.fetch_add(1, std::sync::atomic::Ordering::SeqCst) < 3;
            if fails { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK }.into_response()
        });
        for entity in [1, 2, 1, 3, 1, 2] {
            site.publish(&site.world.a, entity).await;
        }
        site.rest().await;
        let accepted = |wanted: &str| {
            let entity = format!("book_0000000000000000000000000{wanted}");
            let all = receiver.received();
            let of_entity = all.into_iter().filter(|one| one.json()["entity"] == entity.as_str());
            of_entity.map(|one| one.json()["position"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!((accepted("2"), accepted("3")), (vec!["2".to_owned(), "6".to_owned()], vec!["4".to_owned()]));
        assert_eq!(accepted("1"), ["1"]);
        for seconds in [6, 70, 400] {
            site.advance(TimeDelta::seconds(seconds)).await;
            site.rest().await;
        }
        assert_eq!(accepted("1"), ["1", "1", "1", "1", "3", "5"]);
    })
    .await;
}

#[tokio::test]
async fn an_endpoint_that_is_gone_is_disabled_at_once() {
    site(&[], async |site| {
        let (receiver, owner) = (Receiver::start().await, site.world.owner());
        let (id, _) = endpoint(&owner, &receiver.url("/hook")).await;
        receiver.status(410);
        site.publish(&site.world.a, 1).await;
        site.rest().await;

        let endpoint = shown(&owner, &id).await;
        assert_eq!(endpoint["status"], "DISABLED");
        assert_eq!(endpoint["suspensionReason"], "The endpoint answered with status 410: it is gone for good.");
        site.publish_all(&site.world.a, &[2, 3, 4]).await;
        site.rest().await;
        assert_eq!((receiver.received().len(), site.queued(&site.world.a).await), (1, 0));
        // Back again, it goes on with what happens from then on.
        receiver.status(200);
        let resumed = act(&owner, "webhookEndpointResume", &id, "").await;
        assert_eq!(resumed["webhookEndpoint"]["status"], "ACTIVE");
        site.publish(&site.world.a, 9).await;
        let received = receiver.wait_for("/hook", 2).await;
        site.rest().await;
        assert_eq!(received[1].json()["entity"], "book_00000000000000000000000009");
        assert_eq!(receiver.received().len(), 2);
    })
    .await;
}

#[tokio::test]
async fn who_asks_to_be_left_alone_is_left_alone() {
    site(&[], async |site| {
        let (receiver, owner) = (Receiver::start().await, site.world.owner());
        let (id, _) = endpoint(&owner, &receiver.url("/hook")).await;
        receiver.answer(|_, before| match before {
            0 => (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "600")]).into_response(),
            _ => StatusCode::OK.into_response(),
        });
        site.publish(&site.world.a, 1).await;
        site.rest().await;
        assert_eq!(shown(&owner, &id).await["breaker"]["state"], "CLOSED");
        // What happens meanwhile waits too.
        site.publish(&site.world.a, 2).await;
        site.advance(TimeDelta::seconds(500)).await;
        site.rest().await;
        assert_eq!(receiver.received().len(), 1);
        site.advance(TimeDelta::seconds(120)).await;
        receiver.wait_for("/hook", 3).await;
    })
    .await;
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    site(&[], async |site| {
        let (receiver, owner) = (Receiver::start().await, site.world.owner());
        let (id, _) = endpoint(&owner, &receiver.url("/hook")).await;
        let location = receiver.url("/elsewhere");
        receiver
            .answer(move |_, _| (StatusCode::TEMPORARY_REDIRECT, [("location", location.as_str())]).into_response());
        site.publish(&site.world.a, 1).await;
        site.rest().await;
        let delivery = deliveries(&owner, &id).await.remove(0);
        assert_eq!((&delivery["state"], &delivery["status"]), (&json!("PENDING"), &json!(307)));
        assert_eq!(receiver.received_at("/elsewhere").len(), 0);
    })
    .await;
}

#[tokio::test]
async fn a_test_event_goes_to_its_endpoint_alone_and_shows_what_came_of_it() {
    site(&[], async |site| {
        let (receiver, owner) = (Receiver::start().await, site.world.owner());
        let (id, secret) =
            endpoint_with(&owner, json!({ "url": receiver.url("/hook"), "eventTypes": ["order.paid"] })).await;
        endpoint(&owner, &receiver.url("/other")).await;
        assert_eq!(act(&owner, "webhookEndpointTest", &id, "").await["userErrors"], json!([]));
        let received = receiver.wait_for("/hook", 1).await.remove(0);
        site.rest().await;
        assert!(received.is_signed_by(&secret));
        assert_eq!(received.kind(), "webhook.test");
        assert_eq!(deliveries(&owner, &id).await[0]["eventType"], "webhook.test");
        assert_eq!(receiver.received().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn both_secrets_sign_for_as_long_as_they_overlap() {
    site(&[], async |site| {
        let (receiver, owner) = (Receiver::start().await, site.world.owner());
        let (id, old) = endpoint(&owner, &receiver.url("/hook")).await;
        let rotate = "mutation($id: ID!) { webhookEndpointRotateSecret(id: $id, overlapSeconds: 3600) {
            secret webhookEndpoint { previousSecretExpiresAt } userErrors { code } } }";
        let rotated = owner.data(rotate, json!({ "id": id })).await["webhookEndpointRotateSecret"].clone();
        let new = rotated["secret"].as_str().unwrap().to_owned();
        site.publish(&site.world.a, 1).await;
        let first = receiver.wait_for("/hook", 1).await.remove(0);
        assert!(first.is_signed_by(&old) && first.is_signed_by(&new));
        site.rest().await;
        site.clock.advance(TimeDelta::seconds(3_601));
        site.publish(&site.world.a, 1).await;
        let second = receiver.wait_for("/hook", 2).await.remove(1);
        let signatures = second.header("webhook-signature").split(' ').count();
        assert_eq!((signatures, first.header("webhook-signature").split(' ').count()), (1, 2));
    })
    .await;
}
