//! `tenantClone`

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use shelfwise::auth::Claims;
use shelfwise::control::tenants::Lookup;
use shelfwise::kernel::actor::Role;
use shelfwise::kernel::tenant::TenantCtx;
use shelfwise::tenant::tables::{Sandbox, TABLES};

use crate::graphql_helpers::{author, category, codes};
use crate::harness::cluster::psql;
use crate::harness::world::{fingerprint, fresh_slug, user_id, world};
use crate::harness::{Client, World};
use crate::orders::{act, create_with, order, stocked};

/// What people of the shop are told by: none of it may be in the copy.
const MARKS: [&str; 5] = ["Quillon", "zorbatt", "Wychwood", "secret-hook", "test.example"];

async fn clone(client: &Client<'_>, slug: &str, copy: &str, owner: Option<&str>) -> Value {
    let query = "mutation($slug: String!, $as: String!, $owner: String) {
        tenantClone(slug: $slug, as: $as, ownerEmail: $owner) {
            tenant { slug name plan currency status schemaVersion } userErrors { code path } } }";
    client.data(query, json!({ "slug": slug, "as": copy, "owner": owner })).await["tenantClone"].clone()
}

async fn context(world: &World, slug: &str) -> Arc<TenantCtx> {
    match world.app.services.registry.resolve(&slug.parse().unwrap()).await.unwrap() {
        Lookup::Active(context) => context,
        other => panic!("{slug}: {other:?}"),
    }
}

/// A shop with books, people, orders in several states, a webhook and an API key.
async fn filled(world: &World) {
    let shop = world.owner();
    author(&shop, "Ann Author").await;
    let parent = category(&shop, "Zines", None).await;
    category(&shop, "Zines of today", Some(&parent)).await;
    let book = stocked(&shop, &format!("{} book", world.a.slug), 50).await;
    let customer = |n: usize| json!({ "name": format!("Quillon {n}"), "email": format!("q{n}@zorbatt.example"), "address": "1 Wychwood" });
    for number in [1, 1, 2, 3] {
        let input = json!({ "customer": customer(number), "lines": [{ "bookId": book, "quantity": 2 }] });
        let placed = create_with(&shop, input).await["order"]["id"].as_str().unwrap().to_owned();
        act(&shop, "orderPlace", &placed, "").await;
    }
    order(&shop, &[(&book, 1)]).await;
    shop.data("mutation { customerErase(email: \"q3@zorbatt.example\") { userErrors { code } } }", json!({})).await;
    let hook = "mutation { webhookEndpointCreate(input: { url: \"https://hooks.example/secret-hook\" }) {
        userErrors { code } } }";
    assert_eq!(codes(&shop.data(hook, json!({})).await["webhookEndpointCreate"]), Vec::<&str>::new());
    let key = "mutation { apiKeyCreate(input: { name: \"Quillon's till\", permissions: [CATALOG_READ] }) { userErrors { code } } }";
    assert_eq!(codes(&shop.data(key, json!({})).await["apiKeyCreate"]), Vec::<&str>::new());
}

/// The owner of shop A as the copy has them.
fn insider<'a>(world: &'a World, sandbox: &TenantCtx) -> Client<'a> {
    let (slug, tenant, user) = (sandbox.slug.clone(), sandbox.id, user_id(&world.a, Role::Owner));
    let claims = Claims::Tenant { slug, tenant, user, session: None, role: Some(Role::Owner) };
    Client::new(world, "/graphql", Some(world.token(&claims)))
}

/// How many rows each table of a shop has.
async fn counts(shop: &TenantCtx) -> BTreeMap<&'static str, i64> {
    let psql = psql().await;
    let mut counts = BTreeMap::new();
    for table in TABLES {
        let query = format!(r#"SELECT count(*) FROM "{}"."{}""#, shop.schema, table.name);
        counts.insert(table.name, psql.query_one(&query, &[]).await.unwrap().get(0));
    }
    counts
}

