//! Mail, to a server that is there: how it gets out, and what those who get it read.

mod folder;
mod links;
mod notices;
mod server;

use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use shelfwise::kernel::tenant::TenantCtx;
use shelfwise::worker::handlers;
use uuid::Uuid;

use crate::harness::World;
use crate::harness::smtp::SmtpServer;
use crate::jobs::queue::{Queue, Worker};

/// The owner whom every new shop invites.
const INVITED: &str = "owner@shop.example";

/// Two shops in a database of their own, with a worker that mails.
pub struct Site {
    pub queue: Queue,
    pub world: World,
    worker: Worker,
}

impl Site {
    /// A site whose mail goes to a server. Nobody is invited yet.
    pub async fn start(server: &SmtpServer) -> Self {
        Self::start_by(&server.url()).await
    }

    async fn start_by(smtp_url: &str) -> Self {
        let queue = Queue::new().await;
        let (runtime, owner) = (&queue.urls.runtime, queue.urls.owner.as_ref().unwrap());
        let world = World::start(&[
            ("DATABASE_URL", runtime.expose_secret()),
            ("DATABASE_OWNER_URL", owner.expose_secret()),
            ("SMTP_URL", smtp_url),
            ("MAIL_FROM", "ShelfWise <mail@shelfwise.example>"),
            ("APP_URL", "https://app.shelfwise.example/"),
        ])
        .await;
        queue.sql("DELETE FROM control.jobs").await;
        let worker = queue.work(handlers(&world.app));
        Self { queue, world, worker }
    }

    /// Enqueues a job of a shop.
    async fn add(&self, shop: &TenantCtx, kind: &str, payload: Value) -> Uuid {
        let statement = "INSERT INTO control.jobs (id, tenant_id, kind, payload)
            VALUES (gen_random_uuid(), $1, $2, $3::text::jsonb) RETURNING id";
        let row = self.queue.psql.query_one(statement, &[&shop.id.0, &kind, &payload.to_string()]).await.unwrap();
        row.get(0)
    }

    /// Has the owner of a shop invited.
    pub async fn invite(&self, shop: &TenantCtx) -> Uuid {
        self.add(shop, "mail.invitation", json!({ "email": INVITED })).await
    }

    /// What the job's row says about its failures.
    async fn errors(&self, job: Uuid) -> String {
        self.queue.ask(&format!("SELECT errors::text FROM control.jobs WHERE id = '{job}'")).await
    }

    pub async fn end(self) {
        self.worker.stop().await;
        self.world.assert_nothing_borrowed().await;
        self.world.end().await;
    }
}

/// Names a shop anew, as nobody could by the API. Servers hear of it within a moment.
async fn rename(site: &Site, name: &str) {
    let statement = "UPDATE control.tenants SET name = $2 WHERE id = $1";
    site.queue.psql.execute(statement, &[&site.world.a.id.0, &name]).await.unwrap();
}
