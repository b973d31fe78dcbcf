//! A real process that is killed in the middle of a run, and the next one that goes on.

use std::process::{Child, Command, Stdio};

use secrecy::ExposeSecret as _;
use shelfwise::config::auth::JwtKey;
use shelfwise::db::migrate::{Plane, migrations};
use shelfwise::db::{DbError, OwnerTx};
use tokio_postgres::Client as Psql;

use super::fleet::Fleet;
use crate::harness::cluster::psql_of;
use crate::harness::world::master_key;

/// Migrations that the fleet is taken back by before each run.
const BACK: usize = 2;

impl Fleet {
    /// The binary with this fleet's environment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shelfwise"));
        command
            .args(arguments)
            .env_clear()
            .current_dir(std::env::temp_dir())
            .env("DATABASE_URL", self.urls.runtime.expose_secret())
            .env("DATABASE_OWNER_URL", self.urls.owner.as_ref().unwrap().expose_secret())
            .env("JWT_KEYS", JwtKey::generate("test-1").unwrap().to_setting())
            .env("MASTER_KEYS", master_key().to_setting());
        command
    }

    /// Takes every tenant back to where an earlier release left it.
    pub async fn take_back(&self) {
        let all = migrations(Plane::Tenant);
        let (kept, gone) = all.split_at(all.len() - BACK);
        let version = &kept.last().unwrap().version;
        for tenant in &self.tenants {
            let down = async |tx: &mut OwnerTx| {
                tx.enter_schema(&tenant.id.into()).await?;
                for migration in gone.iter().rev() {
                    tx.batch(&migration.down).await?;
                    let entry =
                        format!("DELETE FROM __diesel_schema_migrations WHERE version = '{}'", migration.version);
                    tx.batch(&entry).await?;
                }
                Ok::<_, DbError>(())
            };
            self.owner.write(down).await.unwrap();
        }
        self.sql(&format!("UPDATE control.tenants SET schema_version = '{version}'")).await;
    }

    /// A session that holds up every migration of a tenant, whatever it is about: none can be written into the tenant's ledger.
    async fn hold_up(&self, tenant: usize) -> Psql {
        let psql = psql_of(&self.database).await;
        let ledger = format!(r#""{}".__diesel_schema_migrations"#, self.schema(tenant));
        psql.batch_execute(&format!("BEGIN; LOCK TABLE {ledger} IN SHARE MODE")).await.unwrap();
        psql
    }

    fn begin(&self) -> Child {
        let arguments = ["migrate", "run", "--json", "--concurrency", "1", "--attempts-max", "100"];
        self.command(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }
}

#[tokio::test]
async fn whenever_a_leader_is_killed_the_next_run_finishes_and_does_nothing_twice() {
    let fleet = Fleet::of(5).await;
    fleet.take_back().await;
    // One tenant is busy, so no run ends before it is killed.
    let holder = fleet.hold_up(4).await;
    for (turn, done) in [0, 1, 4].into_iter().enumerate() {
        let mut leader = fleet.begin();
        fleet
            .until(
                &format!("SELECT count(*) >= {done} FROM control.migration_steps WHERE status = 'completed'"),
                "true",
            )
            .await;
        // Not the one before it, whose name is still there.
        fleet.until("SELECT leader_fence FROM control.migration_runs", &(turn + 1).to_string()).await;
        leader.kill().unwrap();
        leader.wait().unwrap();
        assert_eq!(fleet.ask("SELECT status FROM control.migration_runs").await, "running");
        // Its lease is over; the next one need not wait for that here.
        fleet.sql("UPDATE control.migration_runs SET leader_until = now()").await;
    }
    holder.batch_execute("COMMIT").await.unwrap();
    let output = fleet.command(&["migrate", "run", "--json"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&answer["status"], &answer["completed"]), (&"completed".into(), &5.into()), "{answer}");

    let all = migrations(Plane::Tenant);
    let ran: Vec<&str> = all[all.len() - BACK..].iter().map(|migration| migration.version.as_str()).collect();
    let steps = "SELECT string_agg(DISTINCT array_to_string(versions, ' '), ';') || ' ' || count(*) FROM control.migration_steps";
    assert_eq!(fleet.ask(steps).await, format!("{} 5", ran.join(" ")), "one run, one step each, nothing twice");
    for tenant in 0..5 {
        let ledger = format!(
            r#"SELECT count(*) || ' ' || max(version) FROM "{}".__diesel_schema_migrations"#,
            fleet.schema(tenant)
        );
        assert_eq!(fleet.ask(&ledger).await, format!("{} {}", all.len(), ran[BACK - 1]));
    }
    assert_eq!(fleet.ask("SELECT count(DISTINCT schema_version) FROM control.tenants").await, "1");
    assert_eq!(fleet.ask("SELECT leader_fence FROM control.migration_runs").await, "4");
}

#[tokio::test]
async fn a_leader_that_is_told_to_stop_leaves_the_run_to_the_next_at_once() {
    let fleet = Fleet::of(2).await;
    fleet.take_back().await;
    let holder = fleet.hold_up(1).await;
    let leader = fleet.begin();
    fleet.until("SELECT count(*) FROM control.migration_steps WHERE status = 'completed'", "1").await;
    let stopped = Command::new("kill").args(["-INT", &leader.id().to_string()]).status().unwrap();
    assert!(stopped.success());
    let output = leader.wait_with_output().unwrap();
    assert!(!output.status.success());
    assert_eq!(fleet.ask("SELECT status || ' ' || (leader IS NULL) FROM control.migration_runs").await, "running true");
    holder.batch_execute("COMMIT").await.unwrap();
    assert!(fleet.command(&["migrate", "run", "--json"]).output().unwrap().status.success());
    assert_eq!(fleet.ask("SELECT count(*) FROM control.migration_steps WHERE status = 'completed'").await, "2");
}
