//! Tenants on their way out, until nothing is left of them but a certificate.

mod cancel;
mod certificate;
mod command;
mod deletion;
mod doubt;
mod export;
mod killed;
mod life;
mod terms;

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use serde_json::{Value, json};
use shelfwise::kernel::clock::Clock as _;
use shelfwise::kernel::tenant::TenantCtx;
use shelfwise::worker::handlers;

use crate::graphql_helpers::book;
use crate::harness::World;
use crate::harness::clock::TestClock;
use crate::harness::cluster::psql_of;
use crate::jobs::queue::{Queue, Worker};

/// Two shops in a database of their own, with a worker, and a clock that the test puts forward.
struct Site {
    queue: Queue,
    world: World,
    clock: Arc<TestClock>,
    worker: Option<Worker>,
    /// Where the archives are.
    objects: tempfile::TempDir,
}

impl Site {
    /// Shops that have something to lose, and a worker that has nothing to do.
    async fn start() -> Self {
        Self::start_with(&[]).await
    }

    async fn start_with(settings: &[(&str, &str)]) -> Self {
        let (clock, objects) = (Arc::new(TestClock::default()), tempfile::tempdir().unwrap());
        let store = format!("file://{}", objects.path().display());
        let settings = [&[("OBJECT_STORE_URL", store.as_str())], settings].concat();
        let (world, name) = World::start_alone(clock.clone(), &settings).await;
        let urls = world.app.config.database.urls.clone().unwrap();
        let queue = Queue { urls, psql: psql_of(&name).await };
        let site = Self { queue, world, clock, worker: None, objects };
        for shop in [&site.world.a, &site.world.b] {
            site.fill(shop).await;
        }
        site
    }

    /// Books, a customer's order, an endpoint that is not well, a place of the trail that is kept, and jobs that wait.
    async fn fill(&self, shop: &TenantCtx) {
        let owner = self.world.user(shop, shelfwise::kernel::actor::Role::Owner);
        let price = json!({ "amount": "10", "currency": "EUR" });
        let id = book(&owner, json!({ "title": format!("{} One", shop.slug), "stock": 3, "price": price })).await;
        crate::orders::order(&owner, &[(&id, 1)]).await;
        let (tenant, schema) = (shop.id.0, &shop.schema);
        self.queue
            .sql(&format!(
                r#"INSERT INTO control.webhook_troubles VALUES ('{tenant}', gen_random_uuid(), 'open', 1, now(), now());
                 INSERT INTO control.audit_anchors
                 SELECT '{tenant}', sequence, hash, now() FROM "{schema}".audit_log WHERE sequence = 1;
                 INSERT INTO control.tenant_settings VALUES ('{tenant}', 'catalog.stock_low', '5', 'test', now());
                 INSERT INTO control.flags VALUES ('stock_low_on_update', 'test', '2099-01-01', 0, 'test', now())
                 ON CONFLICT DO NOTHING;
                 INSERT INTO control.tenant_flags
                 VALUES ('stock_low_on_update', '{tenant}', true, NULL, 'test', 'test', now());
                 DELETE FROM control.jobs WHERE tenant_id = '{tenant}';
                 INSERT INTO control.jobs (id, tenant_id, kind, payload)
                 SELECT gen_random_uuid(), '{tenant}', 'nobody.knows', '{{}}' FROM generate_series(1, 3)"#
            ))
            .await;
    }

    /// Has a worker work from now on.
    fn work(&mut self) {
        self.worker = Some(self.queue.work(handlers(&self.world.app)));
    }

