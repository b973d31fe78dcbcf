//! A rolling restart: two servers behind a load balancer that follows their readiness, under load, one replaced after the other.

use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures_util::future::join_all;
use reqwest::Client;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use shelfwise::app::owner;
use shelfwise::config::auth::JwtKey;
use shelfwise::config::database::DatabaseUrls;
use shelfwise::db::migrate::migrate_control;

use crate::harness::World;
use crate::harness::cluster::{own_database, psql_of};
use crate::harness::process::{Process, warnings};
use crate::harness::proxy::Proxy;
use crate::harness::world::{AMPLE_PLANS, http_client, master_key};
use crate::orders::stocked;

/// Clients, half of which keep their connections.
const CLIENTS: u64 = 8;

/// How often both servers are replaced.
const ROUNDS: usize = 2;

/// Copies of the book that all orders are for.
const STOCK: i32 = 1_000_000;

fn settings(urls: &DatabaseUrls) -> Vec<(&'static str, String)> {
    vec![
        ("DATABASE_URL", urls.runtime.expose_secret().to_owned()),
        ("MASTER_KEYS", master_key().to_setting()),
        ("JWT_KEYS", JwtKey::generate("test-1").unwrap().to_setting()),
        ("PORT", "0".to_owned()),
        ("DB_POOL_MAX", "4".to_owned()),
        ("DB_CHECKOUT_TIMEOUT_MS", "20000".to_owned()),
        ("DRAIN_DELAY_MS", "500".to_owned()),
        ("LOG_LEVEL", "info".to_owned()),
        ("LOG_FORMAT", "json".to_owned()),
    ]
}

/// What clients share.
struct Load {
    url: String,
    token: String,
    book: String,
    is_over: AtomicBool,
    /// Requests that were answered as they should be.
    answered: AtomicU64,
}

impl Load {
    /// Sends an operation; what is not answered with data alone is what is wrong.
    async fn send(&self, client: &Client, query: &str, variables: Value) -> Result<Value, String> {
        let request = client.post(&self.url).bearer_auth(&self.token);
        let answer = request.json(&json!({ "query": query, "variables": variables })).send().await;
        let answer = answer.map_err(|error| format!("{error:?}"))?;
        let status = answer.status();
        let text = answer.text().await.map_err(|error| format!("{error:?}"))?;
        let body: Value = serde_json::from_str(&text).map_err(|_| format!("{status}: {text}"))?;
        if status != 200 || body.get("errors").is_some() {
            return Err(format!("{status}: {text}"));
        }
        self.answered.fetch_add(1, Ordering::Relaxed);
        Ok(body["data"].clone())
    }

    /// Looks, adds a book and places an order, until it is over. Answers the titles that were added and how many orders were placed.
    async fn run(&self, number: u64) -> Result<(Vec<String>, i32), String> {
        let is_keeping = number.is_multiple_of(2);
        let (mut titles, mut orders) = (Vec::new(), 0);
        let kept = http_client();
        while !self.is_over.load(Ordering::Relaxed) {
            // A client of its own has no connection yet.
            let client = if is_keeping { kept.clone() } else { http_client() };
            self.send(&client, "{ books(first: 1) { nodes { title } } }", json!({})).await?;
            let title = format!("Book {number}-{}", titles.len());
            let create = "mutation($title: String!) { bookCreate(input: { title: $title }) { userErrors { code } } }";
            let made = self.send(&client, create, json!({ "title": title })).await?;
            nothing_wrong(&made["bookCreate"])?;
            titles.push(title);
            let create = "mutation($input: OrderCreateInput!) {
                orderCreate(input: $input) { order { id } userErrors { code } } }";
            let customer = json!({ "name": "Ann", "email": "ann@customers.example", "address": "1 High Street" });
            let input = json!({ "customer": customer, "lines": [{ "bookId": self.book, "quantity": 1 }] });
            let made = self.send(&client, create, json!({ "input": input })).await?;
            nothing_wrong(&made["orderCreate"])?;
            let place = "mutation($id: ID!) { orderPlace(id: $id) { userErrors { code } } }";
            let id = &made["orderCreate"]["order"]["id"];
            nothing_wrong(&self.send(&client, place, json!({ "id": id })).await?["orderPlace"])?;
            orders += 1;
        }
        Ok((titles, orders))
    }
}

