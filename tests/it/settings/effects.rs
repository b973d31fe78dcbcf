//! What settings do.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{reset, set};
use crate::graphql_helpers::codes;
use crate::harness::cluster::psql;
use crate::harness::smtp::{Offer, SmtpServer};
use crate::harness::world::{world, world_with};
use crate::harness::{Client, World};
use crate::identity::{joined, login};
use crate::mail::Site;
use crate::orders::{act, events, make_paid, order, order_create, stocked};

#[tokio::test]
async fn a_shop_says_when_its_stock_is_low() {
    world(async |world| {
        let owner = world.owner();
        let emma = stocked(&owner, "Emma", 20).await;
        let place = async |quantity| {
            let id = order(&owner, &[(&emma, quantity)]).await;
            act(&owner, "orderPlace", &id, "").await;
            events(&world.a).await.iter().filter(|kind| *kind == "book.stock_low").count()
        };
        assert_eq!(place(5).await, 0, "15 are left");
        set(&owner, "CATALOG_STOCK_LOW", json!(10)).await;
        assert_eq!(place(5).await, 0, "10 are left");
        assert_eq!(place(1).await, 1, "9 are left");
        assert_eq!(place(1).await, 1, "it was told");
        set(&owner, "CATALOG_STOCK_LOW", json!(0)).await;
        assert_eq!(place(8).await, 1, "nobody wants to know");
    })
    .await;
}

#[tokio::test]
async fn a_shop_bounds_how_many_copies_a_line_has() {
    world_with(&[("SETTING_ORDERS_QUANTITY_MAX", "4")], async |world| {
        let owner = world.owner();
        let emma = stocked(&owner, "Emma", 50).await;
        let five = order_create(&owner, &[(&emma, 5)]).await;
        assert_eq!(
            (codes(&five), five["userErrors"][0]["message"].as_str()),
            (vec!["QUANTITY_INVALID"], Some("A line has 1 to 4 copies."))
        );
        let id = order(&owner, &[(&emma, 4)]).await;
        let line = "mutation($id: ID!, $book: ID!) {
            r: orderLineSet(id: $id, bookId: $book, quantity: 5) { userErrors { code } } }";
        let line = async || owner.data(line, json!({ "id": id, "book": emma })).await["r"].clone();
        assert_eq!(codes(&line().await), ["QUANTITY_INVALID"]);
        set(&owner, "ORDERS_QUANTITY_MAX", json!(5)).await;
        assert_eq!(codes(&line().await), Vec::<&str>::new());
        reset(&owner, "ORDERS_QUANTITY_MAX").await;
        assert_eq!(codes(&line().await), ["QUANTITY_INVALID"]);
    })
    .await;
}

#[tokio::test]
async fn a_shop_says_how_long_it_pays_back() {
    world(async |world| {
        let owner = world.owner();
        let emma = stocked(&owner, "Emma", 50).await;
        let handed_over = async |days_ago: i32| {
            let id = order(&owner, &[(&emma, 1)]).await;
            act(&owner, "orderPlace", &id, "").await;
            make_paid(&world.a, &id).await;
            if days_ago >= 0 {
                act(&owner, "orderFulfill", &id, "").await;
                let back = format!(
                    r#"UPDATE "{}".orders SET fulfilled_at = fulfilled_at - make_interval(days => $1)
                       WHERE status = 'fulfilled' AND fulfilled_at > now() - interval '1 hour'"#,
                    world.a.schema
                );
                psql().await.execute(&back, &[&days_ago]).await.unwrap();
            }
            id
        };
        let refund = async |id: &str| codes(&act(&owner, "orderRefund", id, "").await).join(" ");
        // Unset: whenever.
        assert_eq!(refund(&handed_over(1_000).await).await, "");
        set(&owner, "ORDERS_REFUND_DAYS", json!(14)).await;
        let late = handed_over(15).await;
        assert_eq!(refund(&late).await, "REFUND_PERIOD_OVER");
        assert_eq!(refund(&handed_over(13).await).await, "");
        set(&owner, "ORDERS_REFUND_DAYS", json!(0)).await;
        assert_eq!(refund(&handed_over(1).await).await, "REFUND_PERIOD_OVER");
        assert_eq!(refund(&handed_over(-1).await).await, "", "what was not handed over is paid back");
        set(&owner, "ORDERS_REFUND_DAYS", json!(16)).await;
        assert_eq!(refund(&late).await, "", "the shop has thought better of it");
    })
    .await;
}

/// When the youngest log-in of shop A ends and when its refresh token does, in days from now.
async fn lifetimes(world: &World) -> (f64, f64) {
    let query = format!(
        r#"SELECT extract(epoch FROM s.expires_at - now())::float8 / 86400,
                  extract(epoch FROM t.expires_at - now())::float8 / 86400
           FROM "{0}".sessions s JOIN "{0}".user_tokens t ON t.session_id = s.id
           ORDER BY s.created_at DESC, t.created_at DESC LIMIT 1"#,
        world.a.schema
    );
    let row = psql().await.query_one(&query, &[]).await.unwrap();
    (row.get::<_, f64>(0).round(), row.get::<_, f64>(1).round())
}

