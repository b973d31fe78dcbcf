//! A rotation of a shop's key: what is sealed of endpoints is sealed anew, and receivers do not notice.

use serde_json::json;
use shelfwise::kernel::clock::{Clock as _, SystemClock};
use shelfwise::kernel::seal::sealed_by;
use uuid::Uuid;

use super::{Site, endpoint_with, shown, site};
use crate::harness::receiver::Receiver;

/// Which of the shop's keys have sealed the secret and the headers.
async fn keys(site: &Site) -> Vec<Option<Uuid>> {
    let query = format!(r#"SELECT secret, headers FROM "{}".webhook_endpoints"#, site.world.a.schema);
    let row = site.psql.query_one(&query, &[]).await.unwrap();
    [row.get::<_, Vec<u8>>(0), row.get(1)].iter().map(|sealed| sealed_by(sealed)).collect()
}

#[tokio::test]
async fn a_rotation_has_secrets_and_headers_sealed_anew_and_no_receiver_notices() {
    site(&[], async |site| {
        let (receiver, owner, world) = (Receiver::start().await, site.world.owner(), &site.world);
        let headers = json!([{ "name": "X-Shop", "value": "one" }]);
        let (id, secret) = endpoint_with(&owner, json!({ "url": receiver.url("/hook"), "headers": headers })).await;
        let before = keys(site).await;
        let rotate = "mutation($slug: String!) { tenantRotateKey(slug: $slug) { userErrors { code } } }";
        world.admin().data(rotate, json!({ "slug": world.a.slug.as_str() })).await;
        let begin =
            "UPDATE control.tenants SET keys = jsonb_set(keys, '{2,from}', to_jsonb(now() - interval '1 minute'))
                     WHERE id = $1";
        site.psql.execute(begin, &[&world.a.id.0]).await.unwrap();
        let has_begun = |from| from < SystemClock.now();
        let context = world.context_when(|shop| shop.keys.0.get(2).is_some_and(|key| has_begun(key.from))).await;
        let due = "UPDATE control.jobs SET state = 'available', scheduled_at = now() WHERE kind = 'keys.reseal'";
        assert_eq!(site.psql.execute(due, &[]).await.unwrap(), 1);
        world.app.services.bell.wake();
        let resealed = async {
            while keys(site).await == before {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(30), resealed).await.expect("it is sealed anew");

        assert_eq!(keys(site).await, [Some(context.keys.0[2].id); 2]);
        site.publish(&world.a, 1).await;
        let received = receiver.wait_for("/hook", 1).await.remove(0);
        assert!(received.is_signed_by(&secret));
        assert_eq!(received.header("x-shop"), "one");
        assert_eq!(shown(&owner, &id).await["headerNames"], json!(["X-Shop"]));
    })
    .await;
}
