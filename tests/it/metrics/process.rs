//! What is told of the process itself, by servers and workers alike.

use std::time::{Instant, SystemTime};

use axum::body::{Body, to_bytes};
use axum::http::Request;
use shelfwise::http::router::machine_router;

use super::{Scrape, scrape};
use crate::harness::world;

#[tokio::test]
async fn the_process_its_runtime_and_its_release_are_told() {
    world(async |world| {
        let first = scrape(world).await;
        let build: Vec<_> = first.families["shelfwise_build_info"].samples.iter().collect();
        assert_eq!((build.len(), build[0].value), (1, 1.0));
        assert_eq!(build[0].labels["version"], env!("CARGO_PKG_VERSION"));
        assert!(!build[0].labels["commit"].is_empty());
        assert!(
            first.value("shelfwise_build_info{commit=\"unknown\",version=\"0.1.0\"}") == 1.0
                || build[0].labels["commit"] != "unknown"
        );

        let (open, max) = (first.value("process_open_fds"), first.value("process_max_fds"));
        assert!(open > 3.0 && open <= max, "{open} of {max}");
        let resident = first.value("process_resident_memory_bytes");
        assert!((1e6..1e11).contains(&resident), "{resident}");
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
        let started = first.value("process_start_time_seconds");
        assert!((now - 24.0 * 3600.0..=now + 1.0).contains(&started), "{started}, {now}");
        // The runtime of a test has one thread.
        first.assert(&[("shelfwise_tokio_workers", 1.0), ("shelfwise_tokio_queue_depth", 0.0)]);
        assert!(first.value("shelfwise_tokio_tasks") >= 1.0);
        assert!([0.0, 1.0].contains(&first.value("shelfwise_ready")));

        let before = first.value("process_cpu_seconds_total");
        let begun = Instant::now();
        while begun.elapsed().as_millis() < 100 {}
        let after = scrape(world).await.value("process_cpu_seconds_total");
        assert!(after > before, "{before} {after}");
        assert_eq!(scrape(world).await.value("process_start_time_seconds"), started);
    })
    .await;
}

#[tokio::test]
async fn a_worker_tells_the_same_families_as_a_server() {
    world(async |world| {
        let request = Request::get("/metrics").body(Body::empty()).unwrap();
        let router = machine_router(std::sync::Arc::clone(&world.app));
        let response = tower::ServiceExt::oneshot(router, request).await.unwrap();
        let text = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let told = Scrape::read(std::str::from_utf8(&text).unwrap());
        assert_eq!(told.names(), scrape(world).await.names());
    })
    .await;
}
