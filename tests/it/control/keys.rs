//! Tenants' keys: made with the tenant, rotated under way, wrapped anew, and of no use without their master key.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use shelfwise::app::{App, owner};
use shelfwise::config::crypto::{CryptoConfig, MasterKey};
use shelfwise::control::tenants::keys::{HEAD_START, make_missing, rewrap_all, wrapped};
use shelfwise::control::tenants::service::tenant_by_slug;
use shelfwise::db::migrate::migrate_control;
use shelfwise::kernel::clock::{Clock, SystemClock};
use shelfwise::kernel::seal::{Place, sealed_by};
use shelfwise::kernel::tenant::TenantCtx;
use shelfwise::vault::{KeyError, Vault};
use uuid::Uuid;

use crate::harness::World;
use crate::harness::cluster::{own_database, psql, psql_of};
use crate::harness::world::{config_over, fresh_slug, master_key, operator, shop, vault, world};

const EMAIL: Place = Place { row: Uuid::from_u128(1), column: "customers.email" };
const ROTATE: &str =
    "mutation($slug: String!) { tenantRotateKey(slug: $slug) { tenant { slug } userErrors { code path } } }";

/// The machine's clock, some time ahead.
struct Ahead(Duration);

impl Clock for Ahead {
    fn now(&self) -> DateTime<Utc> {
        SystemClock.now() + self.0
    }

    fn new_id(&self) -> Uuid {
        SystemClock.new_id()
    }

    fn secret(&self) -> [u8; 32] {
        SystemClock.secret()
    }
}

/// The context that a server has of a shop, once it knows so many keys of it.
async fn known(world: &World, keys: usize) -> Arc<TenantCtx> {
    world.context_when(|context| context.keys.0.len() == keys).await
}

/// The context of a shop as the registry has it now.
async fn fresh(app: &App, shop: &TenantCtx) -> Arc<TenantCtx> {
    tenant_by_slug(&app.control, shop.slug.as_str()).await.unwrap().unwrap().context().unwrap()
}

#[tokio::test]
async fn a_new_shop_has_keys_and_the_database_has_them_wrapped() {
    world(async |world| {
        let query = "SELECT keys::text FROM control.tenants WHERE id = $1";
        let keys: String = psql().await.query_one(query, &[&world.a.id.0]).await.unwrap().get(0);
        let keys: Value = serde_json::from_str(&keys).unwrap();
        let purposes: Vec<_> = keys.as_array().unwrap().iter().map(|key| (&key["purpose"], &key["master"])).collect();
        assert_eq!(purposes, [(&json!("data"), &json!("test-1")), (&json!("index"), &json!("test-1"))]);

        let here = &world.app.services.vault;
        let sealed = here.seal(&world.a, EMAIL, b"ann@example.org").unwrap();
        let elsewhere = vault(&[MasterKey::generate("test-1").unwrap()]);
        assert_eq!(elsewhere.open(&world.a, EMAIL, &sealed), Err(KeyError::Damaged(world.a.keys.0[0].id)));
        assert_eq!(vault(&[master_key()]).open(&world.a, EMAIL, &sealed).unwrap(), b"ann@example.org");

        // Neither the values of the one open for the other, nor are its hashes the same.
        assert!(here.open(&world.b, EMAIL, &sealed).is_err());
        let hash = |shop: &TenantCtx| here.index_hash(shop, "customers.email", b"ann@example.org").unwrap();
        assert_ne!(hash(&world.a), hash(&world.b));
    })
    .await;
}

#[tokio::test]
async fn a_shops_own_role_cannot_read_its_keys() {
    world(async |world| {
        let session = world.app.services.tenants.session(Arc::clone(&world.a));
        let read = session.read().await.unwrap();
        let query = diesel::select(diesel::dsl::sql::<diesel::sql_types::Text>("keys::text FROM control.tenants"));
        let denied = read.load::<_, String, _>(query).await.unwrap_err();
        assert!(matches!(denied, shelfwise::db::DbError::Denied(_)), "{denied}");
        drop(read);
        session.finish().await;
    })
    .await;
}

