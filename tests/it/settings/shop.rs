//! `settings`, `settingUpdate`, `settingReset`

use serde_json::{Value, json};
use shelfwise::kernel::actor::Role;

use super::{becomes, reset, rows, set, setting, told, trail, update};
use crate::graphql_helpers::codes;
use crate::harness::cluster::psql;
use crate::harness::world::world_with;
use crate::harness::{World, world};
use crate::orders::{order_create, stocked};

#[tokio::test]
async fn a_shop_sees_all_its_settings_with_what_they_are_and_why() {
    world_with(&[("SETTING_ORDERS_REFUND_DAYS", "30")], async |world| {
        let query = "{ settings { name type description minimum maximum value isSet source defaultValue isOwn
                       updatedAt viewerCanChange } }";
        let data = world.owner().data(query, json!({})).await;
        let settings = data["settings"].as_array().unwrap();
        let name = |setting: &Value| setting["name"].as_str().unwrap().to_owned();
        let names: Vec<String> = settings.iter().map(name).collect();
        assert_eq!(
            names,
            [
                "API_KEYS_LIFETIME_DAYS",
                "CATALOG_STOCK_LOW",
                "EVENTS_RETENTION_DAYS",
                "IDEMPOTENCY_RETENTION_HOURS",
                "MAIL_REPLY_TO",
                "ORDERS_QUANTITY_MAX",
                "ORDERS_REFUND_DAYS",
                "PAYMENTS_SECRET_KEY",
                "SESSIONS_IDLE_DAYS",
                "SESSIONS_LIFETIME_DAYS",
                "WEBHOOKS_RETENTION_DAYS"
            ]
        );
        let platforms: Vec<String> =
            settings.iter().filter(|setting| setting["viewerCanChange"] == false).map(name).collect();
        assert_eq!(platforms, ["EVENTS_RETENTION_DAYS", "IDEMPOTENCY_RETENTION_HOURS", "WEBHOOKS_RETENTION_DAYS"]);
        assert_eq!(
            settings[1],
            json!({
                "name": "CATALOG_STOCK_LOW", "type": "INTEGER", "minimum": 0, "maximum": 1_000_000, "value": 3,
                "description": "Copies of a book below which the shop is told that few are left.", "isSet": true,
                "source": "DEFAULT", "defaultValue": 3, "isOwn": false, "updatedAt": null, "viewerCanChange": true
            })
        );
        assert_eq!(told(&settings[6]), (json!(30), "ENVIRONMENT"));
        assert_eq!((&settings[4]["value"], &settings[4]["isSet"]), (&json!(null), &json!(false)));
    })
    .await;
}

#[tokio::test]
async fn a_shop_sets_a_setting_and_takes_it_back() {
    world(async |world| {
        let owner = world.owner();
        let updated = update(&owner, "CATALOG_STOCK_LOW", json!(7)).await["setting"].clone();
        assert_eq!((told(&updated), &updated["isOwn"]), ((json!(7), "SHOP"), &json!(true)));
        assert!(updated["updatedAt"].is_string());
        assert_eq!(setting(&owner, "CATALOG_STOCK_LOW").await, updated);
        // Once more changes nothing.
        assert_eq!(update(&owner, "CATALOG_STOCK_LOW", json!(7)).await["setting"], updated);
        set(&owner, "CATALOG_STOCK_LOW", json!(8)).await;

        let taken_back = reset(&owner, "CATALOG_STOCK_LOW").await["setting"].clone();
        assert_eq!((told(&taken_back), &taken_back["isOwn"]), ((json!(3), "DEFAULT"), &json!(false)));
        assert_eq!(
            reset(&owner, "CATALOG_STOCK_LOW").await["userErrors"],
            json!([]),
            "nothing is taken back once more"
        );
        assert_eq!(rows(&world.a).await, 0);

        let entry = |action: &str, before: Value, after: Value| {
            (action.to_owned(), "setting_catalog.stock_low".to_owned(), before, after)
        };
        assert_eq!(
            trail(&psql().await, &world.a).await,
            [
                entry("setting.update", json!(null), json!({ "value": 7 })),
                entry("setting.update", json!({ "value": 7 }), json!({ "value": 8 })),
                entry("setting.reset", json!({ "value": 8 }), json!(null)),
            ]
        );
    })
    .await;
}

