//! `identityProvider`, `identityProviderSet`, `identityProviderRemove`: tokens of a shop's own issuer

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use shelfwise::config::auth::JwtKey;

use super::{becomes, role_id, visitor};
use crate::graphql_helpers::codes;
use crate::harness::cluster::{held_up, psql};
use crate::harness::{Client, World, world};

const VIEWER: &str = "{ viewer { user { email status } } }";

/// An issuer of the tests' own: it publishes its keys over HTTP, as real ones do.
struct Issuer {
    url: String,
    key: EncodingKey,
    served: Arc<Served>,
}

struct Served {
    jwks: std::sync::Mutex<Value>,
    fetches: AtomicUsize,
    is_away: AtomicBool,
}

impl Issuer {
    async fn start() -> Self {
        let (key, jwks) = key("k1");
        let served = Arc::new(Served {
            jwks: std::sync::Mutex::new(jwks),
            fetches: AtomicUsize::new(0),
            is_away: AtomicBool::new(false),
        });
        let keys = async |State(served): State<Arc<Served>>| {
            served.fetches.fetch_add(1, Ordering::Relaxed);
            if served.is_away.load(Ordering::Relaxed) {
                return Err(axum::http::StatusCode::BAD_GATEWAY);
            }
            Ok(axum::Json(served.jwks.lock().unwrap().clone()))
        };
        let routes = Router::new().route("/keys", get(keys)).with_state(Arc::clone(&served));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { url, key, served }
    }

    /// A token for somebody, with claims of the test's own.
    fn token(&self, claims: Value) -> String {
        self.signed(&self.key, "k1", claims)
    }

    fn signed(&self, key: &EncodingKey, key_id: &str, claims: Value) -> String {
        let now = chrono::Utc::now().timestamp();
        let mut payload = json!({ "iss": self.url, "aud": "shop", "sub": "ann-at-idp", "exp": now + 60, "nbf": now,
            "email": "Ann@acme.example", "email_verified": true });
        payload.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        payload.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        let header = Header { kid: Some(key_id.to_owned()), ..Header::new(Algorithm::EdDSA) };
        encode(&header, &payload, key).unwrap()
    }
}

/// A key with the set that publishes it.
fn key(id: &str) -> (EncodingKey, Value) {
    let private = JwtKey::generate(id).unwrap();
    let key = EncodingKey::from_ed_der(private.pkcs8.expose_secret());
    let mut jwk = Jwk::from_encoding_key(&key, Algorithm::EdDSA).unwrap();
    jwk.common.key_id = Some(id.to_owned());
    (key, json!({ "keys": [{ "kty": "unknown" }, jwk] }))
}

async fn set(client: &Client<'_>, issuer: &str, jwks_url: &str, audience: &str) -> Value {
    let query = "mutation($issuer: String!, $jwksUrl: String!, $audience: String!) {
        identityProviderSet(input: { issuer: $issuer, jwksUrl: $jwksUrl, audience: $audience }) {
            identityProvider { id issuer } userErrors { code path } } }";
    let variables = json!({ "issuer": issuer, "jwksUrl": jwks_url, "audience": audience });
    client.data(query, variables).await["identityProviderSet"].clone()
}