#[tokio::test]
async fn a_rotation_is_noticed_by_nobody_and_every_replica_opens_old_and_new() {
    world(async |world| {
        let beside = World::beside(world).await;
        let (one, two) = (known(world, 2).await, known(&beside, 2).await);
        let before = world.app.services.vault.seal(&one, EMAIL, b"before").unwrap();
        assert_eq!(beside.app.services.vault.open(&two, EMAIL, &before).unwrap(), b"before");

        let data = world.admin().data(ROTATE, json!({ "slug": world.a.slug.as_str() })).await;
        assert_eq!(data["tenantRotateKey"]["userErrors"], json!([]));
        let (one, two) = (known(world, 3).await, known(&beside, 3).await);
        assert_eq!(one, two);

        // Until every server knows it, the new key seals nothing; then it does, and both open either.
        let during = beside.app.services.vault.seal(&two, EMAIL, b"during").unwrap();
        assert_eq!(sealed_by(&during), sealed_by(&before));
        let config = CryptoConfig { master_keys: vec![master_key()] };
        let later = Vault::new(&config, Arc::new(Ahead(HEAD_START + Duration::from_secs(1))));
        let after = later.seal(&one, EMAIL, b"after").unwrap();
        assert_eq!(sealed_by(&after), Some(one.keys.0[2].id));
        for (server, context) in [(world, &one), (&beside, &two)] {
            for (sealed, plain) in [(&before, "before"), (&during, "during"), (&after, "after")] {
                let opened = server.app.services.vault.open(context, EMAIL, sealed).unwrap();
                assert_eq!(opened, plain.as_bytes());
            }
        }
        // The index key stays, or nothing would be found again.
        let hash = |vault: &Vault| vault.index_hash(&one, "customers.email", b"x").unwrap();
        assert_eq!(hash(&later), hash(&vault(&[master_key()])));

        let log = "query($slug: String!) { auditLog(target: $slug, first: 1) { nodes { action details } } }";
        let data = world.admin().data(log, json!({ "slug": world.a.slug.as_str() })).await;
        let entry = &data["auditLog"]["nodes"][0];
        assert_eq!(entry["action"], "tenant.rotate_key");
        assert_eq!(entry["details"]["key"], one.keys.0[2].id.to_string());
        beside.end().await;
    })
    .await;
}

#[tokio::test]
async fn a_rotation_that_cannot_be_is_a_user_error() {
    world(async |world| {
        let nobody = world.admin().data(ROTATE, json!({ "slug": "nobody" })).await;
        let code = |data: Value| data["tenantRotateKey"]["userErrors"][0]["code"].clone();
        assert_eq!(code(nobody), "TENANT_NOT_FOUND");
        let rotate = async || code(world.admin().data(ROTATE, json!({ "slug": world.a.slug.as_str() })).await);
        for _ in 2..20 {
            assert_eq!(rotate().await, Value::Null);
        }
        assert_eq!(rotate().await, "TENANT_KEY_LIMIT");
        assert_eq!(fresh(&world.app, &world.a).await.keys.0.len(), 20);
    })
    .await;
}

