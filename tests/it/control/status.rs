//! `tenantSuspend`, `tenantResume`, and how soon every replica knows

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use shelfwise::app::{App, owner};
use shelfwise::control::tenants::Lookup;
use shelfwise::db::migrate::migrate_control;
use shelfwise::kernel::clock::SystemClock;

use crate::harness::cluster::{own_database, psql};
use crate::harness::world::{config_over, shop, world};
use crate::harness::{GqlResponse, World};

const SUSPEND: &str = "mutation($slug: String!) { tenantSuspend(slug: $slug, reason: \"unpaid\") { tenant { status suspensionReason } userErrors { code } } }";
const RESUME: &str =
    "mutation($slug: String!) { tenantResume(slug: $slug) { tenant { status suspensionReason } userErrors { code } } }";

/// Asks until the code is the wanted one, and answers how long that took.
async fn until(world: &World, code: &str) -> Duration {
    let started = Instant::now();
    loop {
        let response: GqlResponse = world.owner().gql("{ books { totalCount } }", json!({})).await;
        if response.code() == code || started.elapsed() > Duration::from_secs(5) {
            assert_eq!(response.code(), code);
            return started.elapsed();
        }
    }
}

#[tokio::test]
async fn a_suspended_shop_is_closed_within_a_second_and_opens_again() {
    world(async |world| {
        until(world, "").await;
        let slug = json!({ "slug": world.a.slug.as_str() });
        let data = world.admin().data(SUSPEND, slug.clone()).await;
        assert_eq!(data["tenantSuspend"]["tenant"], json!({ "status": "SUSPENDED", "suspensionReason": "unpaid" }));
        assert!(until(world, "TENANT_SUSPENDED").await < Duration::from_secs(1));
        world.owner().gql("{ books { totalCount } }", json!({})).await.assert_refused(403, "TENANT_SUSPENDED");
        // A stranger is told nothing of it.
        let stranger = world
            .stranger()
            .with_header("x-tenant", world.a.slug.as_str())
            .gql("{ books { totalCount } }", json!({}))
            .await;
        assert_eq!(stranger.code(), "UNAUTHENTICATED");
        assert_eq!(
            world.other_owner().gql("{ books { totalCount } }", json!({})).await.code(),
            "",
            "the other shop is open"
        );

        let data = world.admin().data(RESUME, slug).await;
        assert_eq!(data["tenantResume"]["tenant"], json!({ "status": "ACTIVE", "suspensionReason": null }));
        assert!(until(world, "").await < Duration::from_secs(1));
    })
    .await;
}

#[tokio::test]
async fn a_change_by_hand_is_heard_too() {
    world(async |world| {
        until(world, "").await;
        let update = "UPDATE control.tenants SET status = $2 WHERE slug = $1";
        psql().await.execute(update, &[&world.a.slug.as_str(), &"suspended"]).await.unwrap();
        assert!(until(world, "TENANT_SUSPENDED").await < Duration::from_secs(1));
        psql().await.execute(update, &[&world.a.slug.as_str(), &"active"]).await.unwrap();
        until(world, "").await;
    })
    .await;
}

#[tokio::test]
async fn suspending_what_is_not_there_is_a_user_error() {
    world(async |world| {
        for (query, name) in [(SUSPEND, "tenantSuspend"), (RESUME, "tenantResume")] {
            let data = world.admin().data(query, json!({ "slug": "nobody" })).await;
            assert_eq!(data[name]["userErrors"], json!([{ "code": "TENANT_NOT_FOUND" }]));
        }
        psql()
            .await
            .execute("UPDATE control.tenants SET status = 'offboarding' WHERE slug = $1", &[&world.a.slug.as_str()])
            .await
            .unwrap();
        let data = world.admin().data(RESUME, json!({ "slug": world.a.slug.as_str() })).await;
        assert_eq!(data["tenantResume"]["userErrors"], json!([{ "code": "TENANT_STATUS_CONFLICT" }]));
    })
    .await;
}

#[tokio::test]
async fn a_known_shop_is_served_on_without_the_registry_and_an_unknown_one_is_not() {
    let (name, urls) = own_database().await;
    migrate_control(&owner(&urls).unwrap()).await.unwrap();
    // This replica listens nowhere, so it trusts its entries briefly.
    let settings = [("DATABASE_LISTEN_URL", "postgres://nobody@127.0.0.1:1/none"), ("DB_CHECKOUT_TIMEOUT_MS", "300")];
    let app = App::new(config_over(&urls, &settings), Arc::new(SystemClock)).unwrap();
    let known = shop(&app, "k").await.slug.clone();
    assert!(matches!(app.services.registry.resolve(&known).await.unwrap(), Lookup::Active(_)));

    // The database refuses everybody from now on.
    let server = psql().await;
    server.batch_execute(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false")).await.unwrap();
    let kick = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = $1";
    server.query_one(kick, &[&name]).await.unwrap();

    let started = Instant::now();
    while started.elapsed() < Duration::from_millis(1_500) {
        let lookup = app.services.registry.resolve(&known).await;
        assert!(matches!(lookup, Ok(Lookup::Active(_))), "{lookup:?}");
    }
    assert!(app.services.registry.resolve(&"never-seen-before".parse().unwrap()).await.is_err());
    server.batch_execute(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true")).await.unwrap();
}
