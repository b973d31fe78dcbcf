//! A worker that is killed at every step of a deletion, and the next one that goes on.

use std::process::{Child, Command, Stdio};
use std::time::Instant;

use secrecy::ExposeSecret as _;
use shelfwise::config::auth::JwtKey;

use super::{PATIENCE, Site};
use crate::harness::logs;
use crate::harness::world::master_key;

/// A worker in a process of its own. It is killed when it is dropped, if not before.
struct Process(Child);

impl Process {
    /// Starts `shelfwise work`.
    fn start(site: &Site, key: &str) -> Self {
        let urls = &site.queue.urls;
        let child = Command::new(env!("CARGO_BIN_EXE_shelfwise"))
            .arg("work")
            .env_clear()
            .current_dir(std::env::temp_dir())
            .env("DATABASE_URL", urls.runtime.expose_secret())
            .env("DATABASE_OWNER_URL", urls.owner.as_ref().unwrap().expose_secret())
            .env("JWT_KEYS", key)
            .env("MASTER_KEYS", master_key().to_setting())
            .env("OBJECT_STORE_URL", format!("file://{}", site.objects.path().display()))
            .env("PORT", "0")
            .envs(logs::SETTINGS)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(logs::file())
            .spawn()
            .unwrap();
        Self(child)
    }

    /// Kills it on the spot: it can say and do nothing more.
    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How far the deletion is, as one text that changes with each step.
async fn place(site: &Site) -> String {
    let schema = &site.world.a.schema;
    let tables = site.queue.ask(&format!("SELECT count(*) FROM pg_tables WHERE schemaname = '{schema}'")).await;
    let roles = site.queue.ask(&format!("SELECT count(*) FROM pg_roles WHERE rolname = '{schema}'")).await;
    format!("{} {tables} tables, {roles} roles, {}", site.status().await, site.ask("rows_purged").await)
}

/// What a killed worker held is free at once, and no attempt is counted: the queue's patience is not what is tested.
async fn rescue(site: &Site) {
    site.queue
        .sql(
            "UPDATE control.jobs SET state = 'available', attempt = 0, lease_expires_at = NULL, scheduled_at = now(),
                 fence = fence + 1
             WHERE finalized_at IS NULL AND kind IN ('offboarding.advance', 'archive.export')",
        )
        .await;
}

#[tokio::test]
async fn a_deletion_whose_worker_is_killed_at_every_step_ends_as_one_that_is_let_be() {
    let mut site = Site::start().await;
    let other = site.everything(&site.world.b).await;
    // The other shop is not to change: nobody goes round and looks after it.
    let quiet = "INSERT INTO control.periodic_jobs SELECT kind, now() + interval '1 day'
        FROM unnest(ARRAY['platform.patrol', 'jobs.prune', 'archives.sweep', 'archive.sweep']) AS kind";
    site.queue.sql(quiet).await;
    site.offboard("gone").await;
    site.work();
    site.until("waiting").await;
    site.worker.take().unwrap().stop().await;
    // Processes go by the machine's clock.
    site.queue.sql("UPDATE control.offboardings SET delete_after = now()").await;
    let rows = counted(&site).await;

    let key = JwtKey::generate("killed-1").unwrap().to_setting();
    let (started, mut places) = (Instant::now(), vec![place(&site).await]);
    while site.status().await != "completed" {
        rescue(&site).await;
        let process = Process::start(&site, &key);
        let before = places.last().unwrap().clone();
        let mut now = before.clone();
        while now == before {
            assert!(started.elapsed() < 3 * PATIENCE, "{places:?} {}", site.row().await);
            now = place(&site).await;
        }
        process.kill();
        places.push(place(&site).await);
    }
    assert!(places.len() > 10, "it was killed too seldom to tell anything: {places:?}");

    // Killed or not: nothing is half there, each table was counted once, and there is one certificate.
    assert_eq!(site.traces().await, Vec::<String>::new());
    assert_eq!(site.ask("(SELECT sum(value::bigint) FROM jsonb_each_text(tables_dropped))::text").await, rows);
    assert_eq!(site.queue.ask("SELECT count(certificate) FROM control.offboardings").await, "1");
    let acts = site.acts().await;
    for act in ["offboarding.destroy_keys", "offboarding.drop_schema", "offboarding.complete"] {
        assert_eq!(acts.iter().filter(|entry| entry.ends_with(act)).count(), 1, "{act}: {acts:?}");
    }
    assert_eq!(site.everything(&site.world.b).await, other, "the other shop has changed");
    site.end().await;
}

/// The rows of all of shop A's tables.
async fn counted(site: &Site) -> String {
    let query = "SELECT tablename::text FROM pg_tables WHERE schemaname = $1";
    let mut total = 0;
    for row in site.queue.psql.query(query, &[&site.world.a.schema.as_str()]).await.unwrap() {
        let table: String = row.get(0);
        let count = site.queue.ask(&format!(r#"SELECT count(*) FROM "{}"."{table}""#, site.world.a.schema)).await;
        total += count.parse::<i64>().unwrap();
    }
    total.to_string()
}
