//! `salesReport`

use serde_json::{Value, json};
use shelfwise::kernel::actor::Role;

use super::{act, make_paid, order, stocked};
use crate::graphql_helpers::{book, category};
use crate::harness::cluster::psql;
use crate::harness::{Client, world};

async fn report(client: &Client<'_>, arguments: &str) -> Value {
    let query = format!(
        "{{ salesReport({arguments}) {{
            day title book {{ title }} category {{ name }} orderCount copyCount revenue {{ amount }} }} }}"
    );
    client.data(&query, json!({})).await["salesReport"].clone()
}

#[tokio::test]
async fn what_was_paid_is_summed_by_day_book_and_category() {
    world(async |world| {
        let owner = world.owner();
        let novels = category(&owner, "Novels", None).await;
        let emma = book(
            &owner,
            json!({ "title": "Emma", "stock": 50, "categoryId": novels,
                    "price": { "amount": "10", "currency": "EUR" } }),
        )
        .await;
        let maps = stocked(&owner, "Maps", 50).await;
        let orders: [&[(&str, i32)]; 5] =
            [&[(&emma, 3)], &[(&emma, 1), (&maps, 1)], &[(&maps, 2)], &[(&emma, 9)], &[(&emma, 9)]];
        let mut ids = Vec::new();
        for lines in orders {
            let id = order(&owner, lines).await;
            act(&owner, "orderPlace", &id, "").await;
            ids.push(id);
        }
        for id in &ids[..4] {
            make_paid(&world.a, id).await;
        }
        act(&owner, "orderRefund", &ids[3], "").await;
        let days = format!(
            r#"UPDATE "{0}".orders SET paid_at = '2026-03-01T23:59:59Z' WHERE number = 1;
               UPDATE "{0}".orders SET paid_at = '2026-03-02T00:00:00Z' WHERE number IN (2, 3, 4)"#,
            world.a.schema
        );
        psql().await.batch_execute(&days).await.unwrap();

        let range = "from: \"2026-03-01\", to: \"2026-03-02\"";
        let row = |day: Value, title: Value, category: Value, sums: (i64, i64, &str)| {
            let book = if title.is_null() { Value::Null } else { json!({ "title": title }) };
            let category = if category.is_null() { Value::Null } else { json!({ "name": category }) };
            json!({ "day": day, "title": title, "book": book, "category": category, "orderCount": sums.0,
                    "copyCount": sums.1, "revenue": { "amount": sums.2 } })
        };
        let none = || Value::Null;
        assert_eq!(
            report(&owner, &format!("{range}, by: DAY")).await,
            json!([
                row(json!("2026-03-01"), none(), none(), (1, 3, "30.00")),
                row(json!("2026-03-02"), none(), none(), (2, 4, "40.00")),
            ])
        );
        assert_eq!(
            report(&owner, &format!("{range}, by: BOOK")).await,
            json!([
                row(none(), json!("Emma"), none(), (2, 4, "40.00")),
                row(none(), json!("Maps"), none(), (2, 3, "30.00")),
            ])
        );
        assert_eq!(
            report(&owner, &format!("{range}, by: CATEGORY")).await,
            json!([
                row(none(), none(), json!("Novels"), (2, 4, "40.00")),
                row(none(), none(), none(), (2, 3, "30.00")),
            ])
        );
        assert_eq!(report(&owner, &format!("{range}, by: BOOK, first: 1")).await.as_array().unwrap().len(), 1);
        let second = "from: \"2026-03-02\", to: \"2026-03-02\", by: DAY";
        assert_eq!(report(&owner, second).await.as_array().unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_sum_may_be_more_than_an_amount() {
    world(async |world| {
        let owner = world.owner();
        let price = json!({ "amount": "9999999999.99", "currency": "EUR" });
        let atlas = book(&owner, json!({ "title": "Atlas", "stock": 9, "price": price })).await;
        for number in 1..=3 {
            let id = order(&owner, &[(&atlas, 1)]).await;
            act(&owner, "orderPlace", &id, "").await;
            make_paid(&world.a, &id).await;
            let day = format!(
                r#"UPDATE "{}".orders SET paid_at = '2026-03-01T12:00:00Z' WHERE number = {number}"#,
                world.a.schema
            );
            psql().await.batch_execute(&day).await.unwrap();
        }
        for by in ["DAY", "BOOK", "CATEGORY"] {
            let rows = report(&owner, &format!("from: \"2026-03-01\", to: \"2026-03-01\", by: {by}")).await;
            assert_eq!(rows[0]["revenue"], json!({ "amount": "29999999999.97" }), "{by}");
        }
    })
    .await;
}

#[tokio::test]
async fn ranges_out_of_bounds_and_strangers_to_orders_are_refused() {
    world(async |world| {
        let query = |range: &str| format!("{{ salesReport({range}, by: DAY) {{ orderCount }} }}");
        for range in [
            "from: \"2026-03-02\", to: \"2026-03-01\"",
            "from: \"2025-01-01\", to: \"2026-03-01\"",
            "from: \"2026-03-01\", to: \"2026-03-01\", first: 0",
            "from: \"yesterday\", to: \"2026-03-01\"",
        ] {
            assert_eq!(world.owner().gql(&query(range), json!({})).await.code(), "BAD_REQUEST", "{range}");
        }
        let reader = world.user(&world.a, Role::ReadOnly);
        let one_day = query("from: \"2026-03-01\", to: \"2026-03-01\"");
        assert_eq!(reader.gql(&one_day, json!({})).await.code(), "FORBIDDEN");
    })
    .await;
}
