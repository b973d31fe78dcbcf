//! Whoever may not look on any more does not: soon where nothing happens, and at once where something does.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use shelfwise::kernel::clock::{Clock as _, SystemClock};

use super::{ORDER, key, told};
use crate::harness::cluster::psql_of;
use crate::harness::socket::Socket;
use crate::harness::world::user_claims;
use crate::harness::{World, world};
use crate::identity::{holder, joined};
use crate::orders::{act, order};
use shelfwise::kernel::actor::Role;
use shelfwise::kernel::news::{Bulletin, Told};

const REVOKE: &str = "mutation($id: ID!) { apiKeyRevoke(id: $id) { userErrors { code } } }";

#[tokio::test]
async fn a_revoked_key_closes_its_socket_and_no_other() {
    world(async |world| {
        let owner = world.owner();
        let id = order(&owner, &[]).await;
        let (secret, key_id) = key(&owner, &["ORDERS_READ"]).await;
        let mut socket = Socket::of(world, &secret).await;
        let mut owners = Socket::of(world, &world.owner_token()).await;
        socket.subscribe("1", ORDER, json!({ "id": id })).await;
        assert_eq!(socket.next_of("1").await, told(&id, "DRAFT"));
        let data = owner.data(REVOKE, json!({ "id": key_id })).await;
        assert_eq!(data["apiKeyRevoke"]["userErrors"], json!([]));
        assert_eq!(socket.closed().await, (4403, "A valid credential is required".to_owned()));
        owners.hears_nothing().await;
    })
    .await;
}

#[tokio::test]
async fn a_permission_that_was_taken_ends_the_subscription() {
    world(async |world| {
        let owner = world.owner();
        let (emma, create) = (
            crate::orders::stocked(&owner, "Emma", 3).await,
            "mutation { roleCreate(input: { name: \"Watcher\", permissions: [ORDERS_READ, CATALOG_READ] }) {
                role { id } } }",
        );
        let id = order(&owner, &[(&emma, 1)]).await;
        let role = owner.data(create, json!({})).await["roleCreate"]["role"]["id"].clone();
        let session = joined(world, "ann@acme.example", "Watcher").await;
        let ann = holder(world, &session);
        let mut socket = Socket::of(world, session["accessToken"].as_str().unwrap()).await;
        socket.subscribe("1", ORDER, json!({ "id": id })).await;
        assert_eq!(socket.next_of("1").await, told(&id, "DRAFT"));

        let update = "mutation($id: ID!) { roleUpdate(id: $id, version: 1, input: { permissions: [CATALOG_READ] }) {
            userErrors { code } } }";
        owner.data(update, json!({ "id": role })).await;
        // Asked for until the answer of before is forgotten.
        let look = "query($id: ID!) { order(id: $id) { id } }";
        while ann.gql(look, json!({ "id": id })).await.code() != "FORBIDDEN" {}
        crate::orders::act(&owner, "orderPlace", &id, "").await;
        let last = socket.hears().await;
        assert_eq!(last["payload"]["data"], json!(null), "{last}");
        assert_eq!(last["payload"]["errors"][0]["extensions"]["code"], "FORBIDDEN");
        socket.ends("1").await;
        // What is still allowed goes on over the same socket.
        socket.subscribe("2", "{ books { totalCount } }", json!({})).await;
        assert_eq!(socket.next_of("2").await, json!({ "books": { "totalCount": 1 } }));
    })
    .await;
}

#[tokio::test]
async fn a_suspended_shop_closes_its_sockets_and_no_others() {
    world(async |world| {
        let id = order(&world.owner(), &[]).await;
        let mut socket = Socket::of(world, &world.owner_token()).await;
        let mut other = Socket::of(world, &world.token(&user_claims(&world.b, Role::Owner))).await;
        socket.subscribe("1", ORDER, json!({ "id": id })).await;
        socket.next_of("1").await;
        let suspend =
            "mutation($slug: String!) { tenantSuspend(slug: $slug, reason: \"unpaid\") { userErrors { code } } }";
        world.admin().data(suspend, json!({ "slug": world.a.slug.as_str() })).await;
        // Its subscription may have been refused before.
        assert_eq!(socket.closed_at_last().await, (4403, "This shop is suspended".to_owned()));
        let mut again = Socket::greet(world).await;
        again.init(&world.owner_token()).await;
        assert_eq!(again.closed().await, (4403, "This shop is suspended".to_owned()));
        other.hears_nothing().await;
    })
    .await;
}

