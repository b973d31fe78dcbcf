//! Operations of a socket as traces.

use serde_json::json;

use super::{SECRET, Site};
use crate::harness::collector::{Collector, Span};
use crate::harness::receiver::Receiver;
use crate::harness::socket::Socket;
use crate::orders::{act, order, stocked};
use crate::realtime::{ORDER, told};
use crate::webhooks::endpoint;

/// What a span is linked to by another.
fn link(span: &Span) -> Vec<(String, String)> {
    vec![(span.trace.clone(), span.id.clone())]
}

#[tokio::test]
async fn an_operation_of_a_socket_is_a_trace_of_its_own_linked_to_the_opening() {
    let collector = Collector::http().await;
    let site = Site::start(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint)]).await;
    let mut socket = Socket::of(&site.world, &site.world.owner_token()).await;
    let payload = json!({ "query": "query Look { viewer { user { id } } }" });
    socket.say(json!({ "id": "1", "type": "subscribe", "payload": payload })).await;
    assert_eq!(socket.hears().await["type"], "next");
    let operation = collector.wait_for(|span| span.attribute("operation.name") == "Look").await;
    assert_eq!((operation.name.as_str(), operation.kind, operation.parent.as_str()), ("operation", 2, ""));
    assert_eq!(operation.attribute("tenant.slug"), site.world.a.slug.as_str());
    // Which has been told while the socket is open.
    let opening = collector.wait_for(|span| span.name == "GET /graphql/ws").await;
    assert_eq!(operation.links, link(&opening));
    assert_ne!(operation.trace, opening.trace);
    drop(socket);
    site.end().await;
}

#[tokio::test]
async fn a_job_of_a_mutation_of_a_socket_is_linked_to_the_operation() {
    let collector = Collector::http().await;
    let settings = [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint.as_str())];
    let site = Site::start(&settings).await;
    let receiver = Receiver::start().await;
    endpoint(&site.world.owner(), &receiver.url("/hook")).await;
    let book = stocked(&site.world.owner(), &format!("{SECRET} Title"), 9).await;
    let mut socket = Socket::of(&site.world, &site.world.owner_token()).await;
    let customer = json!({ "name": SECRET, "email": format!("{SECRET}@customers.example"), "address": SECRET });
    let input = json!({ "customer": customer, "lines": [{ "bookId": book, "quantity": 1 }] });
    let enter = "mutation Enter($input: OrderCreateInput!) {
        orderCreate(input: $input) { order { id } userErrors { code } } }";
    // Another goes before, so that the socket is not taken for the operation.
    socket.subscribe("first", "query First { viewer { user { id } } }", json!({})).await;
    socket.next_of("first").await;
    socket.ends("first").await;
    socket.subscribe("enter", enter, json!({ "input": input })).await;
    assert_eq!(socket.next_of("enter").await["orderCreate"]["userErrors"], json!([]));
    let operation = collector.wait_for(|span| span.attribute("operation.name") == "Enter").await;

    let worker = site.worker(&settings).await;
    let job = collector.wait_for(|span| span.name == "job webhook.dispatch").await;
    assert_eq!((job.parent.as_str(), &job.links), ("", &link(&operation)));
    let told = ["request.id", "operation.name", "user.id"].map(|name| job.attribute(name));
    assert_eq!(told, ["request.id", "operation.name", "user.id"].map(|name| operation.attribute(name)));
    assert!(job.attribute("request.id").ends_with("-2"), "{job:?}");
    worker.stop().await;
    drop(socket);
    site.end().await;
}

/// The looks of a subscription that have come.
fn looks(collector: &Collector) -> Vec<Span> {
    collector.spans().into_iter().filter(|span| span.name == "look").collect()
}

#[tokio::test]
async fn a_subscription_of_a_socket_ends_its_span_when_it_is_let_in_and_each_look_is_a_trace_linked_to_it() {
    let collector = Collector::http().await;
    let site = Site::start(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint)]).await;
    let owner = site.world.owner();
    let id = order(&owner, &[(&stocked(&owner, "Emma", 5).await, 1)]).await;
    let mut socket = Socket::of(&site.world, &site.world.owner_token()).await;
    let query = ORDER.replacen("subscription", "subscription Watch", 1);
    socket.subscribe("1", &query, json!({ "id": id })).await;
    assert_eq!(socket.next_of("1").await, told(&id, "DRAFT"));
    let operation = collector.wait_for(|span| span.name == "operation").await;
    assert_eq!((operation.attribute("operation.name"), looks(&collector).len()), ("Watch", 0), "it has ended");

    act(&owner, "orderPlace", &id, "").await;
    assert_eq!(socket.next_of("1").await, told(&id, "PLACED"));
    act(&owner, "orderCancel", &id, ", reason: FRAUD").await;
    assert_eq!(socket.next_of("1").await, told(&id, "CANCELED"));
    socket.ends("1").await;
    collector.wait_for(|_| looks(&collector).len() == 2).await;
    are_traces_linked_to(&collector, &operation);
    let lines = site.end().await;
    let of_looks: Vec<_> =
        lines.iter().filter(|line| line["request.id"] == operation.attribute("request.id")).collect();
    assert!(of_looks.iter().all(|line| line["operation.name"] == "Watch"), "{of_looks:?}");
}

#[tokio::test]
async fn a_subscription_as_events_ends_its_span_when_it_is_let_in_and_each_look_is_a_trace_linked_to_it() {
    let collector = Collector::http().await;
    let site = Site::start(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint)]).await;
    let owner = site.world.owner();
    let id = order(&owner, &[(&stocked(&owner, "Emma", 5).await, 1)]).await;
    let mut stream = owner.stream(ORDER, json!({ "id": id })).send().await.unwrap();
    assert!(stream.chunk().await.unwrap().is_some());
    let request = collector.wait_for(|span| span.name == "POST /graphql/stream").await;
    assert_eq!(looks(&collector).len(), 0, "it has ended");
    act(&owner, "orderPlace", &id, "").await;
    assert!(stream.chunk().await.unwrap().is_some());
    act(&owner, "orderCancel", &id, ", reason: FRAUD").await;
    while stream.chunk().await.unwrap().is_some() {}
    collector.wait_for(|_| looks(&collector).len() == 2).await;
    are_traces_linked_to(&collector, &request);
    site.end().await;
}

/// Checks that looks are traces of their own with what was done for them, and tell whose they are.
#[track_caller]
fn are_traces_linked_to(collector: &Collector, subscription: &Span) {
    let looks = looks(collector);
    assert_eq!(looks.len(), 2);
    assert_ne!(looks[0].trace, looks[1].trace);
    for look in looks {
        assert_eq!((look.kind, look.parent.as_str(), &look.links), (1, "", &link(subscription)));
        assert_ne!(look.trace, subscription.trace);
        for name in ["request.id", "operation.name", "tenant.slug", "user.id"] {
            assert!(!look.attribute(name).is_empty(), "{name}: {look:?}");
            assert_eq!(look.attribute(name), subscription.attribute(name));
        }
        let within: Vec<_> = collector.spans().into_iter().filter(|span| span.trace == look.trace).collect();
        assert!(within.iter().any(|span| span.name == "graphql execute" && span.parent == look.id), "{within:#?}");
        assert!(within.iter().any(|span| span.name.starts_with("SELECT")), "{within:#?}");
    }
    let of_subscription = collector.spans().into_iter().filter(|span| span.trace == subscription.trace);
    assert_eq!(of_subscription.filter(|span| span.name == "graphql execute").count(), 1, "the first look alone");
}
