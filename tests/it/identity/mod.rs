//! The shop's people: getting in, staying in, getting out, and what each may do.

mod access;
mod api_keys;
mod login;
mod people;
mod provider;
mod refresh;
mod roles;

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use shelfwise::db::{DbError, TenantTx};
use shelfwise::kernel::tenant::TenantCtx;
use shelfwise::tenant::identity::links::service::{Purpose, link_create};

use crate::harness::{Client, GqlResponse, World};

/// What "within a second everywhere" allows, and as much again for a slow machine.
const WITHIN: Duration = Duration::from_secs(2);

/// A password that will do.
pub const PASSWORD: &str = "correct horse battery";

/// What log-ins answer.
pub const SESSION: &str =
    "session { accessToken refreshToken user { id email status } } userErrors { code message path }";

/// The token of a link that is mailed to an address; nothing where none would be.
pub async fn link(world: &World, shop: &Arc<TenantCtx>, purpose: Purpose, email: &str) -> Option<String> {
    let session = world.app.services.tenants.session(Arc::clone(shop));
    let clock = &*world.app.services.clock;
    let work = async |tx: &mut TenantTx| {
        Ok::<_, DbError>(link_create(tx, clock, &shop.slug, purpose, email).await?.map(|(_, _, token)| token.reveal()))
    };
    session.write(work).await.unwrap()
}

/// Somebody who knows a shop's address and nothing else.
pub fn visitor<'a>(world: &'a World, shop: &TenantCtx) -> Client<'a> {
    world.stranger().with_header("x-tenant", shop.slug.as_str())
}

/// The id of a default role.
pub async fn role_id(client: &Client<'_>, name: &str) -> String {
    let data = client.data("{ roles { id name } }", json!({})).await;
    let roles = data["roles"].as_array().unwrap();
    roles.iter().find(|role| role["name"] == name).unwrap()["id"].as_str().unwrap().to_owned()
}

/// Invites somebody, accepts for them, and answers the log-in.
pub async fn joined(world: &World, email: &str, role: &str) -> Value {
    let owner = world.owner();
    let role = role_id(&owner, role).await;
    let query = "mutation($email: String!, $role: ID!) {
        userInvite(input: { email: $email, name: \"Somebody\", roleIds: [$role] }) { user { id } userErrors { code } } }";
    let data = owner.data(query, json!({ "email": email, "role": role })).await;
    assert_eq!(data["userInvite"]["userErrors"], json!([]));
    let token = link(world, &world.a, Purpose::Invitation, &email.to_lowercase()).await.unwrap();
    let query = format!(
        "mutation($token: String!, $password: String!) {{
            invitationAccept(input: {{ token: $token, password: $password }}) {{ {SESSION} }} }}"
    );
    let data = world.stranger().data(&query, json!({ "token": token, "password": PASSWORD })).await;
    assert_eq!(data["invitationAccept"]["userErrors"], json!([]), "{data}");
    data["invitationAccept"]["session"].clone()
}

/// Tries to log in to shop A.
pub async fn login(world: &World, email: &str, password: &str) -> Value {
    let query = format!(
        "mutation($email: String!, $password: String!) {{
            login(input: {{ email: $email, password: $password }}) {{ {SESSION} }} }}"
    );
    visitor(world, &world.a).data(&query, json!({ "email": email, "password": password })).await["login"].clone()
}

/// A client with an access token of a log-in.
pub fn holder<'a>(world: &'a World, session: &Value) -> Client<'a> {
    world.stranger().with_token(session["accessToken"].as_str().unwrap())
}

/// Asks until the answer is the wanted one, which must come within a second or so.
pub async fn becomes(client: &Client<'_>, query: &str, wanted: impl Fn(&GqlResponse) -> bool) {
    let started = Instant::now();
    loop {
        let response = client.gql(query, json!({})).await;
        if wanted(&response) {
            return;
        }
        assert!(started.elapsed() < WITHIN, "still: {}", response.body);
    }
}

/// A credential with another secret: its last digit is another, whichever it was.
pub fn forged(credential: &str) -> String {
    let (rest, last) = credential.split_at(credential.len() - 1);
    format!("{rest}{}", if last == "0" { '1' } else { '0' })
}
