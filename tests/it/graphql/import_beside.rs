//! `bookImport`, and what others do meanwhile

use serde_json::json;
use shelfwise::kernel::ids::BookId;
use shelfwise::kernel::tenant::TenantCtx;
use tokio_postgres::Client as Psql;

use super::import::{counts, import};
use crate::graphql_helpers::{book, codes};
use crate::harness::cluster::{held_up, psql};
use crate::harness::world;
use crate::orders::{act, copies, order, order_create, stocked};

const UPDATE: &str = "onConflict: UPDATE";

/// Has whoever adds the author Jane Austen to a shop wait for the end of this transaction.
async fn keep_author(psql: &Psql, shop: &TenantCtx) {
    let insert = format!(
        r#"BEGIN; INSERT INTO "{}".authors (id, name, name_key, created_at, updated_at)
           VALUES (gen_random_uuid(), 'Jane Austen', 'jane austen', now(), now())"#,
        shop.schema
    );
    psql.batch_execute(&insert).await.unwrap();
}

#[tokio::test]
async fn orders_go_on_while_an_import_is_under_way() {
    world(async |world| {
        let owner = world.owner();
        let emma = stocked(&owner, "Emma", 10).await;
        let maps = stocked(&owner, "Maps", 10).await;
        let drafts = [order(&owner, &[(&maps, 3)]).await, order(&owner, &[(&emma, 2)]).await];
        let blocker = psql().await;
        keep_author(&blocker, &world.a).await;
        let csv = "title,authors,stock\nEmma,,7\nPersuasion,Jane Austen,1\n";

        let beside = async {
            held_up(&blocker, 1).await;
            for id in &drafts {
                assert_eq!(act(&owner, "orderPlace", id, "").await["userErrors"], json!([]));
            }
            assert_eq!(order_create(&owner, &[(&maps, 1), (&emma, 1)]).await["userErrors"], json!([]));
            let query = "mutation($id: ID!) { bookUpdate(id: $id, version: 2, input: { stock: 20 }) {
                userErrors { code } } }";
            assert_eq!(owner.data(query, json!({ "id": maps })).await["bookUpdate"]["userErrors"], json!([]));
            let before = [copies(&world.a, "Emma").await, copies(&world.a, "Maps").await];
            blocker.batch_execute("ROLLBACK").await.unwrap();
            before
        };
        let (imported, before) = tokio::join!(import(&owner, csv, UPDATE), beside);

        assert_eq!(before, [(8, 2, 0), (20, 3, 0)]);
        assert_eq!(counts(&imported), [2, 1, 1, 0, 0]);
        assert_eq!(copies(&world.a, "Emma").await, (7, 2, 0), "what was ordered meanwhile stays reserved");
        assert_eq!(copies(&world.a, "Maps").await, (20, 3, 0));
    })
    .await;
}

#[tokio::test]
async fn books_are_changed_in_the_order_of_their_ids_wherever_in_the_file_they_are() {
    world(async |world| {
        let owner = world.owner();
        let one: BookId = stocked(&owner, "One", 1).await.parse().unwrap();
        let two: BookId = stocked(&owner, "Two", 1).await.parse().unwrap();
        let blocker = psql().await;
        let lock = |id: BookId, how: &str| {
            format!(r#"SELECT id FROM "{}".books WHERE id = '{}' FOR UPDATE {how}"#, world.a.schema, id.0)
        };
        blocker.batch_execute(&format!("BEGIN; {}", lock(one, ""))).await.unwrap();
        let filler: String = (0..1_000).map(|index| format!("Filler {index},1\n")).collect();
        let csv = format!("title,stock\nTwo,5\n{filler}One,5\n");

        let beside = async {
            held_up(&blocker, 1).await;
            // Whoever has the first gets the second.
            let second = blocker.batch_execute(&lock(two, "NOWAIT")).await;
            blocker.batch_execute("ROLLBACK").await.unwrap();
            second
        };
        let (imported, second) = tokio::join!(import(&owner, &csv, UPDATE), beside);

        second.unwrap();
        assert_eq!(counts(&imported), [1_002, 1_000, 2, 0, 0]);
        assert_eq!((copies(&world.a, "One").await.0, copies(&world.a, "Two").await.0), (5, 5));
    })
    .await;
}

#[tokio::test]
async fn nobody_takes_an_isbn_that_an_import_is_about_to_give() {
    world(async |world| {
        let owner = world.owner();
        book(&owner, json!({ "title": "Emma" })).await;
        let maps = book(&owner, json!({ "title": "Maps" })).await;
        let blocker = psql().await;
        keep_author(&blocker, &world.a).await;
        let csv = "title,authors,isbn\nEmma,,0306406152\nPersuasion,Jane Austen,\n";
        let query = "mutation($id: ID!) { bookUpdate(id: $id, version: 1, input: { isbn: \"0306406152\" }) {
            userErrors { code } } }";

        let beside = async {
            held_up(&blocker, 1).await;
            let end = async {
                held_up(&blocker, 2).await;
                blocker.batch_execute("ROLLBACK").await.unwrap();
            };
            tokio::join!(owner.data(query, json!({ "id": maps })), end).0
        };
        let (imported, updated) = tokio::join!(import(&owner, csv, UPDATE), beside);

        assert_eq!(counts(&imported), [2, 1, 1, 0, 0]);
        assert_eq!(codes(&updated["bookUpdate"]), ["ISBN_TAKEN"]);
    })
    .await;
}

#[tokio::test]
async fn of_two_isbns_for_one_book_the_first_is_its_own_and_the_second_a_new_books() {
    world(async |world| {
        let owner = world.owner();
        let filler: String = (0..1_000).map(|index| format!("Filler {index},\n")).collect();
        for (title, isbns, between, new) in
            [("Emma", ["0306406152", "0140328726"], "", 0), ("Maps", ["0439023483", "0553213105"], &filler, 1_000)]
        {
            book(&owner, json!({ "title": title })).await;
            let csv = format!("title,isbn\n{title},{}\n{between}{title},{}\n", isbns[0], isbns[1]);
            assert_eq!(counts(&import(&owner, &csv, UPDATE).await), [new + 2, new + 1, 1, 0, 0], "{title}");
            let again = import(&owner, &csv, UPDATE).await;
            assert_eq!(counts(&again), [new + 2, 0, 0, new + 2, 0], "{title}");
        }
    })
    .await;
}
