//! What becomes of an endpoint that fails, and of what waits for it.

use std::time::Instant;

use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use chrono::TimeDelta;
use serde_json::json;

use super::{act, endpoint, endpoint_with, positions, shown, site};
use crate::harness::receiver::{Received, Receiver};

/// Minutes, a little longer than the breaker rests after each failure that it counts.
const RESTS: [i64; 5] = [2, 6, 34, 133, 331];

#[tokio::test]
async fn what_fails_is_left_alone_and_what_happens_meanwhile_waits_with_it() {
    site(&[], async |site| {
        let (receiver, owner) = (Receiver::start().await, site.world.owner());
        let (id, _) = endpoint(&owner, &receiver.url("/hook")).await;
        receiver.status(500);
        site.publish_all(&site.world.a, &[1, 2, 3, 4, 5, 6, 7, 8]).await;
        site.rest().await;
        let breaker = shown(&owner, &id).await["breaker"].clone();
        assert_eq!((&breaker["state"], &breaker["failureCount"]), (&json!("OPEN"), &json!(5)));
        assert_eq!(receiver.received().len(), 8);

        for entity in 11..21 {
            site.publish(&site.world.a, entity).await;
        }
        site.rest().await;
        assert_eq!(
            (receiver.received().len(), site.queued(&site.world.a).await),
            (8, 1),
            "one probe, and nothing else"
        );
        assert_eq!(shown(&owner, &id).await["backlogCount"], 18);
        assert_eq!(site.troubles().await, [("open".to_owned(), 8)]);

        site.advance(TimeDelta::minutes(RESTS[0])).await;
        site.rest().await;
        assert_eq!(receiver.received().len(), 9, "one probe");
        assert_eq!(shown(&owner, &id).await["breaker"]["failureCount"], 6);

        receiver.status(200);
        site.advance(TimeDelta::minutes(RESTS[1])).await;
        site.rest().await;
        let breaker = shown(&owner, &id).await["breaker"].clone();
        assert_eq!(breaker, json!({ "state": "CLOSED", "failureCount": 0, "restsUntil": null }));
        let arrived = &positions(&receiver.received())[9..];
        assert_eq!(arrived.iter().collect::<std::collections::BTreeSet<_>>().len(), 18);
        assert_eq!(arrived.len(), 18);
        assert_eq!((shown(&owner, &id).await["backlogCount"].clone(), site.troubles().await.len()), (json!(0), 0));
    })
    .await;
}

