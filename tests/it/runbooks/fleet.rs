//! The fleet on its way to another version: runs that end, fail, wait and stand still.

use shelfwise::app::owner;
use shelfwise::db::migrate::{Plane, migrations};
use shelfwise::db::{DbError, OwnerTx};
use shelfwise::kernel::ids::TenantId;

use super::house::House;

/// Takes tenants back to the release before, as if this one had just come.
async fn take_back(house: &House, slugs: &[&str]) {
    let all = migrations(Plane::Tenant);
    let (newest, before) = (&all[all.len() - 1], &all[all.len() - 2].version);
    let owner = owner(&house.urls).unwrap();
    for slug in slugs {
        let id: uuid::Uuid =
            house.ask(&format!("SELECT id::text FROM control.tenants WHERE slug = '{slug}'")).await.parse().unwrap();
        let down = async |tx: &mut OwnerTx| {
            tx.enter_schema(&TenantId(id).into()).await?;
            tx.batch(&newest.down).await?;
            tx.batch(&format!("DELETE FROM __diesel_schema_migrations WHERE version = '{}'", newest.version)).await?;
            Ok::<_, DbError>(())
        };
        owner.write(down).await.unwrap();
        house.exec(&format!("UPDATE control.tenants SET schema_version = '{before}' WHERE slug = '{slug}'")).await;
    }
}

/// Whether a step waits for a lock.
const STEP_WAITS: &str = "SELECT (count(*) > 0)::text FROM pg_stat_activity
    WHERE datname = current_database() AND usename = 'shelfwise_owner' AND wait_event_type = 'Lock'";

#[tokio::test]
async fn a_fleet_that_is_migrated_with_all_that_can_go_wrong() {
    let house = House::closed(&[]).await;
    let mut schemas = Vec::new();
    for slug in ["acme", "bella", "corvid"] {
        schemas.push(house.shop(slug).await);
    }
    house.up("api");
    migration_failed(&house, &schemas[1]).await;
    fleet_migration(&house, &schemas[0]).await;
    migration_stuck(&house, &schemas[0]).await;
    schema_drift(&house, &schemas[0]).await;
}

