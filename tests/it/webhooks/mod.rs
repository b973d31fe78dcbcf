//! Webhooks: what has happened in a shop, told to the addresses that it names.

mod breaker;
mod deliveries;
mod endpoints;
mod events;
mod incident;
mod interop;
mod killed;
mod replay;
mod reseal;

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use serde_json::{Value, json};
use shelfwise::db::TenantTx;
use shelfwise::failure::Failure;
use shelfwise::kernel::clock::Clock as _;
use shelfwise::kernel::ids::{BookId, WebhookDeliveryId, WebhookEndpointId};
use shelfwise::kernel::journal::Change;
use shelfwise::kernel::tenant::TenantCtx;
use shelfwise::tenant::events::{DomainEvent, StockFacts, publish};
use shelfwise::tenant::journal::{self, Act};
use shelfwise::worker::{handlers, work};
use uuid::Uuid;

use crate::harness::clock::TestClock;
use crate::harness::cluster::{psql, psql_of};
use crate::harness::receiver::Received;
use crate::harness::{Client, World};

/// How long the queue may take to come to rest.
const REST_WITHIN: Duration = Duration::from_secs(60);

/// Two shops, a worker, and a clock that the test puts forward.
pub struct Site {
    pub world: World,
    pub clock: Arc<TestClock>,
    pub psql: tokio_postgres::Client,
}

/// Runs a test beside a worker, in a database of its own. The other shop must not notice.
pub async fn site(settings: &[(&str, &str)], test: impl AsyncFnOnce(&Site)) {
    let clock = Arc::new(TestClock::default());
    let (world, name) = World::start_alone(clock.clone(), settings).await;
    let site = Site { world, clock, psql: psql_of(&name).await };
    let before = site.contents(&site.world.b).await;
    let app = Arc::clone(&site.world.app);
    let worker = work(Arc::clone(&app), handlers(&app), std::future::pending());
    tokio::select! {
        worked = worker => panic!("{worked:?}"),
        () = test(&site) => {}
    }
    assert_eq!(site.contents(&site.world.b).await, before, "the other shop has changed");
    site.world.end().await;
}

impl Site {
    /// What a shop's tables of webhooks, events and the trail hold.
    async fn contents(&self, shop: &TenantCtx) -> Vec<String> {
        let mut contents = Vec::new();
        for table in ["webhook_endpoints", "webhook_deliveries", "webhook_attempts", "events", "audit_log"] {
            let query = format!(r#"SELECT coalesce(string_agg(t::text, '|'), '') FROM "{}".{table} t"#, shop.schema);
            contents.push(self.psql.query_one(&query, &[]).await.unwrap().get(0));
        }
        contents
    }

    /// Puts the clock forward, and has done what is due by it. The engine goes by PostgreSQL's clock, which stays as it is.
    pub async fn advance(&self, by: TimeDelta) {
        self.clock.advance(by);
        let due = "UPDATE control.jobs SET state = 'available'
                   WHERE state IN ('scheduled', 'retryable') AND scheduled_at <= $1::text::timestamptz";
        if self.psql.execute(due, &[&self.clock.now().to_rfc3339()]).await.unwrap() > 0 {
            self.world.app.services.bell.wake();
        }
    }

    /// Waits until no job of webhooks is due or under way.
    pub async fn rest(&self) {
        let busy =
            "SELECT count(*) FROM control.jobs WHERE kind LIKE 'webhook.%' AND state IN ('available', 'running')";
        let rested = async {
            while self.psql.query_one(busy, &[]).await.unwrap().get::<_, i64>(0) > 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(REST_WITHIN, rested).await.expect("the queue comes to rest");
    }

    /// Jobs that look after a shop's endpoints and have not ended.
    pub async fn queued(&self, shop: &TenantCtx) -> i64 {
        let query = "SELECT count(*) FROM control.jobs
                     WHERE kind = 'webhook.deliver' AND finalized_at IS NULL AND tenant_id = $1";
        self.psql.query_one(query, &[&shop.id.0]).await.unwrap().get(0)
    }

    /// Publishes an event about an entity, as a service does.
    pub async fn publish(&self, shop: &Arc<TenantCtx>, entity: u128) {
        self.publish_all(shop, &[entity]).await;
    }

    /// Publishes an event about each of some entities, in one transaction.
    pub async fn publish_all(&self, shop: &Arc<TenantCtx>, entities: &[u128]) {
        let services = &self.world.app.services;
        let clock = &*services.clock;
        let act = Act::of_system("book.update", shop, &services.vault, clock);
        let work = async |tx: &mut TenantTx| {
            for entity in entities {
                let id = BookId(Uuid::from_u128(*entity));
                tx.note(Change::done(id));
                publish(tx, clock, DomainEvent::BookStockLow(id, StockFacts { stock: 1 }));
            }
            Ok::<_, Failure<std::convert::Infallible>>(())
        };
        journal::service::write(&services.tenants.session(Arc::clone(shop)), act, work).await.unwrap();
    }

    /// The book that operators have of endpoints that are not well: the state and what waits.
    pub async fn troubles(&self) -> Vec<(String, i64)> {
        let query = "SELECT state, backlog FROM control.webhook_troubles ORDER BY 1";
        self.psql.query(query, &[]).await.unwrap().iter().map(|row| (row.get(0), row.get(1))).collect()
    }
}

/// The positions of what has come, in the order of coming.
pub fn positions(received: &[Received]) -> Vec<i64> {
    received.iter().map(|one| one.json()["position"].as_str().unwrap().parse().unwrap()).collect()
}

/// Adds an endpoint, and answers its id and its secret.
pub async fn endpoint_with(client: &Client<'_>, input: Value) -> (String, String) {
    let query = "mutation($input: WebhookEndpointCreateInput!) { webhookEndpointCreate(input: $input) {
        webhookEndpoint { id status } secret userErrors { code message path } } }";
    let payload = client.data(query, json!({ "input": input })).await["webhookEndpointCreate"].clone();
    let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{payload}")).to_owned();
    (text(&payload["webhookEndpoint"]["id"]), text(&payload["secret"]))
}