    /// Asks for the offboarding of shop A, and answers the payload.
    async fn offboard(&self, reason: &str) -> Value {
        let query = "mutation($slug: String!, $reason: String!) { tenantOffboard(slug: $slug, reason: $reason) {
            offboarding { status reason requestedBy tenant { status suspensionReason } certificate { signature } }
            userErrors { code path } } }";
        let variables = json!({ "slug": self.world.a.slug.as_str(), "reason": reason });
        self.world.admin().data(query, variables).await["tenantOffboard"].clone()
    }

    /// Asks to call the offboarding of shop A off, and answers the payload.
    async fn cancel(&self) -> Value {
        let query = "mutation($slug: String!) { tenantOffboardCancel(slug: $slug) {
            offboarding { status tenant { status suspensionReason } } userErrors { code path } } }";
        let variables = json!({ "slug": self.world.a.slug.as_str() });
        self.world.admin().data(query, variables).await["tenantOffboardCancel"].clone()
    }

    /// Lets time pass for the shops' clock and for jobs that wait for it.
    async fn pass(&self, time: TimeDelta) {
        self.clock.advance(time);
        // Nobody can put the database's clock forward: what is due by the shops' clock is due by that one too.
        let due = format!(
            "UPDATE control.offboardings SET delete_after = now() WHERE completed_at IS NULL AND delete_after <= '{}'",
            self.clock.now().to_rfc3339()
        );
        self.queue.sql(&due).await;
        self.queue.pass_the_time().await;
    }

    /// Waits until the offboarding of shop A is in a state, and hurries jobs on that wait for a look at an archive.
    async fn until(&self, status: &str) {
        let started = Instant::now();
        while self.status().await != status {
            assert!(started.elapsed() < PATIENCE, "{}, not {status}: {}", self.status().await, self.row().await);
            self.queue.pass_the_time().await;
            tokio::task::yield_now().await;
        }
    }

    /// How far the offboarding of shop A has come.
    async fn status(&self) -> String {
        self.ask("status").await
    }

    /// All that the row says.
    async fn row(&self) -> String {
        self.ask("row_to_json(offboardings)::text").await
    }

    /// What the row of shop A's newest offboarding has.
    async fn ask(&self, what: &str) -> String {
        let tenant = self.world.a.id.0;
        let query =
            format!("SELECT {what} FROM control.offboardings WHERE tenant_id = '{tenant}' ORDER BY id DESC LIMIT 1");
        self.queue.ask(&query).await
    }

    /// What operators and the platform did to shop A, the oldest first.
    async fn acts(&self) -> Vec<String> {
        let query = "SELECT operator || ' ' || action FROM control.admin_audit WHERE target = $1 ORDER BY id";
        let rows = self.queue.psql.query(query, &[&self.world.a.slug.as_str()]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// How a shop's owner is answered, once that is as expected: within a second.
    async fn until_answered(&self, code: &str) {
        let started = Instant::now();
        loop {
            let response = self.world.owner().gql("{ books { totalCount } }", json!({})).await;
            if response.code() == code {
                break;
            }
            assert!(started.elapsed() < Duration::from_secs(1), "{}, not {code}", response.code());
        }
    }

    /// Everything that the database has of a shop, as text: its schema's rows, its entry, its jobs.
    async fn everything(&self, shop: &TenantCtx) -> String {
        let query = "SELECT tablename::text FROM pg_tables WHERE schemaname = $1 ORDER BY 1";
        let mut text = String::new();
        for row in self.queue.psql.query(query, &[&shop.schema.as_str()]).await.unwrap() {
            let table: String = row.get(0);
            let rows =
                format!(r#"SELECT string_agg(t::text, '|' ORDER BY t::text) FROM "{}"."{table}" t"#, shop.schema);
            text.push_str(&format!("{table}: {}\n", self.queue.ask(&rows).await));
        }
        for (table, key) in [("tenants", "id"), ("jobs", "tenant_id"), ("audit_anchors", "tenant_id")] {
            let rows = format!(
                "SELECT string_agg(t::text, '|' ORDER BY t::text) FROM control.{table} t WHERE {key} = '{}'",
                shop.id.0
            );
            text.push_str(&format!("{table}: {}\n", self.queue.ask(&rows).await));
        }
        text
    }

    /// Where in the catalogue, or in the control plane, something of shop A is left.
    async fn traces(&self) -> Vec<String> {
        let (schema, tenant) = (&self.world.a.schema, self.world.a.id.0);
        let mut left = Vec::new();
        for (what, query) in [
            ("schema", format!("SELECT count(*) FROM pg_namespace WHERE nspname = '{schema}'")),
            ("role", format!("SELECT count(*) FROM pg_roles WHERE rolname = '{schema}'")),
            ("default rights", format!("SELECT count(*) FROM pg_default_acl WHERE defaclacl::text LIKE '%{schema}%'")),
            (
                "orphaned default rights",
                "SELECT count(*) FROM pg_default_acl
                 WHERE defaclnamespace <> 0 AND NOT EXISTS (SELECT FROM pg_namespace n WHERE n.oid = defaclnamespace)"
                    .to_owned(),
            ),
            (
                "orphaned memberships",
                "SELECT count(*) FROM pg_auth_members
                 WHERE NOT EXISTS (SELECT FROM pg_authid r WHERE r.oid = roleid)
                    OR NOT EXISTS (SELECT FROM pg_authid r WHERE r.oid = member)"
                    .to_owned(),
            ),
            (
                "orphaned tables",
                "SELECT count(*) FROM pg_class WHERE NOT EXISTS (SELECT FROM pg_namespace n WHERE n.oid = relnamespace)"
                    .to_owned(),
            ),
            ("jobs", format!("SELECT count(*) FROM control.jobs WHERE tenant_id = '{tenant}'")),
            ("anchors", format!("SELECT count(*) FROM control.audit_anchors WHERE tenant_id = '{tenant}'")),
            ("troubles", format!("SELECT count(*) FROM control.webhook_troubles WHERE tenant_id = '{tenant}'")),
            ("settings", format!("SELECT count(*) FROM control.tenant_settings WHERE tenant_id = '{tenant}'")),
            ("flags", format!("SELECT count(*) FROM control.tenant_flags WHERE tenant_id = '{tenant}'")),
            ("keys", format!("SELECT jsonb_array_length(keys) FROM control.tenants WHERE id = '{tenant}'")),
        ] {
            let count = self.queue.ask(&query).await;
            if count != "0" {
                left.push(format!("{what}: {count}"));
            }
        }
        left
    }

    /// Stops the worker and the server.
    async fn end(self) {
        if let Some(worker) = self.worker {
            worker.stop().await;
        }
        self.world.assert_nothing_borrowed().await;
        self.world.end().await;
    }
}

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(40);

/// More than the grace period.
const GRACE: TimeDelta = TimeDelta::days(31);
