//! Export, restore, export: the same shop.

use std::io::Read as _;
use std::sync::Arc;

use futures_util::future::{join, join_all};
use serde_json::{Value, json};
use shelfwise::control::anchors::service::{Anchoring, anchor, anchor_list, anchor_newest};
use shelfwise::control::archives::service::{archive_make, archive_open, archive_verify};
use shelfwise::tenant::audit::verify::service::verify;
use shelfwise::tenant::tables::TABLES;
use shelfwise::tenant::webhooks::endpoints::sealed::Sealing;
use shelfwise::tenant::webhooks::endpoints::service::endpoint_by_id;

use super::{HOOK, Store, asked, exported, fill, hashes, owner_of, restored, row, rows_of};
use crate::graphql_helpers::author;
use crate::harness::cluster::psql;
use crate::harness::world::{fingerprint, world_with};
use crate::identity::{PASSWORD, visitor};

const ORDER: &str = "query($id: ID!) { order(id: $id) {
    number status totalPrice { amount } customer { name email address } lines { nodes { quantity title } } } }";

#[tokio::test]
async fn a_restored_shop_hashes_to_what_the_old_one_did_table_by_table() {
    let store = Store::new();
    world_with(&store.settings(), async |world| {
        fill(world).await;
        let app = &world.app;
        let first = exported(app, &world.a).await;
        let shop = restored(app, &first).await;
        let second = exported(app, &shop).await;

        assert_eq!(first.content_hash, second.content_hash);
        assert_eq!(hashes(&first), hashes(&second));
        let archived: Vec<&str> = TABLES.iter().filter(|table| table.archived).map(|table| table.name).collect();
        let listed: Vec<Value> = hashes(&first).into_iter().map(|(name, ..)| name).collect();
        assert_eq!(listed, archived);
        for table in ["users", "books", "orders", "customers", "audit_log", "events", "webhook_endpoints", "api_keys"] {
            assert!(rows_of(&first, table) > 0, "{table}");
        }
        archive_verify(&app.objects, &app.services.vault, &second).await.unwrap();
        // And once more, of the copy of the copy.
        let third = exported(app, &*restored(app, &second).await).await;
        assert_eq!(third.content_hash, first.content_hash);
    })
    .await;
}

