//! A worker that is killed in the middle of sending.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use secrecy::ExposeSecret as _;

use super::{Site, endpoint};
use crate::harness::World;
use crate::harness::clock::TestClock;
use crate::harness::cluster::psql_of;
use crate::harness::logs;
use crate::harness::receiver::Receiver;
use crate::harness::world::master_key;

/// Events that are sent.
const EVENTS: usize = 400;

/// Kills on the way.
const KILLS: usize = 4;

/// How long the last worker may take.
const WITHIN: Duration = Duration::from_secs(60);

/// Starts a worker as a process of its own.
fn worker(world: &World) -> Child {
    let urls = world.app.config.database.urls.as_ref().unwrap();
    Command::new(env!("CARGO_BIN_EXE_shelfwise"))
        .arg("work")
        .env_clear()
        .current_dir(std::env::temp_dir())
        .env("DATABASE_URL", urls.runtime.expose_secret())
        .env("MASTER_KEYS", master_key().to_setting())
        .env("JWT_KEYS", shelfwise::config::auth::JwtKey::generate("test-1").unwrap().to_setting())
        .env("PORT", "0")
        .envs(logs::SETTINGS)
        .stdout(Stdio::null())
        .stderr(logs::file())
        .spawn()
        .unwrap()
}

/// Has what was taken from a dead worker done at once: engines wait longer each time.
async fn hurry(site: &Site) -> Infallible {
    loop {
        let due = "UPDATE control.jobs SET scheduled_at = now() WHERE state = 'retryable'";
        site.psql.execute(due, &[]).await.unwrap();
        tokio::task::yield_now().await;
    }
}

/// Waits until every event of the shop is delivered.
async fn all_delivered(site: &Site) {
    let unfinished = format!(
        r#"SELECT (SELECT count(*) FROM "{0}".events)
               - (SELECT count(*) FROM "{0}".webhook_deliveries WHERE state = 'delivered')"#,
        site.world.a.schema
    );
    while site.psql.query_one(&unfinished, &[]).await.unwrap().get::<_, i64>(0) > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_killed_worker_loses_nothing_and_what_comes_twice_has_one_id() {
    let clock = Arc::new(TestClock::default());
    let (world, name) = World::start_alone(clock.clone(), &[]).await;
    let site = Site { world, clock, psql: psql_of(&name).await };
    let receiver = Receiver::start().await;
    endpoint(&site.world.owner(), &receiver.url("/hook")).await;
    receiver.answer(|_, _| StatusCode::OK.into_response());
    for first in (0..EVENTS).step_by(20) {
        let entities: Vec<u128> = (first..first + 20).map(|one| one as u128 + 1).collect();
        site.publish_all(&site.world.a, &entities).await;
    }

    for kill in 1..=KILLS {
        let mut worker = worker(&site.world);
        // In the middle of a round: some of it has arrived, and nobody has written that down.
        tokio::select! {
            _ = receiver.wait_for("/hook", kill * EVENTS / (KILLS + 1)) => {}
            never = hurry(&site) => match never {},
        }
        worker.kill().unwrap();
        worker.wait().unwrap();
        // Its lease is over sooner than a test would wait.
        let over = "UPDATE control.jobs SET lease_expires_at = now() WHERE state = 'running'";
        site.psql.execute(over, &[]).await.unwrap();
    }
    let mut last = worker(&site.world);
    tokio::select! {
        done = tokio::time::timeout(WITHIN, all_delivered(&site)) => done.expect("everything is delivered"),
        never = hurry(&site) => match never {},
    }
    last.kill().unwrap();
    last.wait().unwrap();

    let received = receiver.received();
    let mut bodies: HashMap<String, HashSet<Vec<u8>>> = HashMap::new();
    for one in &received {
        bodies.entry(one.header("webhook-id").to_owned()).or_default().insert(one.body.to_vec());
    }
    println!("{} requests for {EVENTS} events, {KILLS} kills", received.len());
    assert_eq!(bodies.len(), EVENTS, "nothing is lost");
    assert!(bodies.values().all(|bodies| bodies.len() == 1), "what comes twice is the same");
    site.world.end().await;
}