/// An issuer that shop A trusts, and Ann, whom it has invited.
async fn trusted(world: &World) -> Issuer {
    let issuer = Issuer::start().await;
    let payload = set(&world.owner(), &issuer.url, &format!("{}/keys", issuer.url), "shop").await;
    assert_eq!(payload["userErrors"], json!([]));
    let owner = world.owner();
    let clerk = role_id(&owner, "Clerk").await;
    let query = "mutation($role: ID!) {
        userInvite(input: { email: \"ann@acme.example\", name: \"Ann\", roleIds: [$role] }) { userErrors { code } } }";
    owner.data(query, json!({ "role": clerk })).await;
    issuer
}

#[tokio::test]
async fn an_invited_user_gets_in_by_the_shops_own_log_in() {
    world(async |world| {
        let issuer = trusted(world).await;
        let ann = visitor(world, &world.a).with_token(&issuer.token(json!({})));
        let data = ann.data(VIEWER, json!({})).await;
        assert_eq!(data["viewer"]["user"], json!({ "email": "ann@acme.example", "status": "ACTIVE" }));
        // From now on the issuer's name of her is enough, and nobody else has it.
        let unverified = issuer.token(json!({ "email": null, "email_verified": null }));
        assert_eq!(visitor(world, &world.a).with_token(&unverified).gql(VIEWER, json!({})).await.code(), "");
        let twin = issuer.token(json!({ "sub": "someone-else" }));
        assert_eq!(visitor(world, &world.a).with_token(&twin).gql(VIEWER, json!({})).await.code(), "UNAUTHENTICATED");
    })
    .await;
}

#[tokio::test]
async fn two_replicas_that_hear_of_a_user_first_at_once_both_let_her_in() {
    world(async |world| {
        let issuer = trusted(world).await;
        let replica = World::beside(world).await;
        let token = issuer.token(json!({}));
        let blocker = psql().await;
        let lock = r#"SELECT id FROM "{}".users WHERE email_key = 'ann@acme.example' FOR UPDATE"#;
        blocker.batch_execute(&format!("BEGIN; {}", lock.replace("{}", world.a.schema.as_str()))).await.unwrap();
        let let_go = async {
            held_up(&blocker, 2).await;
            blocker.batch_execute("ROLLBACK").await.unwrap();
        };
        let (here, there) = (visitor(world, &world.a), visitor(&replica, &replica.a));
        let (here, there) = (here.with_token(&token), there.with_token(&token));
        let (one, two, ()) = tokio::join!(here.gql(VIEWER, json!({})), there.gql(VIEWER, json!({})), let_go);
        assert_eq!((one.code(), two.code()), ("", ""));
        replica.end().await;
    })
    .await;
}

#[tokio::test]
async fn tokens_that_are_wrong_in_any_part_open_nothing() {
    world(async |world| {
        let issuer = trusted(world).await;
        let now = chrono::Utc::now().timestamp();
        let check = async |token: &str, what: &str| {
            let response = visitor(world, &world.a).with_token(token).gql(VIEWER, json!({})).await;
            assert_eq!((response.status, response.code()), (401, "UNAUTHENTICATED"), "{what}");
        };
        for (claims, what) in [
            (json!({ "iss": "https://evil.example" }), "another issuer"),
            (json!({ "aud": "another-shop" }), "another audience"),
            (json!({ "aud": null }), "no audience"),
            (json!({ "exp": now - 60 }), "late"),
            (json!({ "exp": null }), "without an end"),
            (json!({ "nbf": now + 60 }), "early"),
            (json!({ "sub": "" }), "about nobody"),
            (json!({ "email_verified": false }), "an address that is not vouched for"),
            (json!({ "email": "stranger@acme.example" }), "somebody who is not invited"),
        ] {
            check(&issuer.token(claims), what).await;
        }
        let (other, _) = key("k1");
        check(&issuer.signed(&other, "k1", json!({})), "another key").await;
        check(&issuer.signed(&other, "k9", json!({})), "an unknown key").await;
        let symmetric = Header { kid: Some("k1".to_owned()), ..Header::new(Algorithm::HS256) };
        let claims = json!({ "iss": issuer.url, "aud": "shop", "sub": "x", "exp": now + 60 });
        check(&encode(&symmetric, &claims, &EncodingKey::from_secret(b"k")).unwrap(), "a symmetric algorithm").await;
        let elsewhere = visitor(world, &world.b).with_token(&issuer.token(json!({})));
        elsewhere.gql(VIEWER, json!({})).await.assert_refused(401, "UNAUTHENTICATED");
        let nowhere = world.stranger().with_token(&issuer.token(json!({})));
        nowhere.gql(VIEWER, json!({})).await.assert_refused(401, "UNAUTHENTICATED");
    })
    .await;
}

#[tokio::test]
async fn keys_are_fetched_once_and_outlast_an_outage() {
    world(async |world| {
        let issuer = trusted(world).await;
        let ask = async |token: &str| visitor(world, &world.a).with_token(token).gql(VIEWER, json!({})).await.status;
        let asks = (0..5).map(|_| async { ask(&issuer.token(json!({}))).await });
        assert_eq!(futures_util::future::join_all(asks).await, [200; 5]);
        assert_eq!(issuer.served.fetches.load(Ordering::Relaxed), 1);
        issuer.served.is_away.store(true, Ordering::Relaxed);
        let (other, _) = key("k2");
        for _ in 0..5 {
            assert_eq!(ask(&issuer.signed(&other, "k2", json!({}))).await, 401);
        }
        assert_eq!(issuer.served.fetches.load(Ordering::Relaxed), 1, "unknown keys do not make us ask at will");
        assert_eq!(ask(&issuer.token(json!({ "nbf": null }))).await, 200);
    })
    .await;
}

#[tokio::test]
async fn a_provider_that_is_removed_lets_nobody_in_within_a_second() {
    world(async |world| {
        let issuer = trusted(world).await;
        let ann = visitor(world, &world.a).with_token(&issuer.token(json!({})));
        assert_eq!(ann.gql(VIEWER, json!({})).await.code(), "");
        let remove = "mutation { identityProviderRemove { userErrors { code } } }";
        assert_eq!(world.owner().data(remove, json!({})).await["identityProviderRemove"]["userErrors"], json!([]));
        becomes(&ann, VIEWER, |answer| answer.code() == "UNAUTHENTICATED").await;
        let data = world.owner().data("{ identityProvider { id } }", json!({})).await;
        assert_eq!(data["identityProvider"], Value::Null);
        assert_eq!(
            codes(&world.owner().data(remove, json!({})).await["identityProviderRemove"]),
            ["IDENTITY_PROVIDER_NOT_FOUND"]
        );
    })
    .await;
}

#[tokio::test]
async fn addresses_within_our_own_walls_are_no_providers() {
    crate::harness::world::world_with(&[("SHELFWISE_ENV", "staging")], async |world| {
        let owner = world.owner();
        for url in [
            "http://idp.example/keys",
            "https://localhost/keys",
            "https://127.0.0.1/keys",
            "https://10.0.0.1/keys",
            "https://169.254.169.254/latest/meta-data",
            "https://[::1]/keys",
            "https://[::ffff:10.0.0.1]/keys",
            "https://user:secret@idp.example/keys",
            "https://idp.example:22/keys",
            "file:///etc/passwd",
            "nonsense",
        ] {
            let payload = set(&owner, "https://idp.example", url, "shop").await;
            let expected = json!([{ "code": "IDENTITY_PROVIDER_INVALID", "path": ["input", "jwksUrl"] }]);
            assert_eq!(payload["userErrors"], expected, "{url}");
        }
        assert_eq!(
            codes(&set(&owner, "nonsense", "https://idp.example/k", "shop").await),
            ["IDENTITY_PROVIDER_INVALID"]
        );
        assert_eq!(
            codes(&set(&owner, "https://idp.example", "https://idp.example/k", " ").await),
            ["IDENTITY_PROVIDER_INVALID"]
        );
        assert_eq!(set(&owner, "https://idp.example", "https://idp.example/k", "shop").await["userErrors"], json!([]));
    })
    .await;
}
