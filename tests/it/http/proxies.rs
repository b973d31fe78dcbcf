//! Proxies: whose requests are counted together, by the address that those say whom we trust.

use serde_json::json;

use crate::graphql_helpers::codes;
use crate::harness::world::world_with;
use crate::harness::{World, world};
use crate::identity::visitor;

/// Attempts that one address has before it waits.
const FREE: usize = 31;

/// Tries an account that nobody has, through a proxy that says whom the request is from, and answers the refusal.
async fn attempt(world: &World, forwarded_for: &str, account: usize) -> String {
    let query = "mutation($email: String!) {
        login(input: { email: $email, password: \"wrong password\" }) { userErrors { code } } }";
    let visitor = visitor(world, &world.a).with_header("x-forwarded-for", forwarded_for);
    let data = visitor.data(query, json!({ "email": format!("user{account}@acme.example") })).await;
    codes(&data["login"]).join(" ")
}

#[tokio::test]
async fn behind_a_trusted_proxy_each_client_is_slowed_down_for_itself() {
    world_with(&[("TRUSTED_PROXIES", "127.0.0.0/8")], async |world| {
        for account in 0..FREE {
            assert_eq!(attempt(world, "198.51.100.7", account).await, "CREDENTIALS_INVALID", "{account}");
        }
        // What stands further left was written by the client itself, and gets it no fresh start.
        assert_eq!(attempt(world, "203.0.113.9, 198.51.100.7", FREE).await, "TOO_MANY_ATTEMPTS");
        assert_eq!(attempt(world, "203.0.113.9", FREE).await, "CREDENTIALS_INVALID");
    })
    .await;
}

#[tokio::test]
async fn a_header_of_somebody_who_is_not_trusted_is_not_believed() {
    world(async |world| {
        for account in 0..FREE {
            let claimed = format!("198.51.100.{account}");
            assert_eq!(attempt(world, &claimed, account).await, "CREDENTIALS_INVALID", "{account}");
        }
        assert_eq!(attempt(world, "203.0.113.9", FREE).await, "TOO_MANY_ATTEMPTS");
    })
    .await;
}
