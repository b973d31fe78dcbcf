//! Administrators' accounts and log-ins, each test in a database of its own: administrators are the whole platform's

mod accounts;
mod sessions;

use std::time::{Duration, Instant};

use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use shelfwise::app::owner;
use shelfwise::db::migrate::migrate_control;

use crate::harness::cluster::{own_database, psql_of};
use crate::harness::{Client, World};

const PASSWORD: &str = "correct horse battery";

/// A second, and what a busy machine adds to the answer that tells.
const SOON: Duration = Duration::from_millis(1_500);

const INVITE: &str = "mutation($email: String!) { adminInvite(input: { email: $email }) {
    admin { id email status } invitationToken userErrors { code path } } }";
const ACCEPT: &str = "mutation($token: String!, $password: String!) {
    invitationAccept(input: { token: $token, password: $password }) {
        session { admin { id status } accessToken refreshToken } userErrors { code message path } } }";
const LOGIN: &str =
    "mutation($email: String!, $password: String!) { login(input: { email: $email, password: $password }) {
    session { admin { id status } accessToken refreshToken } userErrors { code message path } } }";
const REFRESH: &str = "mutation($token: String!) { tokenRefresh(input: { refreshToken: $token }) {
    session { admin { id } accessToken refreshToken } userErrors { code } } }";
const DISABLE: &str = "mutation($id: ID!) { adminDisable(id: $id) { admin { status } userErrors { code } } }";
const CHANGE: &str = "mutation($old: String!, $new: String!) {
    passwordChange(input: { currentPassword: $old, newPassword: $new }) { userErrors { code path } } }";
const VIEWER: &str = "{ viewer { name admin { email } } }";

/// Runs a test in a world whose database is nobody else's: administrators are the whole platform's.
async fn platform(test: impl AsyncFnOnce(&World, &tokio_postgres::Client)) {
    let (name, urls) = own_database().await;
    migrate_control(&owner(&urls).unwrap()).await.unwrap();
    let settings = [
        ("DATABASE_URL", urls.runtime.expose_secret()),
        ("DATABASE_OWNER_URL", urls.owner.as_ref().unwrap().expose_secret()),
    ];
    let world = World::start(&settings).await;
    test(&world, &psql_of(&name).await).await;
    world.assert_nothing_borrowed().await;
    world.end().await;
}

/// Somebody who is in.
struct Insider<'a> {
    id: String,
    refresh: String,
    client: Client<'a>,
}

impl<'a> Insider<'a> {
    fn new(world: &'a World, payload: &Value) -> Self {
        assert_eq!(payload["userErrors"], json!([]));
        let session = &payload["session"];
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let client = Client::new(world, "/admin/graphql", Some(text(&session["accessToken"])));
        Self { id: text(&session["admin"]["id"]), refresh: text(&session["refreshToken"]), client }
    }

    /// Waits until the access token works no more, which must be soon.
    async fn assert_ends(&self) {
        let started = Instant::now();
        while self.client.gql(VIEWER, json!({})).await.code() != "UNAUTHENTICATED" {
            assert!(started.elapsed() < SOON, "the token still works");
            tokio::task::yield_now().await;
        }
    }

    async fn assert_is_in(&self) {
        assert_eq!(self.client.data(VIEWER, json!({})).await["viewer"]["name"], json!(self.id));
    }
}

fn nobody(world: &World) -> Client<'_> {
    Client::new(world, "/admin/graphql", None)
}

async fn invite(client: &Client<'_>, email: &str) -> Value {
    client.data(INVITE, json!({ "email": email })).await["adminInvite"].clone()
}

async fn accept(world: &World, token: &Value, password: &str) -> Value {
    nobody(world).data(ACCEPT, json!({ "token": token, "password": password })).await["invitationAccept"].clone()
}

async fn login(world: &World, email: &str, password: &str) -> Value {
    nobody(world).data(LOGIN, json!({ "email": email, "password": password })).await["login"].clone()
}

async fn refresh(world: &World, token: &str) -> Value {
    nobody(world).data(REFRESH, json!({ "token": token })).await["tokenRefresh"].clone()
}

/// An administrator with [`PASSWORD`], who is in.
async fn hired<'a>(world: &'a World, email: &str) -> Insider<'a> {
    let invited = invite(&world.admin(), email).await;
    Insider::new(world, &accept(world, &invited["invitationToken"], PASSWORD).await)
}

/// What the trail says of administrators: who did what to whom, and whether it knows from where.
async fn trail(psql: &tokio_postgres::Client) -> Vec<(String, String, String, bool)> {
    let query = "SELECT operator, action, target, request_id IS NOT NULL AND address IS NOT NULL
                 FROM control.admin_audit WHERE action LIKE 'admin.%' ORDER BY id";
    let rows = psql.query(query, &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1), row.get(2), row.get(3))).collect()
}

fn code(payload: &Value) -> &Value {
    &payload["userErrors"][0]["code"]
}