#[tokio::test]
async fn a_restored_shop_works_as_the_old_one_did() {
    let store = Store::new();
    world_with(&store.settings(), async |world| {
        let order = fill(world).await;
        let services = &world.app.services;
        anchor(&world.app.control, &services.tenants, &*services.clock, Arc::clone(&world.a)).await.unwrap();
        author(&world.owner(), "After the anchor").await;
        let shop = restored(&world.app, &exported(&world.app, &world.a).await).await;
        let owner = owner_of(world, &shop);

        let login = "mutation($email: String!, $password: String!) {
            login(input: { email: $email, password: $password }) { session { user { email } } userErrors { code } } }";
        let payload =
            visitor(world, &shop).data(login, json!({ "email": "ann@staff.example", "password": PASSWORD })).await;
        assert_eq!(payload["login"]["session"]["user"]["email"], "ann@staff.example", "{payload}");

        let before = world.owner().data(ORDER, json!({ "id": order })).await;
        assert_eq!(owner.data(ORDER, json!({ "id": order })).await, before);
        assert_eq!(before["order"]["customer"]["name"], "Ann Example");
        let found = "{ orders(filter: { customerEmail: \"ann@customers.example\" }) { totalCount } }";
        assert_eq!(owner.data(found, json!({})).await["orders"]["totalCount"], 1, "the keyed hash is the same");
        let erased = "{ orders(filter: { status: DRAFT }) { nodes { customer { isErased name } } } }";
        let erased = owner.data(erased, json!({})).await;
        assert_eq!(erased["orders"]["nodes"][0]["customer"], json!({ "isErased": true, "name": null }));

        // The trail verifies, against the anchors that came along, and goes on.
        let last = anchor_newest(&world.app.control, shop.id).await.unwrap().unwrap().sequence;
        let session = services.tenants.session(Arc::clone(&shop));
        let read = session.read().await.unwrap();
        let anchors = async |after| anchor_list(&world.app.control, shop.id, (after, last)).await;
        let report = verify(&read, anchors).await.unwrap();
        assert_eq!((report.broken, report.anchors), (None, 1));
        assert!(report.entries > last, "{report:?}");
        session.finish().await;
        author(&owner, "Written after the restore").await;
        let kept = anchor(&world.app.control, &services.tenants, &*services.clock, Arc::clone(&shop)).await.unwrap();
        assert_eq!(kept, Anchoring::Kept);

        let sealed = format!(r#"SELECT id FROM "{}".webhook_endpoints WHERE url = '{HOOK}'"#, shop.schema);
        let id: uuid::Uuid = psql().await.query_one(&sealed, &[]).await.unwrap().get(0);
        let mut opened = Vec::new();
        for shop in [&shop, &world.a] {
            let session = services.tenants.session(Arc::clone(shop));
            let read = session.read().await.unwrap();
            let system = shelfwise::kernel::actor::Actor::System;
            let endpoint = endpoint_by_id(&read, &system, id.into()).await.unwrap().unwrap();
            session.finish().await;
            let open = Sealing { vault: &services.vault, tenant: shop }.open(&endpoint, |_| true).unwrap();
            assert_eq!(open.headers, [("Authorization".to_owned(), "Bearer of-the-receiver".to_owned())]);
            opened.push(open.secrets[0].bytes().to_vec());
        }
        assert_eq!(opened[0], opened[1], "receivers notice nothing");
        let jobs =
            "SELECT array_agg(kind ORDER BY kind) FROM control.jobs WHERE tenant_id = $1 AND state = 'available'";
        let kinds: Vec<String> = psql().await.query_one(jobs, &[&shop.id.0]).await.unwrap().get(0);
        assert_eq!(kinds, ["audit.anchor", "webhook.dispatch"], "what the old shop's jobs would have done");
    })
    .await;
}

#[tokio::test]
async fn an_archive_is_readable_for_people_and_tells_no_secret() {
    let store = Store::new();
    world_with(&store.settings(), async |world| {
        fill(world).await;
        let archive = exported(&world.app, &world.a).await;
        let sealed = std::fs::read(&store.files()[0]).unwrap();
        assert_eq!(store.files().len(), 1);
        for plain in [&b"manifest.json"[..], b"PK\x03\x04", b"ann@staff.example"] {
            assert!(!sealed.windows(plain.len()).any(|window| window == plain), "the store has it in the open");
        }

        let opened = archive_open(&world.app.objects, &world.app.services.vault, &archive).await.unwrap();
        let len = zip_len(&archive);
        let entries = tokio::task::spawn_blocking(move || {
            let mut zip = zip::ZipArchive::new(opened).unwrap();
            let read = |index| {
                let mut entry = zip.by_index(index).unwrap();
                let (name, mut text) = (entry.name().unwrap().into_owned(), String::new());
                entry.read_to_string(&mut text).unwrap();
                (name, text)
            };
            (0..len).map(read).collect::<std::collections::BTreeMap<_, _>>()
        })
        .await
        .unwrap();
        let lines = |entry: &str| -> Vec<Value> {
            entries[&format!("tables/{entry}.ndjson")].lines().map(|line| serde_json::from_str(line).unwrap()).collect()
        };
        let contacts: Vec<Value> =
            lines("orders").iter().map(|order| order["_opened"]["customer_sealed"].clone()).collect();
        assert!(contacts.iter().any(|contact| contact["email"] == "ann@customers.example"), "{contacts:?}");
        assert!(contacts.iter().any(Value::is_null), "who was erased stays so");
        assert!(lines("audit_log").iter().any(|entry| entry["_opened"]["sealed"].is_object()));
        let ann = lines("users").into_iter().find(|user| user["email"] == "ann@staff.example").unwrap();
        assert!(ann["password_hash"]["_sealed"].is_string(), "{ann}");
        assert!(lines("api_keys")[0]["secret_hash"]["_sealed"].is_string());
        let all: String = entries.values().map(String::as_str).collect();
        assert!(!all.contains("$argon2id$") && !all.contains("of-the-receiver"), "a secret is in the open");
        let manifest: Value = serde_json::from_str(&entries["manifest.json"]).unwrap();
        assert_eq!(manifest["form"], "shelfwise.archive.1");
        assert_eq!(manifest["tenant"]["slug"], world.a.slug.as_str());
        assert!(entries.contains_key("keys.json") && entries.contains_key("audit/anchors.ndjson"));
    })
    .await;
}

