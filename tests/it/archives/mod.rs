//! Archives of tenants: written, kept, fetched, restored, and let go.

mod command;
mod damage;
mod edges;
mod killed;
mod life;
mod older;
mod round_trip;
mod schedule;
mod stores;
mod terms;

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};
use shelfwise::app::App;
use shelfwise::auth::Claims;
use shelfwise::control::archives::restore::{Desk, From, To, tenant_restore};
use shelfwise::control::archives::service::{archive_by_id, archive_make, tenant_export};
use shelfwise::control::archives::{Archive, ArchiveError};
use shelfwise::control::tenants::Tenant;
use shelfwise::kernel::actor::Role;
use shelfwise::kernel::clock::{Clock as _, SystemClock};
use shelfwise::kernel::ids::{ArchiveId, TenantId};
use shelfwise::kernel::tenant::TenantCtx;

use crate::graphql_helpers::{author, book, category};
use crate::harness::cluster::psql;
use crate::harness::world::{fresh_slug, operator, user_id};
use crate::harness::{Client, World};
use crate::identity::joined;
use crate::orders::{act, create_with, order, stocked};
use crate::webhooks::endpoint_with;

/// An address that nobody answers at; no test calls it.
const HOOK: &str = "http://127.0.0.1:61009/hook";

/// A folder for archives, and the setting that names it.
struct Store {
    folder: tempfile::TempDir,
    url: String,
}

impl Store {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("file://{}", folder.path().display());
        Self { folder, url }
    }

    fn settings(&self) -> [(&'static str, &str); 1] {
        [("OBJECT_STORE_URL", &self.url)]
    }

    /// All files of the store, whatever they are.
    fn files(&self) -> Vec<PathBuf> {
        let (mut files, mut folders) = (Vec::new(), vec![self.folder.path().to_owned()]);
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { folders.push(path) } else { files.push(path) }
            }
        }
        files.sort();
        files
    }
}

/// Asks for an archive of a shop.
async fn asked(app: &App, shop: &TenantCtx) -> ArchiveId {
    tenant_export(&app.control, &SystemClock, &operator(), shop.slug.as_str(), true).await.unwrap().id
}

/// Makes an archive of a shop.
async fn exported(app: &App, shop: &TenantCtx) -> Archive {
    let id = asked(app, shop).await;
    archive_make(app.archive_desk(), &app.config.retention, id).await.unwrap().unwrap()
}

async fn row(app: &App, id: ArchiveId) -> Archive {
    archive_by_id(&app.control, id).await.unwrap().unwrap()
}

/// Restores what is named as a new tenant.
async fn restore(app: &App, from: From, slug: &str) -> Result<Tenant, ArchiveError> {
    let to = To { id: TenantId(SystemClock.new_id()), slug: slug.to_owned(), name: None };
    tenant_restore(desk(app), &operator(), &from, to, &|_| {}).await
}

fn desk(app: &App) -> Desk<'_> {
    Desk {
        control: &app.control,
        owner: app.owner.as_ref().unwrap(),
        vault: &app.services.vault,
        objects: &app.objects,
        clock: &SystemClock,
    }
}

/// Restores an archive as a new tenant, which must succeed.
async fn restored(app: &App, archive: &Archive) -> Arc<TenantCtx> {
    let tenant = restore(app, From::Archive(archive.id), &fresh_slug("r")).await.unwrap();
    tenant.context().unwrap()
}

/// What refused an archive's restore.
async fn refused(app: &App, from: From, slug: &str) -> String {
    restore(app, from, slug).await.unwrap_err().to_string()
}

/// The owner of a shop that was restored from shop A: users are who they were.
fn owner_of<'a>(world: &'a World, shop: &TenantCtx) -> Client<'a> {
    let (slug, tenant) = (shop.slug.clone(), shop.id);
    let user = user_id(&world.a, Role::Owner);
    let claims = Claims::Tenant { slug, tenant, user, session: None, role: Some(Role::Owner) };
    Client::new(world, "/graphql", Some(world.token(&claims)))
}

