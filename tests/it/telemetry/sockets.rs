//! Operations of a socket as traces.

use serde_json::json;

use super::Site;
use crate::harness::collector::Collector;
use crate::harness::socket::Socket;

#[tokio::test]
async fn an_operation_of_a_socket_is_a_trace_of_its_own_linked_to_the_opening() {
    let collector = Collector::http().await;
    let site = Site::start(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint)]).await;
    let mut socket = Socket::of(&site.world, &site.world.owner_token()).await;
    let payload = json!({ "query": "query Look { viewer { user { id } } }" });
    socket.say(json!({ "id": "1", "type": "subscribe", "payload": payload })).await;
    assert_eq!(socket.hears().await["type"], "next");
    drop(socket);
    let operation = collector.wait_for(|span| span.attribute("operation.name") == "Look").await;
    assert_eq!((operation.name.as_str(), operation.kind, operation.parent.as_str()), ("operation", 2, ""));
    assert_eq!(operation.attribute("tenant.slug"), site.world.a.slug.as_str());
    let opening = collector.wait_for(|span| span.name == "GET /graphql/ws").await;
    assert_eq!(operation.links, [(opening.trace.clone(), opening.id.clone())]);
    assert_ne!(operation.trace, opening.trace);
    site.end().await;
}