#[tokio::test]
async fn a_shop_says_how_long_its_log_ins_last() {
    world(async |world| {
        let first = joined(world, "ann@acme.example", "Clerk").await;
        assert_eq!(lifetimes(world).await, (30.0, 14.0));
        let owner = world.owner();
        set(&owner, "SESSIONS_LIFETIME_DAYS", json!(7)).await;
        set(&owner, "SESSIONS_IDLE_DAYS", json!(2)).await;
        login(world, "ann@acme.example", crate::identity::PASSWORD).await;
        assert_eq!(lifetimes(world).await, (7.0, 2.0));

        // Who was in before is out when the next token is asked for.
        let age = format!(
            r#"UPDATE "{}".sessions SET created_at = created_at - interval '8 days' WHERE expires_at > now() + interval '20 days'"#,
            world.a.schema
        );
        assert_eq!(psql().await.execute(&age, &[]).await.unwrap(), 1);
        let refresh = "mutation($token: String!) {
            r: tokenRefresh(input: { refreshToken: $token }) { session { accessToken } userErrors { code } } }";
        let refresh = async || {
            world.stranger().data(refresh, json!({ "token": first["refreshToken"] })).await["r"].clone()
        };
        assert_eq!(codes(&refresh().await), ["TOKEN_INVALID"]);
        reset(&owner, "SESSIONS_LIFETIME_DAYS").await;
        assert_eq!(codes(&refresh().await), Vec::<&str>::new());
    })
    .await;
}

/// Makes an API key that expires in so many days, or never.
async fn api_key(client: &Client<'_>, days: Option<i64>) -> Value {
    let query = "mutation($at: DateTime) { r: apiKeyCreate(input: {
        name: \"Till\", permissions: [CATALOG_READ], expiresAt: $at }) { userErrors { code message } } }";
    let at = days.map(|days| (chrono::Utc::now() + TimeDelta::days(days) - TimeDelta::hours(1)).to_rfc3339());
    client.data(query, json!({ "at": at })).await["r"].clone()
}

#[tokio::test]
async fn a_shop_says_how_long_its_api_keys_live() {
    world(async |world| {
        let owner = world.owner();
        for days in [None, Some(366)] {
            assert_eq!(codes(&api_key(&owner, days).await), Vec::<&str>::new());
        }
        set(&owner, "API_KEYS_LIFETIME_DAYS", json!(90)).await;
        assert_eq!(codes(&api_key(&owner, Some(90)).await), Vec::<&str>::new());
        for days in [None, Some(92)] {
            let refused = api_key(&owner, days).await;
            assert_eq!(codes(&refused), ["EXPIRY_INVALID"]);
            assert_eq!(refused["userErrors"][0]["message"], "A key expires within 90 days.");
        }
    })
    .await;
}

#[tokio::test]
async fn answers_to_a_shops_mails_go_where_it_says() {
    let mut server = SmtpServer::start(Offer::StartTls).await;
    let site = Site::start(&server).await;
    site.invite(&site.world.a).await;
    assert_eq!(server.next().await.header("Reply-To"), "");
    set(&site.world.owner(), "MAIL_REPLY_TO", json!("desk@acme.example")).await;
    site.invite(&site.world.a).await;
    assert_eq!(server.next().await.header("Reply-To"), "desk@acme.example");
    site.invite(&site.world.b).await;
    assert_eq!(server.next().await.header("Reply-To"), "", "the other shop's mails are as they were");
    site.end().await;
}

#[tokio::test]
async fn answers_are_kept_for_as_long_as_operators_say() {
    world(async |world| {
        let update = "mutation($slug: String!) { tenantSettingUpdate(slug: $slug, name: IDEMPOTENCY_RETENTION_HOURS,
            value: 2) { setting { value source } userErrors { code } } }";
        let data = world.admin().data(update, json!({ "slug": world.a.slug.as_str() })).await;
        let expected = json!({ "setting": { "value": 2, "source": "OPERATORS" }, "userErrors": [] });
        assert_eq!(data["tenantSettingUpdate"], expected);
        world.context_when(|shop| !shop.ruled.tenant.is_empty()).await;
        let create = "mutation($key: IdempotencyKey) {
            authorCreate(input: { name: \"Ann\" }, idempotencyKey: $key) { userErrors { code } } }";
        world.owner().data(create, json!({ "key": "one" })).await;
        let kept = format!(
            r#"SELECT extract(epoch FROM expires_at - created_at)::bigint FROM "{}".idempotency_keys"#,
            world.a.schema
        );
        assert_eq!(psql().await.query_one(&kept, &[]).await.unwrap().get::<_, i64>(0), 2 * 3600);
    })
    .await;
}