async fn migration_failed(house: &House, schema: &str) {
    let mut page = house.page("migration-failed");
    take_back(house, &["acme", "bella"]).await;
    let newest = migrations(Plane::Tenant).last().unwrap().version.clone();
    page.set("NEWEST", newest).set("SCHEMA", schema);
    // Somebody has changed the tables of one of them by hand.
    house.exec(&format!(r#"ALTER TABLE "{schema}".events ADD COLUMN cause text"#)).await;
    let told = page.run_to(1, "shelfwise migrate").await;
    assert!(told.contains("bella: ") && told.contains("1 tenants were not migrated; run it again"), "{told}");
    page.says("schema_version <", &["bella"]).await;
    page.says("nspowner", &["shelfwise_owner", "control"]).await;
    page.says("__diesel_schema_migrations", &["run_on"]).await;
    house.exec(&format!(r#"ALTER TABLE "{schema}".events DROP COLUMN cause"#)).await;

    house.sh("shelfwise migrate retry").await;

    // A session that somebody has forgotten is in the way.
    take_back(house, &["bella"]).await;
    let holder = house.another_psql().await;
    holder.batch_execute(&format!(r#"BEGIN; LOCK TABLE "{schema}".events"#)).await.unwrap();
    let pid = house.ask_of(&holder, "SELECT pg_backend_pid()").await;
    let run = house.start_command("shelfwise migrate run --lock-timeout-ms 10000");
    house.until(STEP_WAITS, "true").await;
    page.says("CROSS JOIN LATERAL unnest", &[&pid, "idle in transaction"]).await;
    page.set("PID", &pid);
    page.says("pg_terminate_backend", &[" t"]).await;
    run.end().await;
    page.says("shelfwise migrate\n", &["tenants: 0 migrated"]).await;
    page.says("shelfwise migrate --json", &["\"failed\":[]"]).await;
    page.end();
}

/// A run whose leader has died in the middle and whose lease is over: it is running, and nobody leads it.
async fn orphan(house: &House, schema: &str) {
    take_back(house, &["acme", "bella"]).await;
    let holder = house.another_psql().await;
    holder.batch_execute(&format!(r#"BEGIN; LOCK TABLE "{schema}".events"#)).await.unwrap();
    let leader = house.start_command("shelfwise migrate run --lock-timeout-ms 10000");
    house.until(STEP_WAITS, "true").await;
    let done = "SELECT count(*) FROM control.migration_steps s JOIN control.migration_runs r ON r.id = s.run_id
        WHERE r.finished_at IS NULL AND s.status = 'completed'";
    house.until(done, "1").await;
    leader.kill();
    holder.batch_execute("COMMIT").await.unwrap();
    // What the dead leader had asked for may come to its end yet, and is then taken back.
    house.until(STEP_WAITS, "false").await;
    house.exec("UPDATE control.migration_runs SET leader_until = now() WHERE finished_at IS NULL").await;
}

/// A run that has paused itself, because somebody has changed a shop's tables by hand; and the tables as they should be.
async fn paused(house: &House, schema: &str) {
    take_back(house, &["acme"]).await;
    house.exec(&format!(r#"ALTER TABLE "{schema}".events ADD COLUMN cause text"#)).await;
    let failed = house.bash("shelfwise migrate run --canary acme").await;
    assert!(failed.status == 1 && failed.text.contains("paused"), "{}", failed.text);
    house.exec(&format!(r#"ALTER TABLE "{schema}".events DROP COLUMN cause"#)).await;
}

async fn fleet_migration(house: &House, schema: &str) {
    let mut page = house.page("fleet-migration");
    page.set("SLUG", "acme").set("REASON", "to look");
    take_back(house, &["acme", "bella", "corvid"]).await;
    page.says("migrate plan\nshelfwise migrate status", &["event_cause", "3"]).await;
    let held = page.run_to(1, "--hold-after-canaries").await;
    assert!(held.contains("the canaries are done; resume to go on"), "{held}");
    page.says("migrate resume", &["completed"]).await;
    paused(house, schema).await;
    page.says("shelfwise migrate status\n", &["paused", "acme", "already exists"]).await;
    page.says("migrate retry", &["completed"]).await;
    // This release does not work on what was before.
    orphan(house, schema).await;
    let refused = page.run_to(1, "migrate rollback").await;
    assert!(refused.contains("does not work on version"), "{refused}");
    house.sh("shelfwise migrate resume").await;
    page.run("shop.backfill").await;
    page.says("control.backfills", &["row_count"]).await;
    page.run("migrate run\n").await;
    page.says("tenant drift", &["nothing is behind", "0 drift"]).await;
    page.says("VACUUM", &["VACUUM"]).await;
    page.end();
}

async fn migration_stuck(house: &House, schema: &str) {
    let mut page = house.page("migration-stuck");
    page.set("REASON", "to look");
    // One step waits for long; it is ended, and tried again.
    take_back(house, &["acme"]).await;
    let holder = house.another_psql().await;
    holder.batch_execute(&format!(r#"BEGIN; LOCK TABLE "{schema}".events"#)).await.unwrap();
    let leader = house.start_command("shelfwise migrate run --lock-timeout-ms 10000");
    house.until(STEP_WAITS, "true").await;
    let step = page.says("pg_stat_progress_create_index", &["Lock", "phase"]).await;
    page.set("PID", super::queue::first_number(step.lines().nth(2).unwrap()));
    page.says("is_led", &["running", "up", " t "]).await;
    page.says("pg_terminate_backend", &[" t"]).await;
    page.run("s.attempts").await;
    holder.batch_execute("COMMIT").await.unwrap();
    leader.end().await;

    orphan(house, schema).await;
    page.says("migrate status\n", &["running"]).await;
    page.says("migrate run", &["completed"]).await;
    paused(house, schema).await;
    page.says("migrate retry", &["paused", "completed"]).await;
    orphan(house, schema).await;
    page.says("migrate pause", &["paused", "completed"]).await;
    page.says("migrate check", &["completed", "nothing is behind"]).await;
    page.end();
}

async fn schema_drift(house: &House, schema: &str) {
    let mut page = house.page("schema-drift");
    page.set("SLUG", "acme").set("SCHEMA", schema).set("NAME", "books_title_copy_idx");
    let index = format!(r#"CREATE INDEX books_title_copy_idx ON "{schema}".books (title)"#);
    house.exec(&index).await;
    let told = page.run_to(1, "tenant drift").await;
    assert!(told.contains("index books_title_copy_idx"), "{told}");
    page.says("DATABASE_OWNER_URL", &["shelfwise_owner"]).await;
    page.says("SELECT schema_name", &[schema]).await;
    page.says("lock_timeout", &["SET"]).await;
    page.says("DROP INDEX", &["DROP INDEX"]).await;
    page.says("\\dp", &["books", schema]).await;
    page.says("tenant drift SLUG\nshelfwise", &["0 drift", "0 were not denied"]).await;
    page.end();
}