#[tokio::test]
async fn a_token_that_ends_ends_its_socket() {
    world(async |world| {
        let claims = user_claims(&world.a, Role::Owner);
        let token = world.app.services.tokens.mint(&claims, SystemClock.now(), Duration::from_secs(2)).unwrap();
        let mut socket = Socket::of(world, &token).await;
        assert_eq!(socket.closed().await, (4403, "The token has expired".to_owned()));
    })
    .await;
}

#[tokio::test]
async fn who_logs_out_is_out() {
    world(async |world| {
        let session = joined(world, "ann@acme.example", "Owner").await;
        let mut socket = Socket::of(world, session["accessToken"].as_str().unwrap()).await;
        let ann = holder(world, &session);
        ann.data("mutation { logout { userErrors { code } } }", json!({})).await;
        assert_eq!(socket.closed().await, (4403, "A valid credential is required".to_owned()));
    })
    .await;
}

#[tokio::test]
async fn a_socket_goes_on_while_its_credential_is_looked_up() {
    let (world, name) = World::start_alone(Arc::new(SystemClock), &[]).await;
    let owner = world.owner();
    let id = order(&owner, &[]).await;
    let psql = psql_of(&name).await;
    let mut socket = Socket::of(&world, &world.owner_token()).await;
    socket.subscribe("1", ORDER, json!({ "id": id })).await;
    assert_eq!(socket.next_of("1").await, told(&id, "DRAFT"));
    let table = format!("\"{}\".users", world.a.schema);
    psql.batch_execute(&format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")).await.unwrap();
    let waiting = format!("SELECT 1 FROM pg_locks WHERE NOT granted AND relation = '{table}'::regclass");
    let anything = || world.app.live.on_news(Bulletin::Of(world.a.id, &Told::Anything));
    anything();
    // It is asked for a second later.
    while psql.query(&waiting, &[]).await.unwrap().is_empty() {}
    // A look of the subscription waits for the same answer now.
    anything();
    socket.say(json!({ "type": "ping", "payload": { "a": 1 } })).await;
    assert_eq!(socket.hears().await, json!({ "type": "pong", "payload": { "a": 1 } }));
    psql.batch_execute("ROLLBACK").await.unwrap();
    act(&owner, "orderCancel", &id, ", reason: FRAUD").await;
    assert_eq!(socket.next_of("1").await, told(&id, "CANCELED"));
    world.end().await;
}

#[tokio::test]
async fn who_was_disabled_is_out_be_it_that_nothing_happens() {
    world(async |world| {
        let session = joined(world, "ann@acme.example", "Owner").await;
        let mut socket = Socket::of(world, session["accessToken"].as_str().unwrap()).await;
        let disable = "mutation($id: ID!) { userDisable(id: $id) { userErrors { code } } }";
        let data = world.owner().data(disable, json!({ "id": session["user"]["id"] })).await;
        assert_eq!(data["userDisable"]["userErrors"], json!([]));
        assert_eq!(socket.closed().await, (4403, "A valid credential is required".to_owned()));
    })
    .await;
}

#[tokio::test]
async fn a_key_is_asked_for_again_where_the_database_did_not_answer() {
    let (world, name) = World::start_alone(Arc::new(SystemClock), &[("REQUEST_TIMEOUT_MS", "2000")]).await;
    let (secret, _) = key(&world.owner(), &["ORDERS_READ"]).await;
    let psql = psql_of(&name).await;
    let mut socket = Socket::of(&world, &secret).await;
    let table = format!("\"{}\".api_keys", world.a.schema);
    let revoke = format!("BEGIN; UPDATE {table} SET revoked_at = now(); LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE");
    psql.batch_execute(&revoke).await.unwrap();
    world.app.live.on_news(Bulletin::Of(world.a.id, &Told::Anything));
    let waiting = format!("SELECT 1 FROM pg_locks WHERE NOT granted AND relation = '{table}'::regclass");
    while psql.query(&waiting, &[]).await.unwrap().is_empty() {}
    // It is given up.
    while !psql.query(&waiting, &[]).await.unwrap().is_empty() {}
    psql.batch_execute("COMMIT").await.unwrap();
    assert_eq!(socket.closed().await, (4403, "A valid credential is required".to_owned()));
    world.end().await;
}