#[tokio::test]
async fn an_endpoint_that_keeps_failing_is_suspended_and_its_owner_told() {
    site(&[], async |site| {
        let (receiver, owner) = (Receiver::start().await, site.world.owner());
        let (id, _) = endpoint(&owner, &receiver.url("/hook")).await;
        endpoint_with(&owner, json!({ "url": receiver.url("/tell"), "eventTypes": ["webhook_endpoint.suspended"] }))
            .await;
        receiver.answer(|received, _| {
            if received.path == "/hook" { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK }.into_response()
        });
        site.publish_all(&site.world.a, &[1, 2, 3, 4, 5]).await;
        site.rest().await;
        for minutes in RESTS {
            site.advance(TimeDelta::minutes(minutes)).await;
            site.rest().await;
        }

        let suspended = shown(&owner, &id).await;
        let reason = "10 deliveries in a row failed; the last: the endpoint answered with status 500.";
        assert_eq!((&suspended["status"], &suspended["suspensionReason"]), (&json!("SUSPENDED"), &json!(reason)));
        assert_eq!(receiver.received_at("/hook").len(), 10);
        crate::metrics::scrape(&site.world).await.assert(&[
            ("shelfwise_webhook_suspensions_total", 1.0),
            ("shelfwise_webhook_attempts_total{outcome=\"refused\"}", 10.0),
        ]);
        let told = receiver.wait_for("/tell", 1).await.remove(0).json();
        assert_eq!(told["data"], json!({ "url": "127.0.0.1", "reason": reason }));
        assert_eq!(told["entity"], id.as_str());
        let mail = "SELECT count(*) FROM control.jobs WHERE kind = 'mail.webhook_suspended' AND tenant_id = $1
                    AND payload->>'entity' = $2";
        let mails = site.psql.query_one(mail, &[&site.world.a.id.0, &id]).await.unwrap();
        assert_eq!(mails.get::<_, i64>(0), 1);
        let entry = owner
            .data(
                "{ auditLog(first: 1, filter: { action: \"webhook_endpoint.suspend\" }) {
            nodes { actorName entityId after } } }",
                json!({}),
            )
            .await;
        let entry = &entry["auditLog"]["nodes"][0];
        assert_eq!((&entry["actorName"], &entry["entityId"]), (&json!("system"), &json!(id)));
        site.rest().await;
        assert_eq!(site.troubles().await, [("suspended".to_owned(), 6)]);

        // Nothing is queued for it however much happens; it waits.
        site.publish_all(&site.world.a, &[6, 7]).await;
        site.advance(TimeDelta::days(2)).await;
        site.rest().await;
        assert_eq!((receiver.received_at("/hook").len(), site.queued(&site.world.a).await), (10, 0));
        receiver.status(200);
        act(&owner, "webhookEndpointResume", &id, "").await;
        let received = receiver.wait_for("/hook", 18).await;
        assert_eq!(positions(&received)[10..], [1, 2, 3, 4, 5, 6, 7, 8]);
        site.rest().await;
        assert_eq!(site.troubles().await, []);
        let metrics = reqwest_text(site).await;
        assert!(metrics.contains("shelfwise_webhook_suspensions_total 1"), "{metrics}");
        assert!(metrics.contains(r#"shelfwise_webhook_attempts_total{outcome="refused"} 10"#), "{metrics}");
    })
    .await;
}

/// The server's metrics.
async fn reqwest_text(site: &super::Site) -> String {
    let url = format!("{}/metrics", site.world.base_url);
    site.world.http.get(url).send().await.unwrap().text().await.unwrap()
}

