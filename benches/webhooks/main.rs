//! What one worker delivers a second to a receiver on this machine, beside what the same requests cost without all that makes
//! them deliveries: no transactions, no signatures, no breaker.

#![expect(clippy::unwrap_used, reason = "a benchmark that fails has nothing to say")]
#![expect(clippy::disallowed_methods, reason = "a benchmark awaits its tasks")]

#[path = "../report.rs"]
mod report;

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use futures_util::StreamExt as _;
use report::report;
use secrecy::ExposeSecret as _;
use serde_json::json;
use shelfwise::app::{App, owner};
use shelfwise::cli::dev::cluster::{Cluster, Durability};
use shelfwise::cli::dev::database::prepare;
use shelfwise::config::Config;
use shelfwise::config::auth::JwtKey;
use shelfwise::config::crypto::MasterKey;
use shelfwise::config::database::DatabaseUrls;
use shelfwise::control::audit::Operator;
use shelfwise::control::provisioning::{NewTenant, tenant_provision};
use shelfwise::db::TenantTx;
use shelfwise::db::migrate::migrate_control;
use shelfwise::failure::Failure;
use shelfwise::kernel::actor::Actor;
use shelfwise::kernel::clock::{Clock as _, SystemClock};
use shelfwise::kernel::ids::BookId;
use shelfwise::kernel::journal::Change;
use shelfwise::kernel::tenant::TenantCtx;
use shelfwise::outbound::{DELIVERY_TIMEOUT, Outbound};
use shelfwise::tenant::events::{DomainEvent, StockFacts, publish};
use shelfwise::tenant::journal::{self, Act};
use shelfwise::tenant::webhooks::WebhookError;
use shelfwise::tenant::webhooks::endpoints::sealed::Sealing;
use shelfwise::tenant::webhooks::endpoints::service::{Desk, EndpointInput, endpoint_create};
use shelfwise::worker::{handlers, work};
use tokio::sync::Notify;

/// Events that are delivered.
const EVENTS: usize = 8_000;

/// Events of one transaction.
const BATCH: usize = 50;

/// Requests that are under way at a time where nothing is delivered: as to one endpoint.
const IN_FLIGHT: usize = 32;

/// What counts requests.
#[derive(Default)]
struct Counter {
    came: AtomicUsize,
    all: Notify,
}

#[tokio::main]
async fn main() {
    let folder = tempfile::Builder::new().prefix("shelfwise-bench").tempdir_in("/var/tmp").unwrap();
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.path(), permissions).unwrap();
    let cluster = Cluster::start(&folder.path().join("cluster"), Durability::Full, &[]).await.unwrap();
    let urls = prepare(&cluster, "shelfwise").await.unwrap();
    migrate_control(&owner(&urls).unwrap()).await.unwrap();
    let app = Arc::new(App::new(config(&urls), Arc::new(SystemClock)).unwrap());
    let counter = Arc::new(Counter::default());
    let url = receiver(&counter).await;

    println!("\nwebhooks: {EVENTS} events, durable commits, a receiver on this machine that answers 204");
    let bare = bare(&counter, &url).await;
    println!("  bare requests, {IN_FLIGHT} at a time: {bare:.0} a second");
    for shops in [20, 1] {
        let rate = delivered(&app, &counter, &url, shops).await;
        println!(
            "  delivered by one worker, {shops} endpoints of as many shops: {rate:.0} a second, {:.2} of bare requests",
            rate / bare
        );
        report(format_args!("webhooks: delivered to {shops} endpoints"), rate, "a second", 500.0..);
    }
}

/// The settings of a worker in development, which may call its own machine.
fn config(urls: &DatabaseUrls) -> Config {
    let vars: HashMap<&str, String> = HashMap::from([
        ("DATABASE_URL", urls.runtime.expose_secret().to_owned()),
        ("DATABASE_OWNER_URL", urls.owner.as_ref().unwrap().expose_secret().to_owned()),
        ("MASTER_KEYS", MasterKey::generate("bench").unwrap().to_setting()),
        ("JWT_KEYS", JwtKey::generate("bench").unwrap().to_setting()),
    ]);
    Config::from_vars(&|name| vars.get(name).cloned()).unwrap()
}