/// Entries of an archive: tables, anchors, keys, terms and the manifest.
fn zip_len(archive: &shelfwise::control::archives::Archive) -> usize {
    hashes(archive).len() + 4
}

#[tokio::test]
async fn an_archive_is_one_moment_of_a_shop_that_goes_on_selling() {
    let store = Store::new();
    world_with(&store.settings(), async |world| {
        let owner = world.owner();
        let id = asked(&world.app, &world.a).await;
        let writes = async {
            for index in 0..40 {
                author(&owner, &format!("Author {index}")).await;
            }
        };
        let make = archive_make(world.app.archive_desk(), &world.app.config.retention, id);
        let (archive, ()) = join(make, writes).await;
        let archive = archive.unwrap().unwrap();
        // Each author is written with an entry and an event, or not at all.
        let (authors, entries) = (rows_of(&archive, "authors"), rows_of(&archive, "audit_log"));
        assert_eq!(authors, entries);
        let shop = restored(&world.app, &archive).await;
        let session = world.app.services.tenants.session(Arc::clone(&shop));
        let read = session.read().await.unwrap();
        assert_eq!(verify(&read, async |_| Ok(Vec::new())).await.unwrap().broken, None);
        session.finish().await;
    })
    .await;
}

#[tokio::test]
async fn exports_at_once_are_one_for_a_shop_and_do_not_mix_two() {
    let store = Store::new();
    world_with(&store.settings(), async |world| {
        fill(world).await;
        let other = fingerprint(&world.b).await;
        let (a, b) = (&world.a, &world.b);
        let ids = join_all((0..4).map(|_| asked(&world.app, a))).await;
        assert!(ids.iter().all(|id| *id == ids[0]), "one is asked for at a time: {ids:?}");
        let of_b = asked(&world.app, b).await;
        let make = |id| archive_make(world.app.archive_desk(), &world.app.config.retention, id);
        let made = join_all([make(ids[0]), make(ids[0]), make(of_b)]).await;
        let made: Vec<_> = made.into_iter().map(|made| made.unwrap()).collect();
        assert_eq!(made[..2].iter().flatten().count(), 1, "the one that began last is kept");
        for id in [ids[0], of_b] {
            let archive = row(&world.app, id).await;
            archive_verify(&world.app.objects, &world.app.services.vault, &archive).await.unwrap();
        }
        assert_eq!(store.files().len(), 2, "{:?}", store.files());
        let copy = restored(&world.app, &row(&world.app, of_b).await).await;
        let contents = |rows: Vec<(String, String)>| {
            let is_table = |(name, _): &(String, String)| !name.starts_with("control.") && name != "tenant_head";
            rows.into_iter().filter(is_table).collect::<Vec<_>>()
        };
        let (copy, other) = (contents(fingerprint(&copy).await), contents(other));
        let differ: Vec<_> =
            copy.iter().zip(&other).filter(|(copy, other)| copy != other).map(|(copy, _)| &copy.0).collect();
        assert_eq!(differ, ["__diesel_schema_migrations", "tenant_stamp"]);
        delete_mails(world).await;
    })
    .await;
}

/// The other shop was exported, so its owners are to be mailed.
async fn delete_mails(world: &crate::harness::World) {
    let delete = "DELETE FROM control.jobs WHERE tenant_id = $1 AND kind = 'mail.export_ready'";
    assert_eq!(psql().await.execute(delete, &[&world.b.id.0]).await.unwrap(), 1);
}
