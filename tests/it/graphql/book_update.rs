//! `bookUpdate`, `bookArchive`, `bookUnarchive`

use serde_json::{Value, json};

use super::shelf::{author, book, category, codes};
use crate::harness::{Client, world};

async fn update(client: &Client<'_>, id: &str, version: i32, input: Value) -> Value {
    let query = "mutation($id: ID!, $version: Int!, $input: BookUpdateInput!) {
        bookUpdate(id: $id, version: $version, input: $input) {
            book { title version isbn13 stock language price { amount } category { name } authors { nodes { name } } }
            userErrors { code currentVersion path } } }";
    client.data(query, json!({ "id": id, "version": version, "input": input })).await["bookUpdate"].clone()
}

#[tokio::test]
async fn absent_null_and_a_value_are_three_different_things() {
    world(async |world| {
        let owner = world.owner();
        let shelf = category(&owner, "Classics", None).await;
        let id = book(
            &owner,
            json!({
                "title": "Emma", "isbn": "9780306406157", "categoryId": shelf, "language": "en",
                "price": { "amount": "8.50", "currency": "EUR" }, "stock": 2,
            }),
        )
        .await;

        let absent = update(&owner, &id, 1, json!({ "stock": 5 })).await;
        assert_eq!(absent["book"]["isbn13"], "9780306406157");
        assert_eq!((&absent["book"]["stock"], &absent["book"]["version"]), (&json!(5), &json!(2)));

        let nulls = json!({ "isbn": null, "categoryId": null, "price": null, "language": null });
        let emptied = update(&owner, &id, 2, nulls).await;
        for field in ["isbn13", "category", "price", "language"] {
            assert_eq!(emptied["book"][field], json!(null), "{field}");
        }
        assert_eq!(emptied["book"]["title"], "Emma");
    })
    .await;
}

#[tokio::test]
async fn a_stale_version_is_refused_and_told_the_new_one() {
    world(async |world| {
        let owner = world.owner();
        let id = book(&owner, json!({ "title": "Emma" })).await;
        assert_eq!(update(&owner, &id, 1, json!({ "title": "Emma II" })).await["book"]["version"], 2);

        let stale = update(&owner, &id, 1, json!({ "title": "Lost" })).await;

        assert_eq!(codes(&stale), ["VERSION_CONFLICT"]);
        assert_eq!(stale["userErrors"][0]["currentVersion"], 2);
        let book = owner.data("query($id: ID!) { book(id: $id) { title } }", json!({ "id": id })).await;
        assert_eq!(book["book"]["title"], "Emma II");
    })
    .await;
}

#[tokio::test]
async fn of_two_writers_of_one_version_one_wins() {
    world(async |world| {
        let owner = world.owner();
        let id = book(&owner, json!({ "title": "Emma" })).await;
        let (one, two) = tokio::join!(
            update(&owner, &id, 1, json!({ "title": "One" })),
            update(&owner, &id, 1, json!({ "title": "Two" }))
        );
        let outcomes: Vec<_> = [&one, &two].into_iter().map(codes).collect();
        assert!(outcomes.contains(&vec![]) && outcomes.contains(&vec!["VERSION_CONFLICT"]), "{outcomes:?}");
    })
    .await;
}

#[tokio::test]
async fn authors_are_replaced_in_their_new_order() {
    world(async |world| {
        let owner = world.owner();
        let (ann, bob) = (author(&owner, "Ann").await, author(&owner, "Bob").await);
        let id = book(&owner, json!({ "title": "Duet", "authorIds": [ann, bob] })).await;
        let swapped = update(&owner, &id, 1, json!({ "authorIds": [bob, ann] })).await;
        assert_eq!(swapped["book"]["authors"]["nodes"], json!([{ "name": "Bob" }, { "name": "Ann" }]));
        let none = update(&owner, &id, 2, json!({ "authorIds": [] })).await;
        assert_eq!(none["book"]["authors"]["nodes"], json!([]));
    })
    .await;
}

#[tokio::test]
async fn a_book_of_another_shop_is_not_found() {
    world(async |world| {
        let id = book(&world.owner(), json!({ "title": "Mine" })).await;
        let payload = update(&world.other_owner(), &id, 1, json!({ "title": "Stolen" })).await;
        assert_eq!(codes(&payload), ["BOOK_NOT_FOUND"]);
        let book = world.owner().data("query($id: ID!) { book(id: $id) { title } }", json!({ "id": id })).await;
        assert_eq!(book["book"]["title"], "Mine");
    })
    .await;
}

#[tokio::test]
async fn archiving_takes_a_book_off_the_lists_and_back() {
    world(async |world| {
        let owner = world.owner();
        let id = book(&owner, json!({ "title": "Emma" })).await;
        let titles = async |filter: &str| {
            let data = owner.data(&format!("{{ books{filter} {{ nodes {{ title }} totalCount }} }}"), json!({})).await;
            data["books"]["totalCount"].as_i64().unwrap()
        };
        let set = async |verb: &str, version: Option<i32>| {
            let query = format!(
                "mutation($id: ID!, $version: Int) {{ {verb}(id: $id, version: $version) {{
                    book {{ version archivedAt }} userErrors {{ code }} }} }}"
            );
            owner.data(&query, json!({ "id": id, "version": version })).await[verb].clone()
        };

        assert!(set("bookArchive", Some(1)).await["book"]["archivedAt"].is_string());
        assert_eq!((titles("").await, titles("(filter: { isArchived: true })").await), (0, 1));
        assert_eq!(set("bookArchive", None).await["book"]["version"], 2, "doing it twice changes nothing");
        assert_eq!(codes(&set("bookUnarchive", Some(1)).await), ["VERSION_CONFLICT"]);
        assert_eq!(set("bookUnarchive", Some(2)).await["book"]["archivedAt"], json!(null));
        assert_eq!((titles("").await, titles("(filter: { isArchived: true })").await), (1, 0));
    })
    .await;
}