/// Everything in all columns of a shop, bytes as the text that they may be.
async fn everything(shop: &TenantCtx) -> String {
    let psql = psql().await;
    let columns = "SELECT relname::text, attname::text, atttypid = 'bytea'::regtype FROM pg_attribute
        JOIN pg_class ON pg_class.oid = attrelid
        WHERE relnamespace = $1::text::regnamespace AND relkind = 'r' AND attnum > 0 AND NOT attisdropped";
    let mut all = String::new();
    for row in psql.query(columns, &[&format!("\"{}\"", shop.schema)]).await.unwrap() {
        let (table, column, is_bytes): (String, String, bool) = (row.get(0), row.get(1), row.get(2));
        let value = if is_bytes { format!("encode(\"{column}\", 'escape')") } else { format!("\"{column}\"::text") };
        let query = format!(r#"SELECT coalesce(string_agg({value}, ' '), '') FROM "{}"."{table}""#, shop.schema);
        all.push_str(&psql.query_one(&query, &[]).await.unwrap().get::<_, String>(0));
        all.push('\n');
    }
    all
}

#[tokio::test]
async fn a_copy_has_the_shops_books_and_orders_and_nobody_of_its_people() {
    world(async |world| {
        filled(world).await;
        let before = fingerprint(&world.a).await;
        let copy = fresh_slug("c");
        let payload = clone(&world.admin(), world.a.slug.as_str(), &copy, Some("tester@sandbox.example")).await;
        assert_eq!(payload["userErrors"], json!([]));
        assert_eq!(payload["tenant"]["name"], format!("Sandbox of {}", world.a.name));
        assert_eq!(payload["tenant"]["plan"], "business");
        assert_eq!(fingerprint(&world.a).await, before, "the shop has changed");
        let sandbox = context(world, &copy).await;

        let (source_counts, copy_counts) = (counts(&world.a).await, counts(&sandbox).await);
        for table in TABLES {
            let extra = i64::from(matches!(table.name, "users" | "user_roles"));
            let expected = match table.sandbox {
                Sandbox::Copied(_) => source_counts[table.name] + extra,
                Sandbox::Left => i64::from(matches!(table.name, "tenant_stamp" | "tenant_head")),
            };
            assert_eq!(copy_counts[table.name], expected, "{}", table.name);
        }
        let all = everything(&sandbox).await;
        let source = everything(&world.a).await;
        assert!(MARKS[3..].iter().all(|mark| source.contains(mark)), "the marks are no marks");
        for mark in MARKS {
            assert!(!all.contains(mark), "{mark} is in the copy");
        }
        // Not even sealed: no ciphertext of the shop's is there.
        for (table, column) in
            [("orders", "customer_sealed"), ("customers", "subject_key"), ("customers", "email_hash")]
        {
            let query = format!(
                r#"SELECT count(*) FROM "{}"."{table}" AS one JOIN "{}"."{table}" AS two USING ("{column}")"#,
                world.a.schema, sandbox.schema
            );
            assert_eq!(psql().await.query_one(&query, &[]).await.unwrap().get::<_, i64>(0), 0, "{table}.{column}");
        }
        assert_ne!(sandbox.keys, world.a.keys);
    })
    .await;
}

#[tokio::test]
async fn customers_of_a_copy_are_numbered_and_who_was_erased_stays_erased() {
    world(async |world| {
        filled(world).await;
        let copy = fresh_slug("c");
        clone(&world.admin(), world.a.slug.as_str(), &copy, Some("tester@sandbox.example")).await;
        let sandbox = context(world, &copy).await;
        let list = "{ orders(first: 10) { nodes { number customer { name email address isErased } } } }";
        let mut data = insider(world, &sandbox).data(list, json!({})).await;
        let orders = data["orders"]["nodes"].as_array_mut().unwrap();
        orders.sort_by_key(|order| order["number"].as_str().unwrap().to_owned());
        let told: Vec<Value> = orders.iter().map(|order| order["customer"].clone()).collect();
        let nobody = |n: usize| {
            json!({ "name": format!("Customer {n}"), "email": format!("customer-{n}@example.invalid"),
                    "address": null, "isErased": false })
        };
        let erased = json!({ "name": null, "email": null, "address": null, "isErased": true });
        assert_eq!(told, [nobody(1), nobody(1), nobody(2), erased, nobody(4)]);
    })
    .await;
}

#[tokio::test]
async fn a_copy_works_and_counts_on_from_where_the_shop_was() {
    world(async |world| {
        filled(world).await;
        let copy = fresh_slug("c");
        clone(&world.admin(), world.a.slug.as_str(), &copy, Some("tester@sandbox.example")).await;
        let sandbox = context(world, &copy).await;
        let before = fingerprint(&world.a).await;
        let shop = insider(world, &sandbox);
        let list =
            "{ orders(first: 10) { totalCount nodes { customer { name } } } books { totalCount nodes { id title } }
            users { totalCount nodes { email name } } }";
        let data = shop.data(list, json!({})).await;
        assert_eq!((&data["orders"]["totalCount"], &data["books"]["totalCount"]), (&json!(5), &json!(1)));
        for user in data["users"]["nodes"].as_array().unwrap() {
            let email = user["email"].as_str().unwrap();
            assert!(email.ends_with("@example.invalid") || email == "tester@sandbox.example", "{email}");
        }
        let book = data["books"]["nodes"][0]["id"].as_str().unwrap().to_owned();
        let new = order(&shop, &[(&book, 1)]).await;
        let placed = act(&shop, "orderPlace", &new, "").await;
        assert_eq!(placed["order"]["status"], "PLACED", "{placed}");
        let number = shop.data("query($id: ID!) { order(id: $id) { number } }", json!({ "id": new })).await;
        assert_eq!(number["order"]["number"], "6", "{number}");
        // The trail begins anew, and holds.
        let trail = format!(r#"SELECT min(sequence), count(*) FROM "{}".audit_log"#, sandbox.schema);
        let row = psql().await.query_one(&trail, &[]).await.unwrap();
        assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (1, 2));
        assert_eq!(fingerprint(&world.a).await, before, "the shop has changed");

        let psql = psql().await;
        let kinds = "SELECT string_agg(kind, ',') FROM control.jobs WHERE tenant_id = $1 AND kind LIKE 'mail.%'";
        let kinds: Option<String> = psql.query_one(kinds, &[&sandbox.id.0]).await.unwrap().get(0);
        assert_eq!(kinds.as_deref(), Some("mail.invitation"));
        let trail = "SELECT details->>'from' FROM control.admin_audit WHERE action = 'tenant.clone' AND target = $1";
        assert_eq!(psql.query_one(trail, &[&copy]).await.unwrap().get::<_, &str>(0), world.a.slug.as_str());
        let notice = "SELECT count(*) FROM control.notices WHERE kind = 'tenant.cloned' AND details->>'slug' = $1";
        assert_eq!(psql.query_one(notice, &[&copy]).await.unwrap().get::<_, i64>(0), 1);
    })
    .await;
}