/// Starts a receiver, and answers its address.
async fn receiver(counter: &Arc<Counter>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let counter = Arc::clone(counter);
    let handle = move |_: Bytes| async move {
        if counter.came.fetch_add(1, Ordering::Relaxed) + 1 == EVENTS {
            counter.all.notify_one();
        }
        StatusCode::NO_CONTENT
    };
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(handle)).await });
    url
}

/// How many requests of the same size are answered a second.
async fn bare(counter: &Counter, url: &str) -> f64 {
    let policy = shelfwise::config::Environment::Development.outbound();
    let outbound = Outbound::for_deliveries(policy, DELIVERY_TIMEOUT).unwrap();
    let body = Bytes::from(json!({ "type": "book.stock_low", "padding": "x".repeat(180) }).to_string());
    counter.came.store(0, Ordering::Relaxed);
    let started = Instant::now();
    let post = |_| outbound.post(url, HeaderMap::new(), body.clone());
    let answered = futures_util::stream::iter(0..EVENTS).map(post).buffer_unordered(IN_FLIGHT);
    assert_eq!(answered.filter(|reply| std::future::ready(reply.is_ok())).count().await, EVENTS);
    counter.all.notified().await;
    EVENTS as f64 / started.elapsed().as_secs_f64()
}

/// How many events a worker delivers a second, from its start to the last request. Shops are made anew.
async fn delivered(app: &Arc<App>, counter: &Counter, url: &str, shops: usize) -> f64 {
    let mut tenants = Vec::new();
    for _ in 0..shops {
        tenants.push(shop(app, url).await);
    }
    for tenant in &tenants {
        events(app, tenant, EVENTS / shops).await;
    }
    counter.came.store(0, Ordering::Relaxed);
    let stop = Arc::new(Notify::new());
    let stopped = Arc::clone(&stop);
    let started = Instant::now();
    let handlers = handlers(app);
    let worker = tokio::spawn(work(Arc::clone(app), handlers, async move { stopped.notified().await }));
    tokio::time::timeout(Duration::from_secs(300), counter.all.notified()).await.unwrap();
    let rate = EVENTS as f64 / started.elapsed().as_secs_f64();
    stop.notify_one();
    worker.await.unwrap().unwrap();
    rate
}

/// A shop with an endpoint that gets everything.
async fn shop(app: &App, url: &str) -> Arc<TenantCtx> {
    let new = NewTenant {
        slug: format!("s{}", SystemClock.new_id().simple()),
        name: "Shop".to_owned(),
        plan: "business".to_owned(),
        owner_email: "owner@shop.example".to_owned(),
        currency: "EUR".to_owned(),
    };
    let operator = Operator::cli("bench");
    let owner = app.owner.as_ref().unwrap();
    let tenant = tenant_provision(owner, &app.services.vault, &SystemClock, &operator, &new).await.unwrap();
    let tenant = tenant.context().unwrap();
    let services = &app.services;
    let act = Act::of_system("webhook_endpoint.create", &tenant, &services.vault, &SystemClock);
    let sealing = Sealing { vault: &services.vault, tenant: &tenant };
    let desk = Desk { actor: &Actor::System, clock: &SystemClock, sealing, policy: services.outbound };
    let input = EndpointInput { url: Some(url.to_owned()), ..EndpointInput::default() };
    let work = async |tx: &mut TenantTx| {
        endpoint_create(tx, desk, input).await?;
        Ok::<_, WebhookError>(())
    };
    journal::service::write(&services.tenants.session(Arc::clone(&tenant)), act, work).await.unwrap();
    tenant
}

/// Publishes events about as many books.
async fn events(app: &App, tenant: &Arc<TenantCtx>, count: usize) {
    let services = &app.services;
    for _ in 0..count / BATCH {
        let act = Act::of_system("book.update", tenant, &services.vault, &SystemClock);
        let work = async |tx: &mut TenantTx| {
            for _ in 0..BATCH {
                let id = BookId(SystemClock.new_id());
                tx.note(Change::done(id));
                publish(tx, &SystemClock, DomainEvent::BookStockLow(id, StockFacts { stock: 1 }));
            }
            Ok::<_, Failure<Infallible>>(())
        };
        journal::service::write(&services.tenants.session(Arc::clone(tenant)), act, work).await.unwrap();
    }
}