/// Adds an endpoint at an address that gets everything.
pub async fn endpoint(client: &Client<'_>, url: &str) -> (String, String) {
    endpoint_with(client, json!({ "url": url })).await
}

/// Sends a mutation that takes an endpoint's id and no more than these arguments, and answers its payload.
pub async fn act(client: &Client<'_>, mutation: &str, id: &str, arguments: &str) -> Value {
    let query = format!(
        "mutation($id: ID!) {{ r: {mutation}(id: $id {arguments}) {{
            webhookEndpoint {{ id status suspensionReason version breaker {{ state failureCount restsUntil }} }}
            userErrors {{ code message path }} }} }}"
    );
    client.data(&query, json!({ "id": id })).await["r"].clone()
}

/// An endpoint as the API shows it.
pub async fn shown(client: &Client<'_>, id: &str) -> Value {
    let query = "query($id: ID!) { webhookEndpoint(id: $id) {
        id url description eventTypes ordering headerNames status suspensionReason version backlogCount
        breaker { state failureCount restsUntil } previousSecretExpiresAt viewerCanUpdate } }";
    client.data(query, json!({ "id": id })).await["webhookEndpoint"].clone()
}

/// The deliveries to an endpoint, the newest first.
pub async fn deliveries(client: &Client<'_>, endpoint: &str) -> Vec<Value> {
    let query = "query($id: ID!) { webhookDeliveries(first: 20, filter: { endpointId: $id }) { nodes {
        id eventId eventType state attemptCount status error latencyMs nextAttemptAt body
        attempts { number status error latencyMs responseExcerpt } endpoint { id } } } }";
    let data = client.data(query, json!({ "id": endpoint })).await;
    data["webhookDeliveries"]["nodes"].as_array().unwrap().clone()
}

/// Puts a delivery that has ended into a shop, as a worker would have left it, and answers its id.
pub async fn delivery_insert(shop: &TenantCtx, endpoint: &str) -> String {
    let endpoint: WebhookEndpointId = endpoint.parse().unwrap();
    let (id, event) = (Uuid::now_v7(), Uuid::now_v7());
    let insert = format!(
        r#"INSERT INTO "{}".webhook_deliveries
               (id, endpoint_id, event_id, position, kind, body, state, created_at, finished_at)
           VALUES ($1, $2, $3, 1, 'order.paid', '{{}}', 'delivered', now(), now())"#,
        shop.schema
    );
    psql().await.execute(&insert, &[&id, &endpoint.0, &event]).await.unwrap();
    WebhookDeliveryId(id).to_string()
}
