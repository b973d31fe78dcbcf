//! What processes tell of themselves: traces, by a collector that the test is, and log lines.

mod absent;
mod causes;
mod lines;
mod planted;
mod requests;
mod sockets;

use std::sync::Arc;

use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use shelfwise::config::auth::JwtKey;
use shelfwise::config::database::DatabaseUrls;
use shelfwise::kernel::clock::SystemClock;

use crate::graphql_helpers::{author, book_create};
use crate::harness::process::{self, Process};
use crate::harness::world::master_key;
use crate::harness::{World, logs};
use crate::orders::{create_with, stocked};

/// What no log line and no trace may have.
pub const SECRET: &str = "planted-Zanzibar";

/// Two shops, whose requests go to a server that is a process of its own.
pub struct Site {
    pub world: World,
    pub server: Process<Vec<Value>>,
    pub urls: DatabaseUrls,
    pub keys: String,
}

impl Site {
    /// Starts a server with settings of its own.
    pub async fn start(settings: &[(&'static str, &str)]) -> Self {
        let keys = JwtKey::generate("test-1").unwrap().to_setting();
        let (mut world, _) = World::start_alone(Arc::new(SystemClock), &[("JWT_KEYS", &keys)]).await;
        let urls = world.app.config.database.urls.clone().unwrap();
        let server = Process::start("serve", &settings_of(&urls, &keys, settings), process::all).await;
        world.base_url = server.url("");
        Self { world, server, urls, keys }
    }

    /// Starts a worker over the same database.
    pub async fn worker(&self, settings: &[(&'static str, &str)]) -> Process<Vec<Value>> {
        Process::start("work", &settings_of(&self.urls, &self.keys, settings), process::all).await
    }

    /// Reads books by a title that nobody else knows, as an operation of this name.
    pub async fn search(&self, name: &str, headers: &[(&'static str, &str)]) -> String {
        let owner = headers.iter().fold(self.world.owner(), |client, (name, value)| client.with_header(name, value));
        let query = format!(
            "query {name}($title: String!) {{ books(search: $title) {{
                nodes {{ id title authors {{ nodes {{ name }} }} }} }} }}"
        );
        let response = owner.gql(&query, json!({ "title": SECRET })).await;
        assert_eq!(response.body.get("errors"), None, "{}", response.body);
        response.headers["x-request-id"].to_str().unwrap().to_owned()
    }

    /// Adds a book by an author, both of names that nobody else knows.
    pub async fn add_book(&self) -> Value {
        let owner = self.world.owner();
        let author = author(&owner, &format!("{SECRET} Author")).await;
        let input = json!({ "title": format!("{SECRET} Title"), "authorIds": [author] });
        book_create(&owner, input).await["book"].clone()
    }

    /// Enters an order, which is an event, of somebody whom nobody else knows, by a request of this id.
    pub async fn order(&self, id: &str) {
        let book = stocked(&self.world.owner(), &format!("{SECRET} {id}"), 9).await;
        let owner = self.world.owner().with_header("x-request-id", id);
        let customer = json!({ "name": SECRET, "email": format!("{SECRET}@customers.example"), "address": SECRET });
        let input = json!({ "customer": customer, "lines": [{ "bookId": book, "quantity": 1 }] });
        let payload = create_with(&owner, input).await;
        assert_eq!(payload["userErrors"], json!([]), "{payload}");
    }

    /// Stops all of it, and answers what the server has logged.
    pub async fn end(self) -> Vec<Value> {
        let lines = self.server.stop().await;
        self.world.end().await;
        lines
    }
}

/// The settings of a process over a database: what all have in common, and its own.
fn settings_of(urls: &DatabaseUrls, keys: &str, settings: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    let common = [
        ("DATABASE_URL", urls.runtime.expose_secret().to_owned()),
        ("DATABASE_OWNER_URL", urls.owner.as_ref().unwrap().expose_secret().to_owned()),
        ("MASTER_KEYS", master_key().to_setting()),
        ("JWT_KEYS", keys.to_owned()),
        ("SPARE_SCHEMAS", "0".to_owned()),
        ("PORT", "0".to_owned()),
    ];
    let own = logs::SETTINGS.iter().chain(settings).map(|(name, value)| (*name, (*value).to_owned()));
    common.into_iter().chain(own).collect()
}
