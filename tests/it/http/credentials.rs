//! Tokens, hosts and X-Tenant: who is let in, and where.

use std::time::Duration;

use serde_json::json;
use shelfwise::auth::Tokens;
use shelfwise::config::auth::{AuthConfig, JwtKey};
use shelfwise::kernel::actor::Role;
use shelfwise::kernel::clock::{Clock as _, SystemClock};
use shelfwise::kernel::ids::TenantId;
use shelfwise::kernel::tenant::TenantCtx;

use crate::harness::world;
use crate::harness::world::{admin_claims, user_claims};

const QUERY: &str = "{ books { totalCount } }";

#[tokio::test]
async fn every_bad_credential_gets_the_same_answer() {
    world(async |world| {
        let claims = user_claims(&world.a, Role::Owner);
        let now = SystemClock.now();
        let strange = Tokens::new(&AuthConfig { jwt_keys: vec![JwtKey::generate("test-1").unwrap()] }).unwrap();
        let unknown_slug = TenantCtx { slug: "nobody-here".parse().unwrap(), ..(*world.a).clone() };
        let earlier_owner = TenantCtx { id: TenantId(SystemClock.new_id()), ..(*world.a).clone() };
        let minute = Duration::from_secs(60);
        let tokens = [
            ("expired", world.app.services.tokens.mint(&claims, now - 2 * minute, minute).unwrap()),
            ("of another key", strange.mint(&claims, now, minute).unwrap()),
            ("an administrator's", world.token(&admin_claims())),
            ("of an unknown tenant", world.token(&user_claims(&unknown_slug, Role::Owner))),
            ("of an earlier tenant with this slug", world.token(&user_claims(&earlier_owner, Role::Owner))),
            ("nonsense", "x.y.z".to_owned()),
            ("empty", String::new()),
        ];
        let mut bodies = Vec::new();
        for (what, token) in tokens {
            let mut response = world.stranger().with_token(&token).gql(QUERY, json!({})).await;
            response.assert_refused(401, "UNAUTHENTICATED");
            assert_eq!(response.headers["www-authenticate"], "Bearer", "{what}");
            response.body["errors"][0]["extensions"]["requestId"] = json!("…");
            bodies.push(response.body);
        }
        assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]), "{bodies:?}");
        let basic = world.stranger().with_header("authorization", "Basic eDp5").gql(QUERY, json!({})).await;
        basic.assert_refused(401, "UNAUTHENTICATED");
    })
    .await;
}

#[tokio::test]
async fn sources_that_disagree_are_refused_before_anything_is_looked_up() {
    world(async |world| {
        let (a, b) = (world.a.slug.as_str(), world.b.slug.as_str());
        let owner = || world.owner();
        let ok = owner()
            .with_header("x-tenant", a)
            .with_header("host", &format!("{a}.localhost:1"))
            .gql(QUERY, json!({}))
            .await;
        assert_eq!((ok.status, ok.code()), (200, ""));
        for (header, value) in [
            ("x-tenant", b.to_owned()),
            ("x-tenant", "never-was".to_owned()),
            ("x-tenant", "'; --".to_owned()),
            ("host", format!("{b}.localhost")),
        ] {
            owner().with_header(header, &value).gql(QUERY, json!({})).await.assert_refused(403, "TENANT_MISMATCH");
        }
        let both = world.stranger().with_header("x-tenant", a).with_header("host", &format!("{b}.localhost"));
        both.gql(QUERY, json!({})).await.assert_refused(403, "TENANT_MISMATCH");
    })
    .await;
}

#[tokio::test]
async fn a_stranger_may_choose_a_shop_and_do_nothing_in_it() {
    world(async |world| {
        let mut bodies = Vec::new();
        for slug in [world.a.slug.as_str(), "never-was", "x", "'; DROP TABLE books; --"] {
            let mut response = world.stranger().with_header("x-tenant", slug).gql(QUERY, json!({})).await;
            assert_eq!(response.code(), "UNAUTHENTICATED", "{slug}");
            response.body["errors"][0]["extensions"]["requestId"] = json!("…");
            response.body.as_object_mut().unwrap().remove("extensions");
            bodies.push(response.body);
        }
        assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]), "a shop that exists is told apart: {bodies:?}");
        assert_eq!(world.stranger().gql("{ __typename }", json!({})).await["/__typename"], json!("Query"));
    })
    .await;
}

#[tokio::test]
async fn a_role_may_what_it_allows() {
    world(async |world| {
        let read = QUERY;
        let write = "mutation { authorCreate(input: { name: \"X\" }) { userErrors { code } } }";
        for (role, may_write) in
            [(Role::Owner, true), (Role::Manager, true), (Role::Clerk, true), (Role::ReadOnly, false)]
        {
            let user = world.user(&world.a, role);
            assert_eq!(user.gql(read, json!({})).await.code(), "");
            let code = user.gql(write, json!({})).await.code().to_owned();
            assert_eq!(code.is_empty(), may_write, "{role}: {code}");
        }
    })
    .await;
}

#[tokio::test]
async fn introspection_is_shut_to_strangers_in_production() {
    let query = "{ __schema { types { name } } __type(name: \"Book\") { name } }";
    crate::harness::world::world_with(&[("SHELFWISE_ENV", "production")], async |world| {
        let stranger = world.stranger().gql(query, json!({})).await;
        assert!(!stranger.body.to_string().contains("Book"), "{}", stranger.body);
        // Naming a shop that exists opens nothing.
        let named = world.stranger().with_header("x-tenant", world.a.slug.as_str()).gql(query, json!({})).await;
        assert_eq!(named.body, stranger.body.clone());
        let owner = world.owner().gql(query, json!({})).await;
        assert!(owner.body.to_string().contains("Book"));
        assert_eq!(owner.body["extensions"].get("sql"), None, "no counts outside of development");
    })
    .await;
    world(async |world| {
        let stranger = world.stranger().gql(query, json!({})).await;
        assert!(stranger.body.to_string().contains("Book"));
    })
    .await;
}
