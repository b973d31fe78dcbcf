//! What sockets that say nothing cost a server: memory for each, with a subscription on it, and how soon all of them are told.

#![expect(clippy::unwrap_used, reason = "a benchmark that fails has nothing to say")]
#![expect(clippy::disallowed_methods, reason = "a benchmark awaits its tasks")]

#[path = "../report.rs"]
mod report;

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use report::report;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use shelfwise::app::owner;
use shelfwise::auth::{Claims, Tokens};
use shelfwise::cli::dev::cluster::{Cluster, Durability};
use shelfwise::cli::dev::database::prepare;
use shelfwise::config::auth::{AuthConfig, JwtKey};
use shelfwise::config::crypto::{CryptoConfig, MasterKey};
use shelfwise::control::audit::Operator;
use shelfwise::control::provisioning::{NewTenant, tenant_provision};
use shelfwise::db::migrate::migrate_control;
use shelfwise::kernel::actor::Role;
use shelfwise::kernel::clock::{Clock as _, SystemClock};
use shelfwise::kernel::ids::UserId;
use shelfwise::vault::Vault;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

/// Sockets that are opened.
const SOCKETS: usize = 5_000;

/// Shops that they are of.
const SHOPS: usize = 10;

type Socket = WebSocketStream<TcpStream>;

/// Ends the server with the value.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Server {
    fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }
}

#[tokio::main]
async fn main() {
    let folder = tempfile::Builder::new().prefix("shelfwise-bench").tempdir_in("/var/tmp").unwrap();
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.path(), permissions).unwrap();
    let cluster = Cluster::start(&folder.path().join("cluster"), Durability::Full, &[]).await.unwrap();
    let urls = prepare(&cluster, "shelfwise").await.unwrap();
    let owners = owner(&urls).unwrap();
    migrate_control(&owners).await.unwrap();
    let (master_key, key) = (MasterKey::generate("bench").unwrap(), JwtKey::generate("bench").unwrap());
    let vault = Vault::new(&CryptoConfig { master_keys: vec![master_key.clone()] }, Arc::new(SystemClock));
    let tokens = Tokens::new(&AuthConfig { jwt_keys: vec![key.clone()] }).unwrap();
    let (psql, connection) =
        tokio_postgres::connect(&cluster.superuser_url("shelfwise"), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let mut shops = Vec::new();
    for number in 0..SHOPS {
        let new = NewTenant {
            slug: format!("shop-{number}"),
            name: "Shop".to_owned(),
            plan: "enterprise".to_owned(),
            owner_email: "owner@shop.example".to_owned(),
            currency: "EUR".to_owned(),
        };
        let tenant = tenant_provision(&owners, &vault, &SystemClock, &Operator::cli("bench"), &new).await.unwrap();
        let shop = tenant.context().unwrap();
        let user = psql.query_one(&format!(r#"SELECT id FROM "{}".users"#, shop.schema), &[]).await.unwrap();
        let (slug, user) = (shop.slug.clone(), UserId(user.get(0)));
        let claims = Claims::Tenant { slug, tenant: shop.id, user, session: None, role: Some(Role::Owner) };
        shops.push(tokens.mint(&claims, SystemClock.now(), Duration::from_secs(3600)).unwrap());
    }
    let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let mut command = Command::new(env!("CARGO_BIN_EXE_shelfwise"));
    command.arg("serve").env_clear().env("PORT", port.to_string()).env("LOG_LEVEL", "error");
    command.env("DATABASE_URL", urls.runtime.expose_secret()).env("MASTER_KEYS", master_key.to_setting());
    command.env("JWT_KEYS", key.to_setting()).stdout(Stdio::null()).stderr(Stdio::null());
    let server = Server(command.spawn().unwrap());
    while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        tokio::task::yield_now().await;
    }
    measure(&server, port, &shops).await;
    drop(cluster);
}

async fn measure(server: &Server, port: u16, shops: &[String]) {
    let create = "mutation { bookCreate(input: { title: \"x\", stock: 5 }) { book { id } } }";
    let mut books = Vec::new();
    for token in shops {
        let mut socket = open(port, token).await;
        let data = ask(&mut socket, create, json!({})).await;
        books.push(data["bookCreate"]["book"]["id"].clone());
    }
    let before = server.resident_bytes();
    let started = Instant::now();
    let mut sockets = Vec::new();
    let watch = "subscription($id: ID!) { stockChanged(bookId: $id) { book { stock } } }";
    for number in 0..SOCKETS {
        let shop = number % shops.len();
        let mut socket = open(port, &shops[shop]).await;
        ask(&mut socket, watch, json!({ "id": books[shop] })).await;
        sockets.push(socket);
    }
    let took = started.elapsed();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let after = server.resident_bytes();
    let mib = |bytes: u64| bytes as f64 / 1024.0 / 1024.0;
    println!("\nsockets: {SOCKETS} of {SHOPS} shops, each with a subscription, opened one by one in {took:.1?}");
    println!(
        "  memory: {:.0} MiB before, {:.0} MiB with them: {:.1} KiB for each",
        mib(before),
        mib(after),
        (after.saturating_sub(before)) as f64 / 1024.0 / SOCKETS as f64
    );
    report("sockets: memory of each", after.saturating_sub(before) as f64 / 1024.0 / SOCKETS as f64, "KiB", ..);
    let told = sockets.into_iter().map(|mut socket| tokio::spawn(async move { next(&mut socket).await }));
    let told: Vec<_> = told.collect();
    let started = Instant::now();
    for (token, book) in shops.iter().zip(&books) {
        let mut socket = open(port, token).await;
        let update =
            "mutation($id: ID!) { bookUpdate(id: $id, version: 1, input: { stock: 4 }) { userErrors { code } } }";
        ask(&mut socket, update, json!({ "id": book })).await;
    }
    for one in told {
        one.await.unwrap();
    }
    println!("  a change in each shop: all are told after {:.2?}", started.elapsed());
    report(format_args!("sockets: all {SOCKETS} are told after"), started.elapsed().as_secs_f64(), "s", ..);
}

async fn open(port: u16, token: &str) -> Socket {
    let mut request = format!("ws://127.0.0.1:{port}/graphql/ws").into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", "graphql-transport-ws".parse().unwrap());
    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await.unwrap();
    let payload = json!({ "Authorization": format!("Bearer {token}") });
    say(&mut socket, json!({ "type": "connection_init", "payload": payload })).await;
    assert_eq!(next(&mut socket).await["type"], "connection_ack");
    socket
}

/// Sends an operation and answers what it is told first.
async fn ask(socket: &mut Socket, query: &str, variables: Value) -> Value {
    let payload = json!({ "query": query, "variables": variables });
    say(socket, json!({ "id": "1", "type": "subscribe", "payload": payload })).await;
    let message = next(socket).await;
    assert_eq!(message["type"], "next", "{message}");
    message["payload"]["data"].clone()
}

async fn say(socket: &mut Socket, message: Value) {
    socket.send(Message::text(message.to_string())).await.unwrap();
}

async fn next(socket: &mut Socket) -> Value {
    loop {
        if let Message::Text(text) = socket.next().await.unwrap().unwrap() {
            return serde_json::from_str(&text).unwrap();
        }
    }
}
