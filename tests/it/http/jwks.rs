//! The public keys, as somebody fetches them who verifies our tokens.

use std::collections::BTreeSet;

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::{Value, json};
use shelfwise::config::auth::JwtKey;
use shelfwise::kernel::actor::Role;

use crate::harness::World;
use crate::harness::world::{user_claims, world_with};

/// The answer's headers by name, and its text.
async fn fetch(world: &World) -> (reqwest::header::HeaderMap, String) {
    let response = world.http.get(format!("{}/.well-known/jwks.json", world.base_url)).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 200);
    (response.headers().clone(), response.text().await.unwrap())
}

#[tokio::test]
async fn everybody_can_verify_a_token_with_the_published_keys() {
    let keys = ["new", "old"].map(|id| JwtKey::generate(id).unwrap().to_setting()).join(",");
    world_with(&[("JWT_KEYS", &keys)], async |world| {
        let (headers, text) = fetch(world).await;
        assert_eq!(headers["content-type"], "application/json");
        assert_eq!(headers["cache-control"], "public, max-age=300");

        let token = world.token(&user_claims(&world.a, Role::Owner));
        let key_id = decode_header(&token).unwrap().kid.unwrap();
        assert_eq!(key_id, "new");
        let jwks: JwkSet = serde_json::from_str(&text).unwrap();
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&["shelfwise"]);
        validation.set_audience(&["shelfwise/tenant"]);
        let verify = |id: &str| {
            let key = DecodingKey::from_jwk(jwks.find(id).unwrap()).unwrap();
            decode::<Value>(&token, &key, &validation).map(|token| token.claims["tenant"].clone())
        };
        assert_eq!(verify("new").unwrap(), json!(world.a.slug.as_str()));
        assert!(verify("old").is_err(), "another key's");
    })
    .await;
}

#[tokio::test]
async fn nothing_private_is_published() {
    let keys = ["new", "old"].map(|id| JwtKey::generate(id).unwrap().to_setting()).join(",");
    world_with(&[("JWT_KEYS", &keys)], async |world| {
        let jwks: Value = serde_json::from_str(&fetch(world).await.1).unwrap();
        let published = jwks["keys"].as_array().unwrap();
        assert_eq!(published.iter().map(|key| &key["kid"]).collect::<Vec<_>>(), ["new", "old"]);
        for key in published {
            let members: BTreeSet<&str> = key.as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(members, BTreeSet::from(["alg", "crv", "kid", "kty", "use", "x"]));
            assert_eq!((&key["kty"], &key["alg"], &key["use"]), (&json!("OKP"), &json!("EdDSA"), &json!("sig")));
        }
    })
    .await;
}
