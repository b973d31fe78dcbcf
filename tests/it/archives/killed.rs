//! Workers that are killed in the middle of an export and of a restore.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use secrecy::ExposeSecret as _;
use shelfwise::config::auth::JwtKey;
use shelfwise::control::archives::restore::restore_request;
use shelfwise::control::archives::service::{archive_verify, tenant_export};
use shelfwise::control::archives::{Archive, ArchiveStatus};
use shelfwise::control::tenants::service::tenant_by_slug;
use shelfwise::kernel::clock::SystemClock;
use shelfwise::kernel::ids::ArchiveId;

use super::{Store, exported, row, traces};
use crate::harness::World;
use crate::harness::cluster::psql_of;
use crate::harness::logs;
use crate::harness::world::{fresh_slug, master_key, operator};

/// How long a worker may take.
const WITHIN: Duration = Duration::from_secs(120);

/// Two shops, one of them large, and no worker yet.
struct Site {
    world: World,
    psql: tokio_postgres::Client,
    store: Store,
}

impl Site {
    async fn start() -> Self {
        let store = Store::new();
        let (world, name) = World::start_alone(Arc::new(SystemClock), &store.settings()).await;
        let psql = psql_of(&name).await;
        let many = format!(
            r#"INSERT INTO "{}".trusted_documents SELECT encode(sha256(n::text::bytea), 'hex'),
               (SELECT string_agg(encode(sha256((n * 100 + k)::text::bytea), 'hex'), '') FROM generate_series(1, 16) k),
               now() FROM generate_series(1, 20000) n"#,
            world.a.schema
        );
        psql.batch_execute(&many).await.unwrap();
        Self { world, psql, store }
    }

    /// Starts a worker as a process of its own.
    fn worker(&self) -> Child {
        let urls = self.world.app.config.database.urls.as_ref().unwrap();
        Command::new(env!("CARGO_BIN_EXE_shelfwise"))
            .arg("work")
            .env_clear()
            .current_dir(self.store.folder.path())
            .env("DATABASE_URL", urls.runtime.expose_secret())
            .env("DATABASE_OWNER_URL", urls.owner.as_ref().unwrap().expose_secret())
            .env("OBJECT_STORE_URL", &self.store.url)
            .env("MASTER_KEYS", master_key().to_setting())
            .env("JWT_KEYS", JwtKey::generate("test-1").unwrap().to_setting())
            .env("PORT", "0")
            .env("SPARE_SCHEMAS", "0")
            .envs(logs::SETTINGS)
            .stdout(Stdio::null())
            .stderr(logs::file())
            .spawn()
            .unwrap()
    }

    /// Kills a worker. Its lease is over sooner than a test would wait.
    async fn killed(&self, mut worker: Child) {
        worker.kill().unwrap();
        worker.wait().unwrap();
        let over = "UPDATE control.jobs SET lease_expires_at = now() WHERE state = 'running'";
        self.psql.execute(over, &[]).await.unwrap();
    }

    /// Waits for what must come, and has waiting jobs done at once meanwhile.
    async fn until(&self, what: &str, mut is_so: impl AsyncFnMut() -> bool) {
        let wait = async {
            while !is_so().await {
                let due = "UPDATE control.jobs SET scheduled_at = now() WHERE state = 'retryable'";
                self.psql.execute(due, &[]).await.unwrap();
            }
        };
        tokio::time::timeout(WITHIN, wait).await.unwrap_or_else(|_| panic!("{what} does not come"));
    }

    async fn counted(&self, query: &str) -> i64 {
        self.psql.query_one(query, &[]).await.unwrap().get(0)
    }

    /// Has an archive of the large shop made by workers that are killed, and by one that is not.
    async fn exported_at_last(&self, id: ArchiveId) -> Archive {
        let app = &self.world.app;
        for _ in 0..2 {
            let worker = self.worker();
            // Some of it is written.
            let begun = async || {
                row(app, id).await.status() == ArchiveStatus::Running
                    && self.store.files().iter().any(|file| file.metadata().is_ok_and(|file| file.len() > 1 << 20))
            };
            self.until("an archive that is begun", begun).await;
            self.killed(worker).await;
            let archive = row(app, id).await;
            assert_eq!(archive.status(), ArchiveStatus::Running, "it counts as nothing yet");
            let name = archive.object_key.unwrap();
            assert!(!self.store.folder.path().join(name).exists(), "half an object is none");
        }
        let last = self.worker();
        self.until("the archive", async || row(app, id).await.is_completed()).await;
        self.killed(last).await;
        row(app, id).await
    }
}

#[tokio::test]
async fn an_export_whose_workers_are_killed_is_made_by_the_next_and_leaves_nothing_half() {
    let site = Site::start().await;
    let (app, slug) = (&site.world.app, site.world.a.slug.as_str());
    let id = tenant_export(&app.control, &SystemClock, &operator(), slug, false).await.unwrap().id;
    let archive = site.exported_at_last(id).await;
    archive_verify(&app.objects, &app.services.vault, &archive).await.unwrap();
    assert_eq!(site.store.files().len(), 1, "{:?}", site.store.files());
    let idle =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%archive_rows%'
        AND state LIKE 'idle in transaction%'";
    site.until("the end of the killed workers' transactions", async || site.counted(idle).await == 0).await;
    site.world.end().await;
}

#[tokio::test]
async fn a_restore_whose_worker_is_killed_leaves_nothing_and_is_done_by_the_next() {
    let site = Site::start().await;
    let app = &site.world.app;
    let archive = exported(app, &site.world.a).await;
    site.psql.execute("DELETE FROM control.jobs", &[]).await.unwrap();
    let before = traces(&site.psql).await;
    let slug = fresh_slug("r");
    restore_request(&app.control, &SystemClock, &operator(), (archive.id, &slug, None)).await.unwrap();
    for _ in 0..2 {
        let worker = site.worker();
        let loading = "SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND query LIKE 'INSERT INTO trusted_documents%'";
        site.until("a restore that is under way", async || site.counted(loading).await > 0).await;
        site.killed(worker).await;
        let open = "SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND xact_start IS NOT NULL AND pid <> pg_backend_pid()";
        site.until("the end of its transaction", async || site.counted(open).await == 0).await;
        assert_eq!(traces(&site.psql).await, before);
        assert!(tenant_by_slug(&app.control, &slug).await.unwrap().is_none());
    }
    let last = site.worker();
    site.until("the tenant", async || tenant_by_slug(&app.control, &slug).await.unwrap().is_some()).await;
    let done = "SELECT count(*) FROM control.jobs WHERE kind = 'archive.restore' AND state = 'completed'";
    site.until("the job's end", async || site.counted(done).await == 1).await;
    site.killed(last).await;
    let (schemas, _, tenants) = traces(&site.psql).await;
    assert_eq!((schemas, tenants), (before.0 + 1, before.2 + 1));
    let shop = tenant_by_slug(&app.control, &slug).await.unwrap().unwrap().context().unwrap();
    let tables = |archive: &Archive| {
        let is_still = |(name, ..): &(serde_json::Value, serde_json::Value, serde_json::Value)| name != "tenant_head";
        super::hashes(archive).into_iter().filter(is_still).collect::<Vec<_>>()
    };
    assert_eq!(tables(&exported(app, &shop).await), tables(&archive));
    site.world.end().await;
}
