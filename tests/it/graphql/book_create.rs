//! `bookCreate`

use serde_json::json;
use shelfwise::kernel::actor::Role;

use super::shelf::{author, book, book_create, category, codes};
use crate::harness::world;

#[tokio::test]
async fn a_book_is_made_with_all_that_is_known_of_it() {
    world(async |world| {
        let owner = world.owner();
        let (leo, louise) = (author(&owner, "Leo Tolstoy").await, author(&owner, "Louise Maude").await);
        let shelf = category(&owner, "Russian", None).await;

        let payload = book_create(
            &owner,
            json!({
                "title": "  War and   Peace ", "authorIds": [leo, louise], "isbn": "0-306-40615-2", "categoryId": shelf,
                "price": { "amount": "24.5", "currency": "EUR" }, "language": "eng",
                "publishedOn": { "year": 1869, "month": 2 }, "stock": 3,
            }),
        )
        .await;

        assert_eq!(codes(&payload), Vec::<&str>::new());
        let mut book = payload["book"].clone();
        assert!(book["id"].as_str().unwrap().starts_with("book_"));
        book["id"] = json!("book_…");
        assert_eq!(
            book,
            json!({
                "id": "book_…", "version": 1, "title": "War and Peace", "isbn13": "9780306406157", "stock": 3,
                "language": "en", "price": { "amount": "24.50", "currency": "EUR" },
                "publishedOn": { "year": 1869, "month": 2, "day": null },
                "authors": { "nodes": [{ "name": "Leo Tolstoy" }, { "name": "Louise Maude" }] },
                "category": { "name": "Russian" },
            })
        );
    })
    .await;
}

#[tokio::test]
async fn a_title_is_enough() {
    world(async |world| {
        let payload = book_create(&world.owner(), json!({ "title": "Iliad", "publishedOn": { "year": -749 } })).await;
        let book = &payload["book"];
        assert_eq!(book["publishedOn"], json!({ "year": -749, "month": null, "day": null }));
        assert_eq!((&book["price"], &book["isbn13"], &book["category"]), (&json!(null), &json!(null), &json!(null)));
        assert_eq!(book["authors"]["nodes"], json!([]));
    })
    .await;
}

#[tokio::test]
async fn every_wrong_field_is_reported_at_once_and_nothing_is_made() {
    world(async |world| {
        let owner = world.owner();
        let payload = book_create(
            &owner,
            json!({
                "title": " ", "isbn": "9780306406158", "price": { "amount": "1.999", "currency": "EUR" },
                "language": "elvish", "publishedOn": { "year": 2000, "month": 2, "day": 30 }, "stock": -1,
            }),
        )
        .await;
        assert_eq!(payload["book"], json!(null));
        assert_eq!(
            codes(&payload),
            [
                "TITLE_INVALID",
                "ISBN_INVALID",
                "PRICE_INVALID",
                "LANGUAGE_INVALID",
                "PUBLISHED_ON_INVALID",
                "STOCK_INVALID"
            ]
        );
        assert_eq!(payload["userErrors"][2]["path"], json!(["input", "price", "amount"]));
        let count = owner.data("{ books { totalCount } }", json!({})).await;
        assert_eq!(count["books"]["totalCount"], 0);
    })
    .await;
}

#[tokio::test]
async fn what_it_refers_to_must_exist_in_this_shop() {
    world(async |world| {
        let owner = world.owner();
        let foreign_category = world.other_owner().data("{ categories(first: 1) { nodes { id } } }", json!({})).await;
        let foreign_category = &foreign_category["categories"]["nodes"][0]["id"];
        let nobody = "author_01h455vb4pex5vsknk084sn02q";
        let check = async |input, code: &str| assert_eq!(codes(&book_create(&owner, input).await), [code]);

        check(json!({ "title": "X", "authorIds": [nobody] }), "AUTHOR_NOT_FOUND").await;
        check(json!({ "title": "X", "categoryId": foreign_category }), "CATEGORY_NOT_FOUND").await;
        check(json!({ "title": "X", "price": { "amount": 1, "currency": "USD" } }), "CURRENCY_MISMATCH").await;
        let ann = author(&owner, "Ann").await;
        check(json!({ "title": "X", "authorIds": [ann, ann] }), "AUTHORS_INVALID").await;
    })
    .await;
}

#[tokio::test]
async fn a_book_exists_once_by_isbn_or_by_title_and_authors() {
    world(async |world| {
        let owner = world.owner();
        book(&owner, json!({ "title": "Emma", "isbn": "9780306406157" })).await;
        let taken = book_create(&owner, json!({ "title": "Other", "isbn": "0306406152" })).await;
        assert_eq!(codes(&taken), ["ISBN_TAKEN"]);

        let ann = author(&owner, "Ann").await;
        book(&owner, json!({ "title": "Été", "authorIds": [ann] })).await;
        let again = book_create(&owner, json!({ "title": "ETE!", "authorIds": [ann] })).await;
        assert_eq!(codes(&again), ["BOOK_EXISTS"]);
        book(&owner, json!({ "title": "Été" })).await;
    })
    .await;
}

#[tokio::test]
async fn two_at_once_for_one_isbn_make_one_book() {
    world(async |world| {
        let owner = world.owner();
        let create = |title| book_create(&owner, json!({ "title": title, "isbn": "9780306406157" }));
        let (first, second) = tokio::join!(create("One"), create("Two"));
        let made = [&first, &second].iter().filter(|payload| payload["book"].is_object()).count();
        assert_eq!(made, 1, "{first} {second}");
    })
    .await;
}

#[tokio::test]
async fn a_reader_may_not_and_nothing_is_made() {
    world(async |world| {
        let query = "mutation { bookCreate(input: { title: \"X\" }) { book { id } userErrors { code } } }";
        let response = world.user(&world.a, Role::ReadOnly).gql(query, json!({})).await;
        assert_eq!(response.code(), "FORBIDDEN", "{}", response.body);
        let response = world.stranger().with_header("x-tenant", world.a.slug.as_str()).gql(query, json!({})).await;
        assert_eq!(response.code(), "UNAUTHENTICATED", "{}", response.body);
        let count = world.owner().data("{ books { totalCount } }", json!({})).await;
        assert_eq!(count["books"]["totalCount"], 0);
    })
    .await;
}

#[tokio::test]
async fn ids_of_another_type_are_a_bad_request() {
    world(async |world| {
        let query = "mutation($id: ID!) { bookCreate(input: { title: \"X\", categoryId: $id }) { book { id } } }";
        for id in ["author_01h455vb4pex5vsknk084sn02q", "x", "", "category_'; DROP TABLE books; --"] {
            let response = world.owner().gql(query, json!({ "id": id })).await;
            assert_eq!(response.code(), "BAD_REQUEST", "{id}: {}", response.body);
        }
    })
    .await;
}
