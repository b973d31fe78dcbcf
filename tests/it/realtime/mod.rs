//! Subscriptions: what is told, to whom, over what, and how it ends.

mod events;
mod hostile;
mod imports;
mod protocol;
mod replicas;
mod standing;
mod subscriptions;

use serde_json::{Value, json};

use crate::harness::Client;

/// Looks on at an order.
pub const ORDER: &str = "subscription($id: ID!) { orderStatusChanged(orderId: $id) { id status } }";

/// What is told of an order.
pub fn told(id: &str, status: &str) -> Value {
    json!({ "orderStatusChanged": { "id": id, "status": status } })
}

/// A key that may do these things, and its id.
pub async fn key(owner: &Client<'_>, permissions: &[&str]) -> (String, String) {
    let query = "mutation($permissions: [Permission!]!) {
        apiKeyCreate(input: { name: \"Watch\", permissions: $permissions }) { secret apiKey { id } userErrors { code } } }";
    let data = owner.data(query, json!({ "permissions": permissions })).await["apiKeyCreate"].clone();
    let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{data}")).to_owned();
    (text(&data["secret"]), text(&data["apiKey"]["id"]))
}
