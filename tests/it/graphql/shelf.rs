//! Books, authors and categories for tests, made through the API.

use serde_json::{Value, json};

use crate::harness::Client;

/// Adds an author and answers the id.
pub async fn author(client: &Client<'_>, name: &str) -> String {
    let query =
        "mutation($name: String!) { authorCreate(input: { name: $name }) { author { id } userErrors { code } } }";
    let data = client.data(query, json!({ "name": name })).await;
    data["authorCreate"]["author"]["id"].as_str().unwrap_or_else(|| panic!("{data}")).to_owned()
}

/// Adds a category and answers the id.
pub async fn category(client: &Client<'_>, name: &str, parent: Option<&str>) -> String {
    let query = "mutation($name: String!, $parent: ID) {
        categoryCreate(input: { name: $name, parentId: $parent }) { category { id } userErrors { code } } }";
    let data = client.data(query, json!({ "name": name, "parent": parent })).await;
    data["categoryCreate"]["category"]["id"].as_str().unwrap_or_else(|| panic!("{data}")).to_owned()
}

/// Sends `bookCreate` and answers its payload.
pub async fn book_create(client: &Client<'_>, input: Value) -> Value {
    let query = "mutation($input: BookCreateInput!) { bookCreate(input: $input) {
        book { id version title isbn13 stock language price { amount currency } publishedOn { year month day }
               authors { nodes { name } } category { name } }
        userErrors { code path message } } }";
    client.data(query, json!({ "input": input })).await["bookCreate"].clone()
}

/// Adds a book that must be right, and answers its id.
pub async fn book(client: &Client<'_>, input: Value) -> String {
    let payload = book_create(client, input).await;
    payload["book"]["id"].as_str().unwrap_or_else(|| panic!("{payload}")).to_owned()
}

/// The codes of a payload's user errors.
pub fn codes(payload: &Value) -> Vec<&str> {
    payload["userErrors"].as_array().unwrap().iter().map(|error| error["code"].as_str().unwrap()).collect()
}
