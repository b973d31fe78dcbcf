//! `tenantExport`, `tenantRestore`, `archive`, `archives`, and the link that owners are mailed.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use serde_json::{Value, json};
use shelfwise::control::archives::service::archive_make;
use shelfwise::control::archives::{ArchiveError, ArchiveStatus};
use shelfwise::kernel::clock::{Clock as _, SystemClock};
use shelfwise::kernel::ids::ArchiveId;
use shelfwise::worker::{handlers, work};

use super::{Store, asked, exported, row};
use crate::graphql_helpers::codes;
use crate::harness::World;
use crate::harness::cluster::{psql, psql_of};
use crate::harness::smtp::{Offer, SmtpServer};
use crate::harness::world::{fresh_slug, world_with};

/// How long a worker may take.
const WITHIN: Duration = Duration::from_secs(60);

const EXPORT: &str = "mutation($slug: String!) { tenantExport(slug: $slug) {
    archive { id tenantSlug purpose status requestedBy bytes tables { name } } userErrors { code path } } }";
const RESTORE: &str = "mutation($archive: ID!, $slug: String!, $name: String) {
    tenantRestore(archive: $archive, slug: $slug, name: $name) { job { id kind state } userErrors { code path } } }";
const ARCHIVE: &str = "query($id: ID!) { archive(id: $id) {
    id status schemaVersion bytes sha256 contentSha256 error expiresAt tables { name rowCount contentSha256 } } }";