#[tokio::test]
async fn keys_are_wrapped_anew_and_open_without_the_old_master_key() {
    let (_, urls) = own_database().await;
    migrate_control(&owner(&urls).unwrap()).await.unwrap();
    let (old, new) = (MasterKey::generate("2026-11").unwrap(), MasterKey::generate("2027-11").unwrap());
    let config = config_over(&urls, &[("MASTER_KEYS", &old.to_setting())]);
    let app = App::new(config, Arc::new(SystemClock)).unwrap();
    let (a, b) = (shop(&app, "a").await, shop(&app, "b").await);
    let sealed = app.services.vault.seal(&a, EMAIL, b"x").unwrap();

    // A server that lacks what wraps a shop's keys wraps none of them.
    let wrong = rewrap_all(&app.control, &vault(std::slice::from_ref(&new)), &SystemClock, &operator()).await.unwrap();
    assert_eq!((wrong.rewrapped, wrong.failed.len()), (0, 2));
    assert!(wrong.failed[0].1.contains("MASTER_KEYS lacks `2026-11`"), "{wrong:?}");

    let both = vault(&[new.clone(), old.clone()]);
    let outcome = rewrap_all(&app.control, &both, &SystemClock, &operator()).await.unwrap();
    assert_eq!((outcome.rewrapped, outcome.failed.len()), (4, 0));
    let again = rewrap_all(&app.control, &both, &SystemClock, &operator()).await.unwrap();
    assert_eq!(again.rewrapped, 0, "a second run has nothing to do");
    let state = wrapped(&app.control).await.unwrap();
    assert_eq!(state.by_master.into_iter().collect::<Vec<_>>(), [("2027-11".to_owned(), 4)]);

    let after = fresh(&app, &a).await;
    assert_eq!(vault(&[new]).open(&after, EMAIL, &sealed).unwrap(), b"x");
    assert_eq!(both.open(&a, EMAIL, &sealed).unwrap(), b"x", "who has both opens by the entry of before");
    let missing = KeyError::MasterMissing { master: "2027-11".to_owned(), key: b.keys.0[0].id };
    let after = fresh(&app, &b).await;
    assert_eq!(vault(&[old]).seal(&after, EMAIL, b"x"), Err(missing));
}

#[tokio::test]
async fn a_server_without_the_master_key_fails_what_needs_it_and_nothing_else() {
    world(async |world| {
        let other = MasterKey::generate("other").unwrap().to_setting();
        let beside = World::beside_with(world, &[("MASTER_KEYS", &other)]).await;
        let missing = KeyError::MasterMissing { master: "test-1".to_owned(), key: world.a.keys.0[0].id };
        assert_eq!(beside.app.services.vault.seal(&world.a, EMAIL, b"x"), Err(missing));
        let books = beside.owner().gql("{ books { totalCount } }", json!({})).await;
        assert_eq!(books.code(), "");
        let ready = beside.http.get(format!("{}/health/ready", beside.base_url)).send().await.unwrap();
        assert_eq!(ready.status(), 200);
        beside.end().await;

        let none = World::beside_with(world, &[("MASTER_KEYS", "")]).await;
        let provision = "mutation($slug: String!) { tenantProvision(input: {
            slug: $slug, name: \"X\", plan: \"free\", ownerEmail: \"a@b.example\" }) { tenant { id } } }";
        let slug = fresh_slug("k");
        let refused = none.admin().gql(provision, json!({ "slug": slug })).await;
        assert_eq!(refused.code(), "INTERNAL_ERROR");
        assert!(!refused.body.to_string().contains("MASTER_KEYS"), "{}", refused.body);
        assert!(tenant_by_slug(&world.app.control, &slug).await.unwrap().is_none());
        none.end().await;
    })
    .await;
}

#[tokio::test]
async fn shops_that_are_older_than_keys_get_them_once() {
    let (name, urls) = own_database().await;
    let owner = owner(&urls).unwrap();
    migrate_control(&owner).await.unwrap();
    let app = App::new(config_over(&urls, &[]), Arc::new(SystemClock)).unwrap();
    let shops = [shop(&app, "a").await, shop(&app, "b").await, shop(&app, "c").await];
    psql_of(&name).await.batch_execute("UPDATE control.tenants SET keys = DEFAULT").await.unwrap();
    let before = fresh(&app, &shops[0]).await;
    assert_eq!(app.services.vault.seal(&before, EMAIL, b"x"), Err(KeyError::NoKeys));
    assert_eq!(wrapped(&app.control).await.unwrap().without, 3);

    let run = || async { make_missing(&owner, &app.services.vault, &SystemClock, &operator()).await.unwrap() };
    let (one, two) = tokio::join!(run(), run());
    assert_eq!(one + two, 3, "two at once make them once");
    assert_eq!(run().await, 0);
    let after = fresh(&app, &shops[0]).await;
    let sealed = app.services.vault.seal(&after, EMAIL, b"x").unwrap();
    assert_eq!(app.services.vault.open(&after, EMAIL, &sealed).unwrap(), b"x");
}