#[tokio::test]
async fn a_copy_of_nobodys_has_no_way_in() {
    world(async |world| {
        let copy = fresh_slug("c");
        let payload = clone(&world.admin(), world.a.slug.as_str(), &copy, None).await;
        assert_eq!(payload["userErrors"], json!([]));
        let sandbox = context(world, &copy).await;
        let ways = format!(
            r#"SELECT (SELECT count(*) FROM "{0}".users WHERE password_hash IS NOT NULL OR external_issuer IS NOT NULL)
                + (SELECT count(*) FROM "{0}".sessions) + (SELECT count(*) FROM "{0}".api_keys)
                + (SELECT count(*) FROM "{0}".user_tokens) + (SELECT count(*) FROM "{0}".identity_providers)"#,
            sandbox.schema
        );
        let psql = psql().await;
        assert_eq!(psql.query_one(&ways, &[]).await.unwrap().get::<_, i64>(0), 0);
        let jobs = "SELECT count(*) FROM control.jobs WHERE tenant_id = $1";
        assert_eq!(psql.query_one(jobs, &[&sandbox.id.0]).await.unwrap().get::<_, i64>(0), 0);
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_copied_is_refused_and_nothing_is_made() {
    world(async |world| {
        let admin = world.admin();
        let (source, fresh) = (world.a.slug.as_str(), fresh_slug("c"));
        let psql = psql().await;
        let refused = async |slug: &str, copy: &str, owner: Option<&str>, code: &str, path: &str| {
            let payload = clone(&admin, slug, copy, owner).await;
            assert_eq!(codes(&payload), [code], "{payload}");
            assert_eq!(payload["userErrors"][0]["path"], json!([path]));
            assert_eq!(payload["tenant"], json!(null));
        };
        refused("nobody-here", &fresh, None, "TENANT_NOT_FOUND", "slug").await;
        refused("No Slug\0", &fresh, None, "TENANT_NOT_FOUND", "slug").await;
        refused(source, "No Slug", None, "SLUG_INVALID", "as").await;
        refused(source, "admin", None, "SLUG_RESERVED", "as").await;
        refused(source, world.b.slug.as_str(), None, "SLUG_TAKEN", "as").await;
        refused(source, source, None, "SLUG_TAKEN", "as").await;
        refused(source, &fresh, Some("nobody"), "OWNER_EMAIL_INVALID", "ownerEmail").await;
        let set = async |sql: &str| psql.execute(sql, &[&world.a.id.0]).await.unwrap();
        set("UPDATE control.tenants SET schema_version = '20261124000004' WHERE id = $1").await;
        refused(source, &fresh, None, "TENANT_BEHIND", "slug").await;
        let newest = shelfwise::db::migrate::newest_version(shelfwise::db::migrate::Plane::Tenant);
        set(&format!("UPDATE control.tenants SET schema_version = '{newest}' WHERE id = $1")).await;
        // A backfill is under way: the copy would never be filled in.
        set("INSERT INTO control.backfills (tenant_id, version) VALUES ($1, '20991231000001')").await;
        refused(source, &fresh, None, "TENANT_BEHIND", "slug").await;
        set("UPDATE control.backfills SET finished_at = now() WHERE tenant_id = $1").await;
        set(&format!("UPDATE control.tenants SET schema_version = '{newest}', status = 'offboarding' WHERE id = $1"))
            .await;
        refused(source, &fresh, None, "TENANT_STATUS_CONFLICT", "slug").await;
        set("UPDATE control.tenants SET status = 'active' WHERE id = $1").await;
        let made = "SELECT count(*) FROM control.tenants WHERE slug = $1 OR name LIKE 'Sandbox of ' || $2";
        let made: i64 = psql.query_one(made, &[&fresh, &world.a.name]).await.unwrap().get(0);
        assert_eq!(made, 0);
    })
    .await;
}
