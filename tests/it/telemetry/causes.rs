//! Jobs and webhooks, linked to the requests that they are for.

use std::collections::BTreeSet;

use serde_json::json;

use super::{SECRET, Site};
use crate::harness::collector::Collector;
use crate::harness::receiver::Receiver;
use crate::webhooks::endpoint;

#[tokio::test]
async fn jobs_and_attempts_are_linked_to_the_request_that_they_are_for() {
    let collector = Collector::http().await;
    let settings = [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint.as_str())];
    let site = Site::start(&settings).await;
    let receiver = Receiver::start().await;
    endpoint(&site.world.owner(), &receiver.url("/hook")).await;
    // Two events, of which the first alone asks for somebody to look.
    let mut requests = Vec::new();
    for id in ["first-1", "second-2"] {
        site.order(id).await;
        requests.push(collector.wait_for(|span| span.attribute("request.id") == id && span.kind == 2).await);
    }
    let worker = site.worker(&settings).await;
    let received = receiver.wait_for("/hook", 2).await;

    let link = |request: &crate::harness::collector::Span| vec![(request.trace.clone(), request.id.clone())];
    let dispatch = collector.wait_for(|span| span.name == "job webhook.dispatch").await;
    assert_eq!((dispatch.kind, dispatch.parent.as_str(), &dispatch.links), (5, "", &link(&requests[0])));
    assert_eq!(dispatch.attribute("request.id"), "first-1");
    assert_eq!(dispatch.attribute("tenant.slug"), site.world.a.slug.as_str());
    assert_eq!(dispatch.attribute("shelfwise.job.outcome"), "completed");
    for (request, id) in requests.iter().zip(["first-1", "second-2"]) {
        let attempt = collector.wait_for(|span| span.kind == 3 && span.attribute("request.id") == id).await;
        assert_eq!((attempt.name.as_str(), &attempt.links), ("webhook POST", &link(request)));
        assert_eq!(attempt.attribute("http.response.status_code"), "204");
        let deliver = collector.wait_for(|span| span.id == attempt.parent).await;
        assert_eq!((deliver.name.as_str(), deliver.kind), ("job webhook.deliver", 5));
        // Who gets it is told which attempt it is.
        let parent = format!("00-{}-{}-01", attempt.trace, attempt.id);
        let got = received.iter().find(|got| got.header("webhook-id") == attempt.attribute("event.id"));
        assert_eq!(got.unwrap().header("traceparent"), parent);
    }

    let lines = worker.stop().await;
    let of_jobs =
        lines.iter().filter(|line| line["job.kind"].as_str().is_some_and(|kind| kind.starts_with("webhook.")));
    let mut traces = BTreeSet::new();
    for line in of_jobs {
        assert_eq!(line["request.id"], "first-1", "{line}");
        assert_eq!(
            (&line["operation.name"], &line["tenant.slug"]),
            (&json!("orderCreate"), &json!(site.world.a.slug.as_str()))
        );
        assert!(line["user.id"].as_str().unwrap().starts_with("user_"), "{line}");
        traces.insert(line["trace.id"].as_str().unwrap().to_owned());
    }
    assert!(traces.contains(&dispatch.trace), "{traces:?}");
    site.end().await;
    assert!(collector.spans().iter().all(|span| !format!("{span:?}").contains(SECRET)));
}