#[tokio::test]
async fn a_backlog_is_drained_in_order_and_no_faster_than_is_said() {
    site(&[("WEBHOOK_DRAIN_PER_SECOND", "20")], async |site| {
        let (receiver, owner) = (Receiver::start().await, site.world.owner());
        let (id, _) = endpoint(&owner, &receiver.url("/hook")).await;
        let stopped = act(&owner, "webhookEndpointSuspend", &id, r#", reason: "moving house""#).await;
        assert_eq!(stopped["webhookEndpoint"]["suspensionReason"], "moving house");
        site.publish_all(&site.world.a, &(1..31).collect::<Vec<_>>()).await;
        site.rest().await;
        assert_eq!(receiver.received().len(), 0);

        let began = Instant::now();
        act(&owner, "webhookEndpointResume", &id, "").await;
        let received = receiver.wait_for("/hook", 30).await;
        // The first ten at once, the others after the half of a second that each ten takes.
        assert!(began.elapsed().as_millis() >= 1_000, "{:?}", began.elapsed());
        // Ten are under way at a time, and tens are in order.
        let tens: Vec<Vec<i64>> = positions(&received)
            .chunks(10)
            .map(|ten| {
                let mut ten = ten.to_vec();
                ten.sort_unstable();
                ten
            })
            .collect();
        assert_eq!(tens.concat(), (1..31).collect::<Vec<_>>());
        site.rest().await;
        // Then it is as fast as it can be again.
        assert_eq!(shown(&owner, &id).await["backlogCount"], 0);
    })
    .await;
}

#[tokio::test]
async fn everything_in_order_means_one_at_a_time() {
    site(&[], async |site| {
        let (receiver, owner) = (Receiver::start().await, site.world.owner());
        endpoint_with(&owner, json!({ "url": receiver.url("/hook"), "ordering": "ENDPOINT" })).await;
        endpoint_with(&owner, json!({ "url": receiver.url("/any"), "ordering": "NONE" })).await;
        // The second request fails: what follows waits for it.
        receiver.answer(|received, _| {
            static SEEN: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
            let fails = received.path == "/hook" && SEEN.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 1;
            if fails { StatusCode::BAD_GATEWAY } else { StatusCode::OK }.into_response()
        });
        site.publish_all(&site.world.a, &[1, 2, 3, 1]).await;
        receiver.wait_for("/any", 4).await;
        site.rest().await;
        assert_eq!(positions(&receiver.received_at("/hook")), [1, 2]);
        site.advance(TimeDelta::seconds(6)).await;
        site.rest().await;
        assert_eq!(positions(&receiver.received_at("/hook")), [1, 2, 2, 3, 4]);
    })
    .await;
}

#[tokio::test]
async fn what_a_receiver_refuses_for_good_does_not_make_its_endpoint_ill() {
    site(&[], async |site| {
        let (receiver, owner) = (Receiver::start().await, site.world.owner());
        let (id, _) = endpoint(&owner, &receiver.url("/hook")).await;
        let refuse = |received: &Received, _: usize| {
            let is_poison = positions(std::slice::from_ref(received))[0] <= 6;
            if is_poison { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK }.into_response()
        };
        receiver.answer(refuse);
        // Six that are refused come first, and nothing else: the endpoint seems to be down.
        site.publish_all(&site.world.a, &[1, 2, 3, 4, 5, 6]).await;
        site.rest().await;
        assert_eq!(shown(&owner, &id).await["breaker"]["state"], "OPEN");
        site.publish_all(&site.world.a, &[7, 8, 9]).await;
        site.advance(TimeDelta::minutes(RESTS[0])).await;
        site.rest().await;
        // The probe was one that had not been tried.
        let endpoint = shown(&owner, &id).await;
        assert_eq!((&endpoint["status"], &endpoint["breaker"]["state"]), (&json!("ACTIVE"), &json!("CLOSED")));
        assert_eq!(endpoint["backlogCount"], 6);

        // Suspended and resumed, all that are refused go first again, beside one that is accepted.
        act(&owner, "webhookEndpointSuspend", &id, r#", reason: "x""#).await;
        site.publish(&site.world.a, 10).await;
        act(&owner, "webhookEndpointResume", &id, "").await;
        site.rest().await;
        let endpoint = shown(&owner, &id).await;
        assert_eq!((&endpoint["status"], &endpoint["breaker"]["state"]), (&json!("ACTIVE"), &json!("CLOSED")));
    })
    .await;
}

#[tokio::test]
async fn a_job_that_is_called_off_is_made_up_for() {
    site(&[], async |site| {
        let (receiver, owner) = (Receiver::start().await, site.world.owner());
        endpoint(&owner, &receiver.url("/hook")).await;
        receiver.status(500);
        site.publish_all(&site.world.a, &[1, 2, 3, 4, 5]).await;
        site.rest().await;
        receiver.status(200);
        // The probe, and the look for the next event: an operator has called off both.
        let cancel = "UPDATE control.jobs SET state = 'cancelled', finalized_at = now()
                      WHERE kind LIKE 'webhook.%' AND finalized_at IS NULL";
        assert!(site.psql.execute(cancel, &[]).await.unwrap() > 0);
        let set = format!(r#"UPDATE "{}".tenant_head SET dispatch_from = 6"#, site.world.a.schema);
        site.psql.execute(&set, &[]).await.unwrap();
        site.publish(&site.world.a, 6).await;
        assert_eq!(site.queued(&site.world.a).await, 0);

        // The shop's sweep looks at all endpoints every hour.
        site.advance(TimeDelta::hours(2)).await;
        let swept = async {
            while receiver.received().len() < 11 {
                site.advance(TimeDelta::zero()).await;
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(30), swept).await.expect("it is sent");
    })
    .await;
}
