//! Orders, from the draft to the refund.

mod customers;
mod drafts;
mod list;
mod moves;
mod pay;
mod place;
mod reseal;
mod sales;

use serde_json::{Value, json};
use shelfwise::kernel::tenant::TenantCtx;

use crate::graphql_helpers::book;
use crate::harness::Client;
use crate::harness::cluster::psql;

/// Sends `orderCreate` with lines of books and quantities, and answers its payload.
pub async fn order_create(client: &Client<'_>, lines: &[(&str, i32)]) -> Value {
    let lines: Vec<Value> =
        lines.iter().map(|(book, quantity)| json!({ "bookId": book, "quantity": quantity })).collect();
    let customer = json!({ "name": "Ann Example", "email": "ann@customers.example", "address": "1 High Street" });
    create_with(client, json!({ "customer": customer, "lines": lines })).await
}

/// Sends `orderCreate` and answers its payload.
pub async fn create_with(client: &Client<'_>, input: Value) -> Value {
    let query = "mutation($input: OrderCreateInput!) { orderCreate(input: $input) {
        order { id number status version totalPrice { amount currency } customer { name email address isErased }
                lines { nodes { title quantity unitPrice { amount } totalPrice { amount } book { title } } } }
        userErrors { code message path bookId available } } }";
    client.data(query, json!({ "input": input })).await["orderCreate"].clone()
}

/// Enters an order that must be right, and answers its id.
pub async fn order(client: &Client<'_>, lines: &[(&str, i32)]) -> String {
    let payload = order_create(client, lines).await;
    payload["order"]["id"].as_str().unwrap_or_else(|| panic!("{payload}")).to_owned()
}

/// Sends a mutation that takes an order's id and no more than these arguments, and answers its payload.
pub async fn act(client: &Client<'_>, mutation: &str, id: &str, arguments: &str) -> Value {
    let query = format!(
        "mutation($id: ID!) {{ r: {mutation}(id: $id {arguments}) {{
            order {{ id status version totalPrice {{ amount }} payment {{ status }} }}
            userErrors {{ code message path bookId available currentVersion allowedMoves }} }} }}"
    );
    client.data(&query, json!({ "id": id })).await["r"].clone()
}

/// Enters a book with copies at a price of 10.00, and answers its id.
pub async fn stocked(client: &Client<'_>, title: &str, stock: i32) -> String {
    book(client, json!({ "title": title, "stock": stock, "price": { "amount": "10", "currency": "EUR" } })).await
}

/// Copies of a shop's books by title: in stock, reserved, sold.
pub async fn copies(shop: &TenantCtx, title: &str) -> (i32, i32, i64) {
    let query = format!(r#"SELECT stock, reserved, sold FROM "{}".books WHERE title = $1"#, shop.schema);
    let row = psql().await.query_one(&query, &[&title]).await.unwrap();
    (row.get(0), row.get(1), row.get(2))
}

/// Puts an order where a payment would have brought it.
pub async fn make_paid(shop: &TenantCtx, id: &str) {
    let id: shelfwise::kernel::ids::OrderId = id.parse().unwrap();
    let query = format!(
        r#"UPDATE "{}".orders SET status = 'paid', paid_at = now() WHERE id = '{}' AND status = 'placed'"#,
        shop.schema, id.0
    );
    assert_eq!(psql().await.execute(&query, &[]).await.unwrap(), 1);
}

/// The kinds of a shop's events, in their order.
pub async fn events(shop: &TenantCtx) -> Vec<String> {
    let query = format!(r#"SELECT kind FROM "{}".events ORDER BY position"#, shop.schema);
    psql().await.query(&query, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}