fn nothing_wrong(payload: &Value) -> Result<(), String> {
    if payload["userErrors"] == json!([]) { Ok(()) } else { Err(payload.to_string()) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_under_load_fails_no_request_and_does_nothing_twice() {
    let (database, urls) = own_database().await;
    migrate_control(&owner(&urls).unwrap()).await.unwrap();
    psql_of(&database).await.batch_execute(AMPLE_PLANS).await.unwrap();
    let mut settings = settings(&urls);
    let owners = urls.owner.as_ref().unwrap().expose_secret().to_owned();
    settings.push(("DATABASE_OWNER_URL", owners));
    let borrowed: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let world = World::start(&borrowed).await;
    let book = stocked(&world.owner(), "The book of all orders", STOCK).await;

    let proxy = Proxy::start().await;
    let servers =
        vec![Process::start("serve", &settings, warnings).await, Process::start("serve", &settings, warnings).await];
    for server in &servers {
        proxy.add(server.address).await;
    }
    let load = Arc::new(Load {
        url: format!("{}/graphql", proxy.base_url),
        token: world.owner_token(),
        book,
        is_over: AtomicBool::new(false),
        answered: AtomicU64::new(0),
    });
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let load = Arc::clone(&load);
            tokio::spawn(async move { load.run(number).await })
        })
        .collect();

    let (servers, ended) = replace_all(&proxy, servers, &settings).await;
    load.is_over.store(true, Ordering::Relaxed);
    let results: Vec<_> = join_all(clients).await.into_iter().map(Result::unwrap).collect();

    drop(servers);
    assert_eq!(proxy.failures(), Vec::<String>::new());
    let (mut titles, mut orders) = (Vec::new(), 0);
    for result in results {
        let (added, placed) = result.expect("no request fails");
        titles.extend(added);
        orders += placed;
    }
    for (status, mut log) in ended {
        assert!(status.success(), "a server ended with {status}");
        log.retain(|entry| {
            !entry["message"].as_str().is_some_and(|message| message.starts_with("SMTP_URL is not set"))
        });
        assert_eq!(log, Vec::<Value>::new(), "a server had something to say");
    }
    titles.sort();
    let psql = psql_of(&database).await;
    let query =
        format!(r#"SELECT title FROM "{}".books WHERE title LIKE 'Book %' ORDER BY title COLLATE "C""#, world.a.schema);
    let found: Vec<String> = psql.query(&query, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    assert_eq!(found, titles, "each book was added once");
    let reserved = format!(r#"SELECT reserved FROM "{}".books WHERE title = 'The book of all orders'"#, world.a.schema);
    assert_eq!(psql.query_one(&reserved, &[]).await.unwrap().get::<_, i32>(0), orders, "each order was placed once");
    let answered = load.answered.load(Ordering::Relaxed);
    assert_eq!(answered, 3 * orders as u64 + titles.len() as u64);
    println!("{answered} requests, {} books, {orders} orders, {} restarts", titles.len(), 2 * ROUNDS);
    world.end().await;
}

/// Replaces each server by another, several times, and answers the new ones and how the old ones ended.
async fn replace_all(
    proxy: &Proxy,
    mut servers: Vec<Process<Vec<Value>>>,
    settings: &[(&str, String)],
) -> (Vec<Process<Vec<Value>>>, Vec<(ExitStatus, Vec<Value>)>) {
    let mut ended = Vec::new();
    for _ in 0..ROUNDS * servers.len() {
        let old = servers.remove(0);
        let address = old.address;
        old.signal("TERM");
        proxy.until_left_alone(address).await;
        ended.push(old.ended().await);
        assert!(proxy.remove(address) > 0, "a server that served nobody proves nothing");
        let new = Process::start("serve", settings, warnings).await;
        proxy.add(new.address).await;
        servers.push(new);
    }
    (servers, ended)
}
