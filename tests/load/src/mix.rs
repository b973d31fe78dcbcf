//! What users do. Each is of one shop, and does one thing after the other.

use std::env;
use std::time::Instant;

use goose::prelude::*;
use serde_json::{Value, json};

use crate::verdict::Terms;
use crate::{RECORDER, SITE};

/// Words that are in the titles of the demo catalogue, and one that is in none.
const WORDS: &[&str] = &["pride", "emma", "war", "the", "moby", "sea", "nothing-like-it"];

/// All that is asked for.
pub const OPERATIONS: [&str; 9] = [
    "admin_jobs",
    "admin_tenants",
    "browse_book",
    "browse_page",
    "floor",
    "order_create",
    "order_list",
    "order_place",
    "search",
];

/// Where the load goes, and by whose name.
pub struct Site {
    /// A token of somebody who may sell, for each shop.
    shops: Vec<String>,
    /// A token of an operator.
    admin: String,
    /// What must come of it.
    pub terms: Terms,
}

impl Site {
    /// Reads `LOAD_SHOP_TOKENS`, spaces between, `LOAD_ADMIN_TOKEN`, and what [`Terms`] reads.
    pub fn from_environment() -> Result<Self, String> {
        let variable = |name: &str| env::var(name).map_err(|_| format!("{name} must be set: use script/load"));
        let shops: Vec<String> = variable("LOAD_SHOP_TOKENS")?.split_whitespace().map(str::to_owned).collect();
        if shops.is_empty() {
            return Err("LOAD_SHOP_TOKENS has no token".to_owned());
        }
        Ok(Self { shops, admin: variable("LOAD_ADMIN_TOKEN")?, terms: Terms::from_environment()? })
    }
}

/// What a user remembers of the answer before.
#[derive(Default)]
struct Memory {
    cursor: Option<String>,
    books: Vec<String>,
    asked: usize,
}

/// Sends an operation of a shop's, and answers its data where it has no error.
async fn ask(
    user: &mut GooseUser,
    name: &'static str,
    query: &str,
    variables: Value,
) -> Result<Value, Box<TransactionError>> {
    let shops = SITE.get().map_or(&[][..], |site| &site.shops);
    let token = shops[user.weighted_users_index % shops.len()].clone();
    send(user, ("/graphql", &token), name, json!({ "query": query, "variables": variables })).await
}

/// Sends an operation, and records how long the whole answer took and whether it was one.
async fn send(
    user: &mut GooseUser,
    (path, token): (&str, &str),
    name: &'static str,
    body: Value,
) -> Result<Value, Box<TransactionError>> {
    let builder = user.get_request_builder(&GooseMethod::Post, path)?.bearer_auth(token).json(&body);
    let request = GooseRequest::builder().set_request_builder(builder).name(name).build();
    let started = Instant::now();
    let response = user.request(request).await?.response;
    let answer = match response {
        Ok(response) if response.status().is_success() => response.json::<Value>().await.ok(),
        Ok(_) | Err(_) => None,
    };
    let took = started.elapsed();
    let data = answer.filter(|answer| answer.get("errors").is_none()).map(|mut answer| answer["data"].take());
    RECORDER.record(name, took, data.is_some());
    Ok(data.unwrap_or(Value::Null))
}

/// What the user remembers.
fn memory(user: &mut GooseUser) -> &mut Memory {
    if user.get_session_data::<Memory>().is_none() {
        user.set_session_data(Memory::default());
    }
    user.get_session_data_unchecked_mut::<Memory>()
}

/// A number that is another each time, and the same in each run.
fn turn(user: &mut GooseUser) -> usize {
    let index = user.weighted_users_index;
    let memory = memory(user);
    memory.asked += 1;
    memory.asked.wrapping_mul(7_919).wrapping_add(index * 104_729)
}

/// Asks for nothing: what everything is held against.
pub async fn floor(user: &mut GooseUser) -> TransactionResult {
    ask(user, "floor", include_str!("../operations/floor.graphql"), json!({})).await.map(drop)
}

/// Turns a page of the catalogue.
pub async fn browse_page(user: &mut GooseUser) -> TransactionResult {
    let after = memory(user).cursor.take();
    let query = include_str!("../operations/browse_page.graphql");
    let data = ask(user, "browse_page", query, json!({ "after": after })).await?;
    let page = &data["books"];
    let memory = memory(user);
    if page["pageInfo"]["hasNextPage"] == true {
        memory.cursor = page["pageInfo"]["endCursor"].as_str().map(str::to_owned);
    }
    let nodes = page["nodes"].as_array().map(Vec::as_slice).unwrap_or_default();
    let books: Vec<String> = nodes.iter().filter_map(|book| book["id"].as_str()).map(str::to_owned).collect();
    if !books.is_empty() {
        memory.books = books;
    }
    Ok(())
}

/// A book that the user has seen; looks for some where there is none.
async fn book(user: &mut GooseUser) -> Result<Option<String>, Box<TransactionError>> {
    if memory(user).books.is_empty() {
        browse_page(user).await?;
    }
    let turn = turn(user);
    let books = &memory(user).books;
    Ok(books.get(turn % books.len().max(1)).cloned())
}

/// Looks at a book.
pub async fn browse_book(user: &mut GooseUser) -> TransactionResult {
    let Some(id) = book(user).await? else { return Ok(()) };
    ask(user, "browse_book", include_str!("../operations/browse_book.graphql"), json!({ "id": id })).await.map(drop)
}

/// Searches for a word.
pub async fn search(user: &mut GooseUser) -> TransactionResult {
    let word = WORDS[turn(user) % WORDS.len()];
    ask(user, "search", include_str!("../operations/search.graphql"), json!({ "text": word })).await.map(drop)
}

/// Enters an order and places it. That a book is sold out is an answer, and no failure.
pub async fn order(user: &mut GooseUser) -> TransactionResult {
    let Some(book) = book(user).await? else { return Ok(()) };
    let query = include_str!("../operations/order_create.graphql");
    let data = ask(user, "order_create", query, json!({ "book": book })).await?;
    let Some(id) = data["orderCreate"]["order"]["id"].as_str() else { return Ok(()) };
    let query = include_str!("../operations/order_place.graphql");
    ask(user, "order_place", query, json!({ "id": id })).await.map(drop)
}

/// Looks at the newest orders.
pub async fn order_list(user: &mut GooseUser) -> TransactionResult {
    ask(user, "order_list", include_str!("../operations/order_list.graphql"), json!({})).await.map(drop)
}

/// Lists tenants.
pub async fn admin_tenants(user: &mut GooseUser) -> TransactionResult {
    operate(user, "admin_tenants", include_str!("../operations/admin_tenants.graphql")).await
}

/// Lists jobs.
pub async fn admin_jobs(user: &mut GooseUser) -> TransactionResult {
    operate(user, "admin_jobs", include_str!("../operations/admin_jobs.graphql")).await
}

async fn operate(user: &mut GooseUser, name: &'static str, query: &str) -> TransactionResult {
    let token = SITE.get().map(|site| site.admin.clone()).unwrap_or_default();
    send(user, ("/admin/graphql", &token), name, json!({ "query": query })).await.map(drop)
}
