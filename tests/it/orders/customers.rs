//! What is known of customers, and how it is forgotten.

use serde_json::{Value, json};

use super::{create_with, order};
use crate::graphql_helpers::codes;
use crate::harness::cluster::psql;
use crate::harness::world::dump;
use crate::harness::{Client, world};

async fn order_of(client: &Client<'_>, name: &str, email: &str) -> String {
    let payload = create_with(client, json!({ "customer": { "name": name, "email": email } })).await;
    payload["order"]["id"].as_str().unwrap().to_owned()
}

async fn numbers_of(client: &Client<'_>, email: &str) -> Value {
    let query = "query($email: String!) { orders(filter: { customerEmail: $email }) { nodes { number } totalCount } }";
    client.data(query, json!({ "email": email })).await["orders"].clone()
}

#[tokio::test]
async fn an_address_is_found_by_its_hash_and_stored_nowhere_in_the_open() {
    world(async |world| {
        let owner = world.owner();
        order_of(&owner, "Ann Secretname", "Ann@Hidden.Example").await;
        order_of(&owner, "Ann Othername", "ann@hidden.example").await;
        order_of(&owner, "Bob", "bob@hidden.example").await;

        let found = numbers_of(&owner, "ANN@hidden.example").await;

        assert_eq!(found, json!({ "nodes": [{ "number": "2" }, { "number": "1" }], "totalCount": 2 }));
        assert_eq!(numbers_of(&owner, "nobody@hidden.example").await["totalCount"], 0);
        assert_eq!(numbers_of(&owner, "no address").await["totalCount"], 0);
        let dump = dump(&world.a, "").await.to_lowercase();
        for secret in ["secretname", "hidden.example", "616e6e"] {
            assert!(!dump.contains(secret), "`{secret}` is stored in the open");
        }
    })
    .await;
}

#[tokio::test]
async fn a_customer_is_erased_in_all_orders_at_once_and_the_orders_stay() {
    world(async |world| {
        let owner = world.owner();
        let (first, second) =
            (order_of(&owner, "Ann", "ann@hidden.example").await, order_of(&owner, "Ann", "ann@hidden.example").await);
        let bob = order_of(&owner, "Bob", "bob@hidden.example").await;
        let erase = "mutation { customerErase(email: \"ann@hidden.example\") { userErrors { code } } }";

        assert_eq!(codes(&owner.data(erase, json!({})).await["customerErase"]), Vec::<&str>::new());

        let customer = "query($id: ID!) { order(id: $id) { number customer { name email address isErased } } }";
        for id in [first, second] {
            let order = owner.data(customer, json!({ "id": id })).await["order"].clone();
            assert_eq!(order["customer"], json!({ "name": null, "email": null, "address": null, "isErased": true }));
        }
        let order = owner.data(customer, json!({ "id": bob })).await["order"].clone();
        assert_eq!(order["customer"]["name"], "Bob");
        assert_eq!(numbers_of(&owner, "ann@hidden.example").await["totalCount"], 0);
        assert_eq!(codes(&owner.data(erase, json!({})).await["customerErase"]), ["CUSTOMER_NOT_FOUND"]);
        // Who comes back is somebody new.
        order_of(&owner, "Ann", "ann@hidden.example").await;
        assert_eq!(numbers_of(&owner, "ann@hidden.example").await["totalCount"], 1);
    })
    .await;
}

#[tokio::test]
async fn one_address_at_the_same_moment_is_one_customer() {
    world(async |world| {
        let owner = world.owner();
        futures_util::future::join_all((0..8).map(|_| order(&owner, &[]))).await;
        let query = format!(r#"SELECT count(*) FROM "{}".customers"#, world.a.schema);
        assert_eq!(psql().await.query_one(&query, &[]).await.unwrap().get::<_, i64>(0), 1);
        let numbers = owner.data("{ orders { nodes { number } } }", json!({})).await;
        let numbers: Vec<&str> =
            numbers["orders"]["nodes"].as_array().unwrap().iter().map(|n| n["number"].as_str().unwrap()).collect();
        assert_eq!(numbers.len(), 8);
        let mut sorted: Vec<u32> = numbers.iter().map(|number| number.parse().unwrap()).collect();
        sorted.sort_unstable();
        assert_eq!(sorted, (1..=8).collect::<Vec<u32>>(), "numbers without gaps");
    })
    .await;
}
