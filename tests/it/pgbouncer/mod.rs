//! A real PgBouncer between, in transaction mode: any transaction may be on any backend, and any backend serves all.
//!
//! With `TEST_POOLER=pgbouncer` all other tests have one between as well; `script/test` runs those of isolation and orders so.
//! Here it has fewer backends than it has clients.

mod failures;
mod orders;
mod places;
mod statements;

use crate::harness::World;
use crate::harness::cluster::shared_urls;
use crate::harness::pooler::PgBouncer;
use crate::harness::world::fingerprint;

/// Runs a test in a world with a PgBouncer of its own between, which has so many backends.
async fn through(backends: u32, lines: &str, settings: &[(&str, &str)], test: impl AsyncFnOnce(&World, &PgBouncer)) {
    let pooler = PgBouncer::start(backends, lines);
    let between = pooler.settings(&shared_urls());
    let mut all: Vec<(&str, &str)> = between.iter().map(|(name, value)| (*name, value.as_str())).collect();
    all.extend_from_slice(settings);
    let world = World::start(&all).await;
    let before = fingerprint(&world.b).await;
    test(&world, &pooler).await;
    world.assert_nothing_borrowed().await;
    assert_eq!(fingerprint(&world.b).await, before, "the other shop has changed");
    assert_eq!(world.app.services.tenants.violations(), 0);
    world.end().await;
}

/// A client of PgBouncer's that is no server of ours.
async fn raw(pooler: &PgBouncer) -> tokio_postgres::Client {
    let settings = pooler.settings(&shared_urls());
    crate::harness::cluster::connect(&settings[0].1).await
}
