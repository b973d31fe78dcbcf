//! A request as a trace.

use super::{SECRET, Site};
use crate::harness::collector::{Collector, Span};

/// A caller's trace, kept and not.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

/// The span of a trace that is called so.
#[track_caller]
fn called<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let names = || spans.iter().map(|span| span.name.as_str()).collect::<Vec<_>>();
    spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no {name} among {:?}", names()))
}

/// The spans that a span stands in, from the innermost out.
fn above<'a>(spans: &'a [Span], span: &'a Span) -> Vec<&'a str> {
    let parents = std::iter::successors(Some(span), |span| spans.iter().find(|other| other.id == span.parent));
    parents.skip(1).map(|span| span.name.as_str()).collect()
}

async fn a_request_is_a_trace(collector: Collector, protocol: &str) {
    let site = Site::start(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Basic%20cGxhbnRlZA"),
        ("OTEL_SERVICE_NAME", "shelfwise-test"),
        ("CACHE_TTL_SECONDS", "60"),
    ])
    .await;
    site.add_book().await;
    let id = site.search("Search", &[]).await;

    let request = collector.wait_for(|span| span.attribute("request.id") == id).await;
    assert_eq!((request.name.as_str(), request.kind, request.parent.as_str()), ("POST /graphql", 2, ""));
    let told = ["http.request.method", "http.route", "http.response.status_code", "operation.name", "tenant.slug"];
    let told = told.map(|name| request.attribute(name));
    assert_eq!(told, ["POST", "/graphql", "200", "Search", site.world.a.slug.as_str()]);
    assert!(request.attribute("user.id").starts_with("user_"), "{request:?}");
    assert_eq!(request.attribute("trace.id"), request.trace);
    assert_eq!(request.resource["service.name"], "shelfwise-test");
    assert_eq!(request.resource["deployment.environment.name"], "development");
    assert!(collector.credentials().iter().all(|shown| shown == "Basic cGxhbnRlZA"), "{:?}", collector.credentials());

    // Those within have ended before.
    let all = collector.spans();
    let spans: Vec<Span> = all.iter().filter(|span| span.trace == request.trace).cloned().collect();
    let books = called(&spans, "SELECT books");
    assert_eq!((books.kind, books.attribute("db.system.name")), (3, "postgresql"));
    assert_eq!(above(&spans, books), ["graphql execute", "POST /graphql"]);
    assert!(books.attribute("db.query.text").contains("$1"), "{books:?}");
    let load = called(&spans, "load AuthorsByBook");
    assert_eq!(load.attribute("shelfwise.keys"), "1");
    let authors =
        spans.iter().find(|span| span.parent == load.id && span.attribute("db.query.text").contains("authors"));
    assert!(authors.is_some(), "{spans:#?}");
    called(&spans, "BEGIN");

    let mutation = called(&all, "mutation book.create");
    assert_eq!(mutation.attribute("shelfwise.action"), "book.create");
    assert!(all.iter().any(|span| span.parent == mutation.id && span.name == "COMMIT"), "{all:#?}");
    site.end().await;
    for span in collector.spans() {
        assert!(!format!("{span:?}").contains(SECRET), "{span:?}");
        assert_eq!(span.events, 0, "log lines are no part of traces: {span:?}");
    }
}

#[tokio::test]
async fn a_request_is_a_trace_of_what_it_did_without_values_by_http() {
    a_request_is_a_trace(Collector::http().await, "http/protobuf").await;
}

#[tokio::test]
async fn a_request_is_a_trace_of_what_it_did_without_values_by_grpc() {
    a_request_is_a_trace(Collector::grpc().await, "grpc").await;
}

#[tokio::test]
async fn a_callers_trace_goes_on() {
    let collector = Collector::http().await;
    let site = Site::start(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint)]).await;
    let parent = format!("00-{TRACE}-{CALLER}-01");
    let id = site.search("Called", &[("traceparent", &parent), ("tracestate", "vendor=1")]).await;
    let request = collector.wait_for(|span| span.attribute("request.id") == id).await;
    let told = (request.trace.as_str(), request.parent.as_str(), request.state.as_str());
    assert_eq!(told, (TRACE, CALLER, "vendor=1"));
    let lines = site.end().await;
    let of_request: Vec<_> = lines.iter().filter(|line| line["request.id"] == *id).collect();
    assert!(!of_request.is_empty() && of_request.iter().all(|line| line["trace.id"] == TRACE), "{of_request:?}");
}

#[tokio::test]
async fn a_trace_is_kept_as_its_caller_says_and_else_by_the_share() {
    let (all, none) = (Collector::http().await, Collector::http().await);
    let kept = Site::start(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &all.endpoint), ("OTEL_TRACES_SAMPLER_ARG", "1")]).await;
    let unkept =
        Site::start(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &none.endpoint), ("OTEL_TRACES_SAMPLER_ARG", "0")]).await;
    let (yes, no) = (format!("00-{TRACE}-{CALLER}-01"), format!("00-{TRACE}-{CALLER}-00"));
    let mut ids = Vec::new();
    for site in [&kept, &unkept] {
        for headers in [&[][..], &[("traceparent", yes.as_str())], &[("traceparent", no.as_str())]] {
            ids.push(site.search("Sampled", headers).await);
        }
    }
    kept.end().await;
    unkept.end().await;
    // What had ended was sent before the processes had.
    let requests = |collector: &Collector| {
        let of_spans = collector.spans().into_iter().map(|span| span.attribute("request.id").to_owned());
        let mut requests: Vec<String> = of_spans.filter(|id| ids.contains(id)).collect();
        requests.sort();
        requests.dedup();
        requests
    };
    let sorted = |mut ids: Vec<String>| {
        ids.sort();
        ids
    };
    assert_eq!(requests(&all), sorted(vec![ids[0].clone(), ids[1].clone()]));
    assert_eq!(requests(&none), [ids[4].clone()]);
    assert!(none.spans().iter().all(|span| span.trace == TRACE), "{:#?}", none.spans());
}

#[tokio::test]
async fn a_method_that_nobody_knows_is_not_told() {
    let collector = Collector::http().await;
    let site = Site::start(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint)]).await;
    let method = reqwest::Method::from_bytes("Z".repeat(2_000).as_bytes()).unwrap();
    site.world.http.request(method, format!("{}/graphql", site.world.base_url)).send().await.unwrap();
    let span = collector.wait_for(|span| span.attribute("http.request.method") == "_OTHER").await;
    assert!(span.name.starts_with("_OTHER "), "{}", span.name);
    site.end().await;
}