/// Schemas, roles and registry rows of tenants: what a restore that failed must not leave.
async fn traces(psql: &tokio_postgres::Client) -> (i64, i64, i64) {
    // Roles are the cluster's; those that have anything here are this database's.
    let query = "SELECT (SELECT count(*) FROM pg_namespace WHERE nspname LIKE 't\\_%'),
        (SELECT count(DISTINCT refobjid) FROM pg_shdepend WHERE refclassid = 'pg_authid'::regclass
            AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())),
        (SELECT count(*) FROM control.tenants)";
    let row = psql.query_one(query, &[]).await.unwrap();
    (row.get(0), row.get(1), row.get(2))
}

/// Fills shop A with all that a shop can have, and answers the id of an order whose customer is known.
async fn fill(world: &World) -> String {
    fill_in(world, &psql().await).await
}

/// The same in a database of the world's own.
async fn fill_in(world: &World, psql: &tokio_postgres::Client) -> String {
    let owner = world.owner();
    joined(world, "ann@staff.example", "Clerk").await;
    let parent = category(&owner, "Maps \"& more\"", None).await;
    category(&owner, "Ptolemäische Karten", Some(&parent)).await;
    let writer = author(&owner, "Γάιος Ἰούλιος Καῖσαρ").await;
    let title = "De \"bello\" \\ Gallico\n\t— 戦記 😀 \u{202e}rtl\u{202c} 'quoted' {\"json\": [1,2]}";
    book(
        &owner,
        json!({ "title": title, "authorIds": [writer], "categoryId": parent, "stock": 1_000_000,
        "publishedOn": { "year": -49, "month": 3, "day": 15 },
        "price": { "amount": "900.07", "currency": "EUR" } }),
    )
    .await;
    let one = stocked(&owner, "One", 50).await;
    let kept = order(&owner, &[(&one, 3)]).await;
    act(&owner, "orderPlace", &kept, "").await;
    let gone = json!({ "customer": { "name": "Erased", "email": "erased@customers.example" },
        "lines": [{ "bookId": one, "quantity": 1 }] });
    create_with(&owner, gone).await;
    let erase = "mutation { customerErase(email: \"erased@customers.example\") { userErrors { code } } }";
    assert_eq!(owner.data(erase, json!({})).await["customerErase"]["userErrors"], json!([]));
    let headers = json!([{ "name": "Authorization", "value": "Bearer of-the-receiver" }]);
    endpoint_with(&owner, json!({ "url": HOOK, "headers": headers })).await;
    let key =
        "mutation { apiKeyCreate(input: { name: \"till\", permissions: [CATALOG_READ] }) { userErrors { code } } }";
    assert_eq!(owner.data(key, json!({})).await["apiKeyCreate"]["userErrors"], json!([]));
    odd_rows(psql, &world.a).await;
    kept
}

/// What no API writes today, and a table may hold all the same.
async fn odd_rows(psql: &tokio_postgres::Client, shop: &TenantCtx) {
    let statement = format!(
        r#"INSERT INTO "{0}".trusted_documents VALUES (repeat('a', 64), E'query "x" \\ \n\r\t\x01 é 😀', '0044-03-15 12:00 BC');
           INSERT INTO "{0}".imports (id, status, started_at, finished_at)
               VALUES (gen_random_uuid(), 'completed', '-infinity', 'infinity');
           INSERT INTO "{0}".events (position, id, kind, version, entity, data, at)
               SELECT 900, gen_random_uuid(), 'test.odd', 1, 'x',
                      '{{"n": 123456789012345678901234567890.5000, "e": 1e300, "t": "\u00e9\n"}}', now();
           UPDATE "{0}".tenant_head SET event_position = 900;
           UPDATE "{0}".books SET sold = 9223372036854775807, price_minor = 9223372036854775807 WHERE stock = 1000000;"#,
        shop.schema
    );
    psql.batch_execute(&statement).await.unwrap();
}

/// Counts of an archive's tables, by name.
fn rows_of(archive: &Archive, table: &str) -> u64 {
    let manifest = archive.manifest.as_ref().unwrap();
    let tables = manifest["tables"].as_array().unwrap();
    tables.iter().find(|facts| facts["name"] == table).map_or(0, |facts| facts["rows"].as_u64().unwrap())
}

/// The hashes of an archive's tables.
fn hashes(archive: &Archive) -> Vec<(Value, Value, Value)> {
    let tables = archive.manifest.as_ref().unwrap()["tables"].as_array().unwrap().clone();
    tables
        .into_iter()
        .map(|facts| (facts["name"].clone(), facts["rows"].clone(), facts["contentSha256"].clone()))
        .collect()
}
