//! More time for single tenants.

use std::sync::Arc;

use serde_json::{Value, json};
use shelfwise::kernel::actor::Role;
use shelfwise::kernel::tenant::TenantCtx;

use super::{OLD, advance_to, extend, user_at};
use crate::harness::clock::TestClock;
use crate::harness::cluster::psql;
use crate::harness::{Client, World, world};

const PART: &str = "Book.priceCents";

/// What the trail has of extensions of a tenant.
async fn trail(slug: &str) -> Vec<(String, Value)> {
    let query = "SELECT action, details::text FROM control.admin_audit
        WHERE target = $1 AND action LIKE 'deprecation_extension.%' ORDER BY id";
    let rows = psql().await.query(query, &[&slug]).await.unwrap();
    rows.iter().map(|row| (row.get(0), serde_json::from_str(row.get(1)).unwrap())).collect()
}

/// The owner of a shop, asking about August.
fn later<'a>(world: &'a World, shop: &TenantCtx) -> Client<'a> {
    world.user(shop, Role::Owner).with_header("x-as-of", "2027-08-01")
}

#[tokio::test]
async fn who_is_given_more_time_has_it_on_every_server_and_nobody_else_has() {
    world(async |world| {
        let beside = World::beside(world).await;
        later(&beside, &world.a).gql(OLD, json!({})).await.assert_refused(400, "FIELD_REMOVED");

        let payload = extend(&world.admin(), &world.a, PART, "2027-09-01").await;
        assert_eq!(
            payload["extension"],
            json!({ "tenantSlug": world.a.slug.as_str(), "part": PART, "until": "2027-09-01",
                    "reason": "their till is late", "madeBy": "cli:test" })
        );
        let until = |context: &TenantCtx| context.extensions.0.len() == 1;
        world.context_when(until).await;
        beside.context_when(until).await;

        let answer = later(&beside, &world.a).gql(OLD, json!({})).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        // It is told its own day.
        assert_eq!(answer.headers["sunset"], "Wed, 01 Sep 2027 00:00:00 GMT");
        assert_eq!(answer.body["extensions"]["deprecations"][0]["removalOn"], "2027-09-01");
        let listed = world.owner().data("{ deprecations { part removalOn } }", json!({})).await;
        assert!(
            listed["deprecations"].as_array().unwrap().contains(&json!({ "part": PART, "removalOn": "2027-09-01" }))
        );
        let over = world.owner().with_header("x-as-of", "2027-09-01");
        over.gql(OLD, json!({})).await.assert_refused(400, "FIELD_REMOVED");
        let other = "{ orders { nodes { total } } }";
        later(world, &world.a).gql(other, json!({})).await.assert_refused(400, "FIELD_REMOVED");
        later(world, &world.b).gql(OLD, json!({})).await.assert_refused(400, "FIELD_REMOVED");

        let remove = "mutation($slug: String!, $part: String!) {
            deprecationExtensionRemove(slug: $slug, part: $part) { removed { part } userErrors { code path } } }";
        let variables = json!({ "slug": world.a.slug.as_str(), "part": PART });
        let removed = world.admin().data(remove, variables.clone()).await;
        assert_eq!(removed["deprecationExtensionRemove"]["removed"]["part"], PART);
        beside.context_when(|context| context.extensions.0.is_empty()).await;
        later(&beside, &world.a).gql(OLD, json!({})).await.assert_refused(400, "FIELD_REMOVED");
        let again = world.admin().data(remove, variables).await;
        assert_eq!(
            again["deprecationExtensionRemove"],
            json!({ "removed": null, "userErrors": [{ "code": "DEPRECATION_EXTENSION_NOT_FOUND", "path": ["part"] }] })
        );
        assert_eq!(
            trail(world.a.slug.as_str()).await,
            [
                (
                    "deprecation_extension.set".to_owned(),
                    json!({ "part": PART, "until": "2027-09-01", "reason": "their till is late" })
                ),
                ("deprecation_extension.remove".to_owned(), json!({ "part": PART, "until": "2027-09-01" })),
            ]
        );
        beside.end().await;
    })
    .await;
}

#[tokio::test]
async fn an_extension_is_bounded_and_a_refused_one_leaves_nothing() {
    world(async |world| {
        let admin = world.admin();
        let check = async |part: &str, until: &str, code: &str, path: &str| {
            let payload = extend(&admin, &world.a, part, until).await;
            assert_eq!(
                payload,
                json!({ "extension": null, "userErrors": [{ "code": code, "path": [path] }] }),
                "{part} {until}"
            );
        };
        check("Book.title", "2027-09-01", "DEPRECATION_NOT_FOUND", "part").await;
        check("Book.\0", "2027-09-01", "DEPRECATION_NOT_FOUND", "part").await;
        check(PART, "2027-07-01", "DEPRECATION_EXTENSION_INVALID", "until").await;
        check(PART, "2028-01-02", "DEPRECATION_EXTENSION_INVALID", "until").await;
        let nobody = "mutation { deprecationExtensionSet(slug: \"nobody-here\", part: \"Book.priceCents\",
            until: \"2027-09-01\", reason: \"x\") { userErrors { code } } }";
        let payload = admin.data(nobody, json!({})).await;
        assert_eq!(payload["deprecationExtensionSet"]["userErrors"], json!([{ "code": "TENANT_NOT_FOUND" }]));
        let blank = nobody.replace("reason: \"x\"", "reason: \" \"");
        let payload = admin.data(&blank, json!({})).await;
        assert_eq!(payload["deprecationExtensionSet"]["userErrors"], json!([{ "code": "REASON_INVALID" }]));
        let slug = json!({ "slug": world.a.slug.as_str() });
        let listed = "query($slug: String!) { deprecationExtensions(slug: $slug) { part } }";
        assert_eq!(admin.data(listed, slug.clone()).await["deprecationExtensions"], json!([]));
        assert_eq!(trail(world.a.slug.as_str()).await, []);

        // The last day that may be given, and another one in its place.
        for until in ["2028-01-01", "2027-08-01"] {
            assert_eq!(extend(&admin, &world.a, PART, until).await["extension"]["until"], until);
        }
        assert_eq!(admin.data(listed, slug).await["deprecationExtensions"], json!([{ "part": PART }]));
    })
    .await;
}

#[tokio::test]
async fn an_extension_ends_by_itself() {
    let clock = Arc::new(TestClock::default());
    let (world, _) = World::start_alone(Arc::clone(&clock) as _, &[]).await;
    extend(&world.admin(), &world.a, PART, "2027-09-01").await;
    world.context_when(|context| context.extensions.0.len() == 1).await;
    for (day, status_a) in [("2027-07-01", 200), ("2027-08-31", 200), ("2027-09-01", 400)] {
        advance_to(&clock, day);
        let answer = user_at(&world, &clock, &world.a, Role::Owner).gql(OLD, json!({})).await;
        assert_eq!(answer.status, status_a, "{day} {}", answer.body);
        let other = user_at(&world, &clock, &world.b, Role::Owner).gql(OLD, json!({})).await;
        other.assert_refused(400, "FIELD_REMOVED");
    }
    world.end().await;
}
