//! A secret among settings: sealed, used where it must be, and shown to nobody.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use shelfwise::kernel::clock::{Clock as _, SystemClock};
use shelfwise::kernel::seal::sealed_by;
use shelfwise::tenant::idempotency::key::hash;

use super::{WITHIN, reset, setting, trail, update};
use crate::harness::World;
use crate::harness::cluster::psql;
use crate::harness::world::{dump, world, world_with};
use crate::orders::{order, stocked};
use crate::webhooks::{Site, site};

const KEY: &str = "sk_live_4eC39HqLyjWDarjtT1zdp7dc";

#[tokio::test]
async fn a_secret_is_written_and_never_read_again() {
    world(async |world| {
        let owner = world.owner().with_header("idempotency-key", "secret");
        let unset = setting(&owner, "PAYMENTS_SECRET_KEY").await;
        assert_eq!((&unset["isSet"], &unset["type"]), (&json!(false), &json!("SECRET")));
        let set = update(&owner, "PAYMENTS_SECRET_KEY", json!(KEY)).await;
        assert_eq!(set["userErrors"], json!([]), "{set}");
        let shown = setting(&owner, "PAYMENTS_SECRET_KEY").await;
        assert_eq!(set["setting"], shown);
        let facts = (&shown["value"], &shown["isSet"], &shown["source"], &shown["isOwn"]);
        assert_eq!(facts, (&json!(null), &json!(true), &json!("SHOP"), &json!(true)));
        assert!(shown["updatedAt"].is_string());
        let operators = "query($slug: String!) { tenantSettings(slug: $slug) { name value isSet isOwn ruledValue } }";
        let seen = world.admin().data(operators, json!({ "slug": world.a.slug.as_str() })).await;
        let seen = seen["tenantSettings"].as_array().unwrap().iter().find(|s| s["name"] == "PAYMENTS_SECRET_KEY");
        let expected = json!({ "name": "PAYMENTS_SECRET_KEY", "value": null, "isSet": true, "isOwn": true,
                               "ruledValue": null });
        assert_eq!(seen, Some(&expected));

        // Neither the table nor the trail nor the answers that are kept have anything of it.
        assert!(!dump(&world.a, "").await.contains("4eC39HqLyjWDarjtT1zdp7dc"));
        let kept = format!(r#"SELECT count(*) FROM "{}".idempotency_keys"#, world.a.schema);
        assert_eq!(psql().await.query_one(&kept, &[]).await.unwrap().get::<_, i64>(0), 0);
        let is_set = json!({ "isSet": true });
        let entity = "setting_payments.secret_key".to_owned();
        assert_eq!(
            trail(&psql().await, &world.a).await,
            [("setting.update".to_owned(), entity.clone(), json!(null), is_set.clone())]
        );
        assert_eq!(reset(&world.owner(), "PAYMENTS_SECRET_KEY").await["setting"]["isSet"], false);
        assert_eq!(trail(&psql().await, &world.a).await[1], ("setting.reset".to_owned(), entity, is_set, json!(null)));
    })
    .await;
}

#[tokio::test]
async fn a_request_that_sets_a_secret_beside_is_known_again_by_a_keyed_hash() {
    world(async |world| {
        let owner = world.owner().with_header("idempotency-key", "both");
        let query = "mutation($value: JSON!) { authorCreate(input: { name: \"Ann\" }) { userErrors { code } }
            settingUpdate(name: PAYMENTS_SECRET_KEY, value: $value) { userErrors { code } } }";
        let variables = json!({ "value": KEY });
        let replayed = async || {
            let response = owner.gql(query, variables.clone()).await;
            assert_eq!((response.code(), response.status), ("", 200), "{}", response.body);
            response.body["extensions"]["idempotency"]["replayed"].clone()
        };
        assert_eq!(replayed().await, json!(null));
        let unkeyed = hash(&[b"both", query.as_bytes(), b"", variables.to_string().as_bytes()]).to_vec();
        let kept = format!(r#"SELECT fingerprint FROM "{}".idempotency_keys"#, world.a.schema);
        let kept: Vec<u8> = psql().await.query_one(&kept, &[]).await.unwrap().get(0);
        assert_ne!(kept, unkeyed);
        assert_eq!(replayed().await, json!(["authorCreate"]));
        // As the release before has kept it.
        let older = format!(r#"UPDATE "{}".idempotency_keys SET fingerprint = $1"#, world.a.schema);
        psql().await.execute(&older, &[&unkeyed]).await.unwrap();
        assert_eq!(replayed().await, json!(["authorCreate"]));
        let other = owner.gql(query, json!({ "value": "sk_live_of_another_account" })).await;
        assert_eq!(other.code(), "IDEMPOTENCY_CONFLICT");
    })
    .await;
}

#[tokio::test]
async fn the_installations_secret_is_not_shown_either() {
    world_with(&[("SETTING_PAYMENTS_SECRET_KEY", KEY)], async |world| {
        let shown = setting(&world.owner(), "PAYMENTS_SECRET_KEY").await;
        let facts = (&shown["value"], &shown["isSet"], &shown["source"]);
        assert_eq!(facts, (&json!(null), &json!(true), &json!("ENVIRONMENT")));
        assert!(!format!("{:?}", world.app.config).contains(KEY));
    })
    .await;
}

/// An order of a book, paid.
async fn paid(site: &Site, book: &str) -> String {
    let owner = site.world.owner();
    let id = order(&owner, &[(book, 1)]).await;
    for mutation in ["orderPlace", "orderPay"] {
        let query = format!("mutation($id: ID!) {{ r: {mutation}(id: $id) {{ userErrors {{ code }} }} }}");
        assert_eq!(owner.data(&query, json!({ "id": id })).await["r"]["userErrors"], json!([]));
    }
    let query = "query($id: ID!) { order(id: $id) { status } }";
    let paid = async {
        while owner.data(query, json!({ "id": id })).await["order"]["status"] != "PAID" {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), paid).await.expect("the order is paid");
    id
}

/// By whose account each step of the only payment was asked for, by the hashes of their keys.
async fn accounts(site: &Site, book: &str) -> Vec<Option<Vec<u8>>> {
    paid(site, book).await;
    let ledger = "DELETE FROM control.simulated_payments RETURNING account";
    site.psql.query(ledger, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn payments_go_through_the_shops_own_account_or_the_platforms() {
    let settings = [("PAYMENT_URL", "simulator:"), ("SETTING_PAYMENTS_SECRET_KEY", "sk_platform_0123456789")];
    site(&settings, async |site| {
        let hash = |key: &str| Some(Sha256::digest(key).to_vec());
        let emma = stocked(&site.world.owner(), "Emma", 5).await;
        assert_eq!(accounts(site, &emma).await, [hash("sk_platform_0123456789"), hash("sk_platform_0123456789")]);
        update(&site.world.owner(), "PAYMENTS_SECRET_KEY", json!(KEY)).await;
        assert_eq!(accounts(site, &emma).await, [hash(KEY), hash(KEY)]);
    })
    .await;
}

#[tokio::test]
async fn what_a_shops_account_took_is_not_paid_back_by_the_platforms() {
    let settings = [("PAYMENT_URL", "simulator:"), ("SETTING_PAYMENTS_SECRET_KEY", "sk_platform_0123456789")];
    site(&settings, async |site| {
        let owner = site.world.owner();
        update(&owner, "PAYMENTS_SECRET_KEY", json!(KEY)).await;
        let emma = stocked(&owner, "Emma", 5).await;
        let id = paid(site, &emma).await;
        assert_eq!(reset(&owner, "PAYMENTS_SECRET_KEY").await["userErrors"], json!([]));
        let refund = "mutation($id: ID!) { orderRefund(id: $id) { userErrors { code } } }";
        assert_eq!(owner.data(refund, json!({ "id": id })).await["orderRefund"]["userErrors"], json!([]));
        let dead = "SELECT errors::text FROM control.jobs WHERE kind = 'payment.refund' AND state = 'discarded'";
        let ended = async {
            loop {
                if let Some(row) = site.psql.query_opt(dead, &[]).await.unwrap() {
                    break row.get::<_, String>(0);
                }
                tokio::task::yield_now().await;
            }
        };
        let error = tokio::time::timeout(std::time::Duration::from_secs(30), ended).await.expect("it is given up");
        assert!(error.contains("the payment is in the account `acct_"), "{error}");
        assert!(!error.contains("sk_") && !error.contains("4eC39"), "{error}");
        let steps = "SELECT string_agg(step, ' ' ORDER BY step) FROM control.simulated_payments";
        assert_eq!(site.psql.query_one(steps, &[]).await.unwrap().get::<_, String>(0), "authorize capture");
        let status = format!(r#"SELECT status FROM "{}".payments"#, site.world.a.schema);
        assert_eq!(site.psql.query_one(&status, &[]).await.unwrap().get::<_, String>(0), "refunding");
    })
    .await;
}

/// What is sealed in the shop's row.
async fn sealed(site: &Site) -> Vec<u8> {
    let query = format!(r#"SELECT sealed FROM "{}".settings"#, site.world.a.schema);
    site.psql.query_one(&query, &[]).await.unwrap().get(0)
}

/// Begins with the shop's next key, and has what is sealed sealed anew.
async fn rotate(site: &Site, world: &World) -> Value {
    let rotate = "mutation($slug: String!) { tenantRotateKey(slug: $slug) { userErrors { code } } }";
    world.admin().data(rotate, json!({ "slug": world.a.slug.as_str() })).await;
    let begin = "UPDATE control.tenants SET keys = jsonb_set(keys, '{2,from}', to_jsonb(now() - interval '1 minute'))
                 WHERE id = $1";
    site.psql.execute(begin, &[&world.a.id.0]).await.unwrap();
    let has_begun = |from| from < SystemClock.now();
    let context = world.context_when(|shop| shop.keys.0.get(2).is_some_and(|key| has_begun(key.from))).await;
    let due = "UPDATE control.jobs SET state = 'available', scheduled_at = now() WHERE kind = 'keys.reseal'";
    assert_eq!(site.psql.execute(due, &[]).await.unwrap(), 1);
    world.app.services.bell.wake();
    json!(context.keys.0[2].id)
}

#[tokio::test]
async fn a_rotation_of_the_shops_key_seals_the_secret_anew() {
    site(&[("PAYMENT_URL", "simulator:")], async |site| {
        let world = &site.world;
        let emma = stocked(&world.owner(), "Emma", 5).await;
        update(&world.owner(), "PAYMENTS_SECRET_KEY", json!(KEY)).await;
        let before = sealed(site).await;
        let key = rotate(site, world).await;
        let resealed = async {
            while sealed(site).await == before {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(WITHIN * 15, resealed).await.expect("it is sealed anew");
        assert_eq!(json!(sealed_by(&sealed(site).await)), key);
        assert_eq!(accounts(site, &emma).await[0], Some(Sha256::digest(KEY).to_vec()));
    })
    .await;
}
