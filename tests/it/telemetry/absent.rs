//! A collector that is away costs nobody anything.

use std::time::{Duration, Instant};

use tokio::net::TcpListener;

use super::Site;

/// How long a process may take to end that has spans which nobody takes.
const END_WITHIN: Duration = Duration::from_secs(5);

/// Spans that were dropped, as the process tells.
async fn dropped(site: &Site) -> u64 {
    let text = site.world.http.get(site.server.url("/metrics")).send().await.unwrap();
    let text = text.text().await.unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("shelfwise_spans_dropped_total "));
    line.unwrap().parse().unwrap()
}

/// Waits until spans were dropped.
async fn until_dropped(site: &Site) {
    let waited = async {
        while dropped(site).await == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waited).await.expect("what nobody takes is dropped");
}

#[tokio::test]
async fn spans_that_nobody_takes_are_dropped_and_counted_and_nobody_waits() {
    // Nobody listens there any more.
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for protocol in ["http/protobuf", "grpc"] {
        let endpoint = format!("http://{gone}");
        let site =
            Site::start(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint), ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)]).await;
        site.search("Unheard", &[]).await;
        until_dropped(&site).await;
        let began = Instant::now();
        let lines = site.end().await;
        assert!(began.elapsed() < END_WITHIN, "{protocol}: {:?}", began.elapsed());
        // Told once, and not for each batch.
        let told = lines.iter().filter(|line| line["message"] == "Traces cannot be exported; going on without");
        assert_eq!(told.count(), 1, "{protocol}");
    }
}

#[tokio::test]
async fn a_collector_that_never_answers_holds_up_neither_requests_nor_the_end() {
    // It takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let site = Site::start(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)]).await;
    for _ in 0..20 {
        site.search("Unheard", &[]).await;
    }
    let _connection = silent.accept().await.unwrap();
    site.search("Unheard", &[]).await;
    let began = Instant::now();
    site.end().await;
    assert!(began.elapsed() < END_WITHIN, "{:?}", began.elapsed());
}

#[tokio::test]
async fn without_a_collector_nothing_is_traced_and_lines_have_a_trace_all_the_same() {
    let site = Site::start(&[]).await;
    let id = site.search("Plain", &[]).await;
    assert_eq!(dropped(&site).await, 0);
    let lines = site.end().await;
    let of_request: Vec<_> = lines.iter().filter(|line| line["request.id"] == *id).collect();
    let trace = of_request.first().expect("a request is logged")["trace.id"].as_str().unwrap();
    assert!(trace.len() == 32 && trace.bytes().all(|byte| byte.is_ascii_hexdigit()), "{trace}");
    assert!(of_request.iter().all(|line| line["trace.id"] == trace), "{of_request:?}");
}
