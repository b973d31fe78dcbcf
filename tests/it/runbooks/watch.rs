//! What a process tells of itself on demand: traces of its requests, profiles of itself.

use super::house::House;
use crate::harness::collector::Collector;

/// The trace that the page has a request keep.
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

#[tokio::test]
async fn traces_that_come_and_that_do_not() {
    let collector = Collector::http().await;
    let house = House::start(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint)]).await;
    let mut page = house.page("tracing");
    page.says("grep 'Exporting traces'", &["Exporting traces", &collector.endpoint]).await;
    page.says("shelfwise_spans_dropped_total", &["shelfwise_spans_dropped_total 0"]).await;
    // A request without a tenant is traced too.
    page.says("traceparent", &["__typename"]).await;
    let span = collector.wait_for(|span| span.trace == TRACE && span.name == "POST /graphql").await;
    assert_eq!(span.parent, "b7ad6b7169203331");
    page.end();
}

#[tokio::test]
async fn profiles_of_a_running_server() {
    let house = House::start(&[]).await;
    let mut page = house.page("profiling");
    page.says("process_", &["process_cpu_seconds_total", "shelfwise_build_info", "shelfwise_tokio_queue_depth"]).await;
    let token = page.run("token admin").await;
    page.set("TOKEN", token.trim());
    let on = [("PROFILING".to_owned(), "on".to_owned())];
    house.docker.up("api", 1, &on).unwrap();
    page.run("/admin/profile/cpu?seconds").await;
    // Gzip's first two bytes.
    assert_eq!(std::fs::read(house.folder.path().join("cpu.pb.gz")).unwrap()[..2], [0x1f, 0x8b]);
    page.says("heap.pb.gz", &["501"]).await;
    page.says("profile.take", &["cpu"]).await;
    house.up("api");
    page.says("-o /dev/null", &["404"]).await;
    page.end();
}