#[tokio::test]
async fn what_is_no_value_is_refused_and_nothing_is_written() {
    world(async |world| {
        let owner = world.owner();
        let refused = [
            ("CATALOG_STOCK_LOW", json!(-1)),
            ("CATALOG_STOCK_LOW", json!(1_000_001)),
            ("CATALOG_STOCK_LOW", json!(2.5)),
            ("CATALOG_STOCK_LOW", json!("3")),
            ("CATALOG_STOCK_LOW", json!({ "value": 3 })),
            ("MAIL_REPLY_TO", json!("nobody")),
            ("MAIL_REPLY_TO", json!("shop@acme.example\r\nBcc: eve@evil.example")),
            ("PAYMENTS_SECRET_KEY", json!("hunter2")),
            ("PAYMENTS_SECRET_KEY", json!(1_234_567_890_123_456_789_u64)),
        ];
        for (name, value) in refused {
            let payload = update(&owner, name, value.clone()).await;
            assert_eq!((codes(&payload), &payload["setting"]), (vec!["VALUE_INVALID"], &json!(null)), "{name} {value}");
            assert_eq!(payload["userErrors"][0]["path"], json!(["value"]));
            assert!(!payload.to_string().contains("hunter2"), "{payload}");
        }
        for name in ["EVENTS_RETENTION_DAYS", "IDEMPOTENCY_RETENTION_HOURS", "WEBHOOKS_RETENTION_DAYS"] {
            assert_eq!(codes(&update(&owner, name, json!(5)).await), ["SETTING_NOT_CHANGEABLE"]);
            assert_eq!(codes(&reset(&owner, name).await), ["SETTING_NOT_CHANGEABLE"]);
        }
        let null = "mutation { settingUpdate(name: CATALOG_STOCK_LOW, value: null) { userErrors { code } } }";
        assert_eq!(owner.gql(null, json!({})).await.code(), "BAD_REQUEST");
        let manager = world.user(&world.a, Role::Manager);
        assert_eq!(manager.gql("{ settings { name } }", json!({})).await.code(), "FORBIDDEN");
        assert_eq!((rows(&world.a).await, trail(&psql().await, &world.a).await.len()), (0, 0));
    })
    .await;
}

#[tokio::test]
async fn a_repetition_answers_what_is_and_does_nothing() {
    world(async |world| {
        let keyed = world.owner().with_header("idempotency-key", "once");
        let first = update(&keyed, "ORDERS_QUANTITY_MAX", json!(5)).await;
        set(&world.owner(), "ORDERS_QUANTITY_MAX", json!(6)).await;
        let again = update(&keyed, "ORDERS_QUANTITY_MAX", json!(5)).await;
        assert_eq!((&first["setting"]["value"], &again["setting"]["value"]), (&json!(5), &json!(6)));
        assert_eq!(trail(&psql().await, &world.a).await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_change_counts_at_once_where_it_was_made_and_within_a_second_on_another_replica() {
    world(async |world| {
        let other = World::beside(world).await;
        let (here, there) = (world.owner(), other.owner());
        let emma = stocked(&here, "Emma", 50).await;
        // Both have been asked, and remember.
        for client in [&here, &there] {
            assert_eq!(codes(&order_create(client, &[(&emma, 3)]).await), Vec::<&str>::new());
        }
        set(&here, "ORDERS_QUANTITY_MAX", json!(2)).await;
        assert_eq!(codes(&order_create(&here, &[(&emma, 3)]).await), ["QUANTITY_INVALID"]);
        let refuses = async || codes(&order_create(&there, &[(&emma, 3)]).await) == ["QUANTITY_INVALID"];
        becomes(true, refuses).await;

        reset(&there, "ORDERS_QUANTITY_MAX").await;
        assert_eq!(codes(&order_create(&there, &[(&emma, 3)]).await), Vec::<&str>::new());
        becomes(true, async || codes(&order_create(&here, &[(&emma, 3)]).await).is_empty()).await;
        other.end().await;
    })
    .await;
}

#[tokio::test]
async fn a_row_of_another_release_is_nothing_to_this_one() {
    world(async |world| {
        let insert = format!(
            r#"INSERT INTO "{}".settings (name, value, updated_at) VALUES
               ('of.the_future', '1', now()), ('catalog.stock_low', '-5', now()), ('events.retention_days', '9', now())"#,
            world.a.schema
        );
        psql().await.execute(&insert, &[]).await.unwrap();
        let owner = world.owner();
        assert_eq!(told(&setting(&owner, "CATALOG_STOCK_LOW").await), (json!(3), "DEFAULT"));
        let platforms = setting(&owner, "EVENTS_RETENTION_DAYS").await;
        assert_eq!((told(&platforms), &platforms["isOwn"]), ((json!(30), "DEFAULT"), &json!(false)));
        set(&owner, "CATALOG_STOCK_LOW", json!(4)).await;
        assert_eq!(told(&setting(&owner, "CATALOG_STOCK_LOW").await), (json!(4), "SHOP"));
    })
    .await;
}