/// Asks until an archive has a status.
async fn becomes(world: &World, id: &str, status: &str) -> Value {
    let wait = async {
        loop {
            let archive = world.admin().data(ARCHIVE, json!({ "id": id })).await["archive"].clone();
            if archive["status"] == status {
                return archive;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(WITHIN, wait).await.expect("the archive comes to it")
}

#[tokio::test]
async fn operators_export_and_restore_by_jobs_and_owners_are_mailed_a_link_that_works() {
    let store = Store::new();
    let mut server = SmtpServer::start(Offer::StartTls).await;
    let settings = [
        ("OBJECT_STORE_URL", store.url.clone()),
        ("SMTP_URL", server.url()),
        ("MAIL_FROM", "ShelfWise <mail@shelfwise.example>".to_owned()),
        ("APP_URL", "https://app.shelfwise.example".to_owned()),
    ];
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let (world, name) = World::start_alone(Arc::new(SystemClock), &settings).await;
    let psql = psql_of(&name).await;
    psql.batch_execute("DELETE FROM control.jobs").await.unwrap();
    let worker = work(Arc::clone(&world.app), handlers(&world.app), std::future::pending());
    let test = async {
        let admin = world.admin();
        let payload = admin.data(EXPORT, json!({ "slug": world.a.slug.as_str() })).await["tenantExport"].clone();
        assert_eq!(codes(&payload), Vec::<&str>::new());
        let archive = &payload["archive"];
        assert_eq!((&archive["purpose"], &archive["requestedBy"]), (&json!("EXPORT"), &json!("cli:test")));
        let id = archive["id"].as_str().unwrap();
        let archive = becomes(&world, id, "COMPLETED").await;
        let tables = archive["tables"].as_array().unwrap();
        let users = tables.iter().find(|table| table["name"] == "users").unwrap();
        assert_eq!(users["rowCount"], 5, "{users}");

        let mail = server.next().await;
        let text = mail.text();
        let link = text.split_whitespace().find(|word| word.starts_with("https://app.shelfwise.example/exports/"));
        let path = link.unwrap().strip_prefix("https://app.shelfwise.example").unwrap();
        let got = world.http.get(format!("{}{path}", world.base_url)).send().await.unwrap();
        assert_eq!(got.status(), 200);
        assert_eq!(got.headers()["content-type"], "application/zip");
        assert_eq!(got.headers()["cache-control"], "no-store");
        assert!(got.headers()["content-disposition"].to_str().unwrap().contains(world.a.slug.as_str()));
        let bytes = got.bytes().await.unwrap();
        assert_eq!(bytes.len().to_string(), archive["bytes"].as_str().unwrap());
        let sha256 = <sha2::Sha256 as sha2::Digest>::digest(&bytes);
        let sha256: String = sha256.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(sha256, archive["sha256"].as_str().unwrap());
        let had = "SELECT string_agg(operator || ' ' || (details ->> 'archive'), ' ') FROM control.admin_audit
            WHERE action = 'archive.download'";
        let had: String = psql.query_one(had, &[]).await.unwrap().get(0);
        assert_eq!(had, format!("link {id}"), "who had the link is told");

        let slug = fresh_slug("r");
        let input = json!({ "archive": id, "slug": slug, "name": "Again" });
        let payload = admin.data(RESTORE, input.clone()).await["tenantRestore"].clone();
        assert_eq!(payload["job"]["kind"], "archive.restore", "{payload}");
        let there = "query($slug: String!) { tenant(slug: $slug) { name status schemaVersion } }";
        let wait = async {
            while admin.data(there, json!({ "slug": slug })).await["tenant"].is_null() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(WITHIN, wait).await.expect("the tenant comes back");
        let tenant = admin.data(there, json!({ "slug": slug })).await["tenant"].clone();
        assert_eq!((&tenant["name"], &tenant["status"]), (&json!("Again"), &json!("ACTIVE")));
        assert_eq!(codes(&admin.data(RESTORE, input).await["tenantRestore"]), ["SLUG_TAKEN"]);
        let trail = "SELECT string_agg(action, ' ' ORDER BY id) FROM control.admin_audit
            WHERE operator = 'cli:test' AND action LIKE 'tenant.%' AND action <> 'tenant.provision'";
        let trail: String = psql.query_one(trail, &[]).await.unwrap().get(0);
        assert_eq!(trail, "tenant.export tenant.restore_request tenant.restore");
    };
    tokio::select! {
        worked = worker => panic!("{worked:?}"),
        () = test => {}
    }
    world.end().await;
}

#[tokio::test]
async fn what_operators_ask_wrongly_is_refused_and_nothing_is_enqueued() {
    let store = Store::new();
    world_with(&store.settings(), async |world| {
        let admin = world.admin();
        let jobs = "SELECT count(*) FROM control.jobs WHERE kind LIKE 'archive.%' AND payload ->> 'archive' = $1";
        assert_eq!(codes(&admin.data(EXPORT, json!({ "slug": "nobody" })).await["tenantExport"]), ["TENANT_NOT_FOUND"]);
        let nobody = ArchiveId(SystemClock.new_id()).to_string();
        let restore = async |archive: &str, slug: &str, name: Option<&str>| {
            let input = json!({ "archive": archive, "slug": slug, "name": name });
            let payload = admin.data(RESTORE, input).await["tenantRestore"].clone();
            codes(&payload).into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(restore(&nobody, "some-shop", None).await, ["ARCHIVE_NOT_FOUND"]);
        assert!(admin.data(ARCHIVE, json!({ "id": nobody })).await["archive"].is_null());
        let pending = asked(&world.app, &world.a).await;
        let id = pending.to_string();
        assert_eq!(restore(&id, "some-shop", None).await, ["ARCHIVE_STATUS_CONFLICT"]);
        archive_make(world.app.archive_desk(), &world.app.config.retention, pending).await.unwrap().unwrap();
        assert_eq!(restore(&id, "admin", None).await, ["SLUG_RESERVED"]);
        assert_eq!(restore(&id, "Ac", None).await, ["SLUG_INVALID"]);
        assert_eq!(restore(&id, "some-shop", Some(" ")).await, ["NAME_INVALID"]);
        assert_eq!(restore(&id, world.b.slug.as_str(), None).await, ["SLUG_TAKEN"]);
        let count: i64 = psql().await.query_one(jobs, &[&pending.0.to_string()]).await.unwrap().get(0);
        assert_eq!(count, 1, "the one that makes it");
        assert!(world.stranger().gql(EXPORT, json!({ "slug": "x" })).await.body.get("errors").is_some());

        // A page of the list, of this tenant alone.
        let list = "query($slug: String, $after: String) { archives(tenant: $slug, first: 1, after: $after) {
            nodes { id } pageInfo { hasNextPage endCursor } } }";
        let second = exported(&world.app, &world.a).await.id.to_string();
        let page = admin.data(list, json!({ "slug": world.a.slug.as_str() })).await["archives"].clone();
        assert_eq!((&page["nodes"][0]["id"], &page["pageInfo"]["hasNextPage"]), (&json!(second), &json!(true)));
        let after = json!({ "slug": world.a.slug.as_str(), "after": page["pageInfo"]["endCursor"] });
        let page = admin.data(list, after).await["archives"].clone();
        assert_eq!((&page["nodes"][0]["id"], &page["pageInfo"]["hasNextPage"]), (&json!(id), &json!(false)));
        assert_eq!(admin.data(list, json!({ "slug": world.b.slug.as_str() })).await["archives"]["nodes"], json!([]));
        assert_eq!(admin.data(list, json!({ "slug": "nobody" })).await["archives"]["nodes"], json!([]));
    })
    .await;
}

#[tokio::test]
async fn what_is_being_deleted_is_not_archived_any_more() {
    let store = Store::new();
    let (world, name) = World::start_alone(Arc::new(SystemClock), &store.settings()).await;
    let (app, holder, psql) = (&world.app, psql_of(&name).await, psql_of(&name).await);
    let make = |id| archive_make(app.archive_desk(), &app.config.retention, id);
    let begin = format!("UPDATE control.tenants SET status = 'offboarding', keys = '[]' WHERE id = '{}'", world.a.id.0);

    // The deletion begins after the shop was read, and before the archive is said to be there.
    let id = asked(app, &world.a).await;
    holder.batch_execute(&format!("BEGIN; {begin}")).await.unwrap();
    let commit = async {
        let waits = "SELECT count(*) > 0 FROM pg_locks
            WHERE NOT granted AND pid IN (SELECT pid FROM pg_stat_activity WHERE datname = current_database())";
        let started = std::time::Instant::now();
        while !psql.query_one(waits, &[]).await.unwrap().get::<_, bool>(0) {
            assert!(started.elapsed() < std::time::Duration::from_secs(20), "nobody waits for the tenant");
        }
        holder.batch_execute("COMMIT").await.unwrap();
    };
    let (made, ()) = tokio::join!(make(id), commit);
    assert_eq!(made.unwrap_err().to_string(), "The tenant is being deleted; there is nothing to export.");
    let given_up = row(app, id).await;
    assert_eq!((given_up.status(), given_up.key_wrapped), (ArchiveStatus::Failed, None));
    assert!(store.files().is_empty());

    // Nor is one begun, or asked for.
    psql.execute("UPDATE control.archives SET status = 'pending', finished_at = NULL, error = NULL", &[])
        .await
        .unwrap();
    assert!(matches!(make(id).await.unwrap_err(), ArchiveError::Refused(_)));
    assert_eq!((row(app, id).await.status(), store.files().len()), (ArchiveStatus::Failed, 0));
    let payload = world.admin().data(EXPORT, json!({ "slug": world.a.slug.as_str() })).await["tenantExport"].clone();
    assert_eq!(codes(&payload), ["TENANT_STATUS_CONFLICT"]);
    world.end().await;
}

#[tokio::test]
async fn a_link_opens_one_archive_until_its_time_and_nobody_elses() {
    let store = Store::new();
    world_with(&store.settings(), async |world| {
        let (app, now) = (&world.app, SystemClock.now());
        let (one, two) = (exported(app, &world.a).await, exported(app, &world.a).await);
        let tokens = &app.services.tokens;
        let hour = TimeDelta::hours(1);
        let get = async |id: &str, token: &str| {
            let url = format!("{}/exports/{id}?token={token}", world.base_url);
            world.http.get(url).send().await.unwrap().status().as_u16()
        };
        let id = one.id.to_string();
        let good = tokens.mint_link(one.id, now, now + hour).unwrap();
        assert_eq!(get(&id, &good).await, 200);
        assert_eq!(get(&two.id.to_string(), &good).await, 403, "another archive's");
        assert_eq!(get(&id, &tokens.mint_link(one.id, now - hour, now).unwrap()).await, 403, "over");
        for token in ["", "x", &world.owner_token(), &good[..good.len() - 2]] {
            assert_eq!(get(&id, token).await, 403, "{token}");
        }
        assert_eq!(get("nonsense", &good).await, 403);
        let url = format!("{}/exports/{id}", world.base_url);
        assert_eq!(world.http.get(url).send().await.unwrap().status(), 403, "no token at all");
        // A link is no credential elsewhere.
        let viewer = world.owner().with_token(&good).gql("{ viewer { user { id } } }", json!({})).await;
        assert_eq!(viewer.code(), "UNAUTHENTICATED");
        let nobody = ArchiveId(SystemClock.new_id());
        assert_eq!(get(&nobody.to_string(), &tokens.mint_link(nobody, now, now + hour).unwrap()).await, 404);

        let damaged = app.objects.clone();
        damaged.delete(row(app, two.id).await.object_key.as_deref().unwrap()).await.unwrap();
        assert_eq!(get(&two.id.to_string(), &tokens.mint_link(two.id, now, now + hour).unwrap()).await, 503);
        let expire =
            "UPDATE control.archives SET status = 'expired', key_wrapped = NULL, key_master = NULL WHERE id = $1";
        psql().await.execute(expire, &[&one.id.0]).await.unwrap();
        assert_eq!(get(&id, &good).await, 410);
    })
    .await;
}
