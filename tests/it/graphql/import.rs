//! `bookImport`, `import`

use serde_json::{Value, json};
use shelfwise::kernel::actor::Role;

use crate::harness::{Client, world};

const MESSY: &str = include_str!("messy.csv");

pub async fn import(client: &Client<'_>, csv: &str, options: &str) -> Value {
    let query = format!(
        "mutation($csv: String!) {{ bookImport(input: {{ csv: $csv, {options} }}) {{
            import {{ id status counts {{ rows created updated unchanged rejected }}
                      rowErrors(first: 100) {{ nodes {{ line column code message }} }} }}
            userErrors {{ code path }} }} }}"
    );
    client.data(&query, json!({ "csv": csv })).await["bookImport"].clone()
}

pub fn counts(payload: &Value) -> [i64; 5] {
    ["rows", "created", "updated", "unchanged", "rejected"]
        .map(|name| payload["import"]["counts"][name].as_i64().unwrap_or_else(|| panic!("{payload}")))
}

#[tokio::test]
async fn what_can_be_repaired_is_and_the_rest_is_named() {
    world(async |world| {
        let owner = world.owner();
        let payload = import(&owner, MESSY, "").await;

        assert_eq!(counts(&payload), [13, 6, 0, 2, 5]);
        assert_eq!(payload["import"]["status"], "COMPLETED");
        let errors: Vec<_> = payload["import"]["rowErrors"]["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|error| (error["line"].as_i64().unwrap(), error["column"].clone(), error["code"].as_str().unwrap()))
            .collect();
        assert_eq!(
            errors,
            [
                (8, json!("title"), "TITLE_INVALID"),
                (9, json!("isbn"), "ISBN_INVALID"),
                (10, json!("original_publication_year"), "PUBLISHED_ON_INVALID"),
                (11, json!("language_code"), "LANGUAGE_INVALID"),
                (13, json!(null), "ROW_MALFORMED"),
            ]
        );

        let query = "{ books(sort: { field: TITLE }) { nodes {
            title isbn13 language price { amount } publishedOn { year } authors { nodes { name } } } } }";
        let books = owner.data(query, json!({})).await;
        insta::assert_json_snapshot!(books["books"]["nodes"]);
    })
    .await;
}

#[tokio::test]
async fn the_same_file_twice_changes_nothing() {
    world(async |world| {
        let owner = world.owner();
        import(&owner, MESSY, "").await;
        let query = "{ books(first: 100) { nodes { id version title } totalCount } authors { totalCount } }";
        let before = owner.data(query, json!({})).await;
        assert_eq!(counts(&import(&owner, MESSY, "").await), [13, 0, 0, 8, 5]);
        assert_eq!(owner.data(query, json!({})).await, before);
    })
    .await;
}

#[tokio::test]
async fn an_update_takes_over_what_the_row_has_and_erases_nothing() {
    world(async |world| {
        let owner = world.owner();
        import(&owner, "title,isbn,price,stock,year,authors\nEmma,0306406152,8.50,3,1815,Jane Austen\n", "").await;
        let payload = import(
            &owner,
            "title,isbn,price,stock,year,authors\nEmma,0306406152,9.90,,,Ann Other\nEmma,,,,,\n",
            "onConflict: UPDATE",
        )
        .await;
        assert_eq!(counts(&payload), [2, 1, 1, 0, 0]);
        let query = "{ bookByIsbn(isbn: \"0306406152\") {
            version price { amount } stock publishedOn { year } authors { nodes { name } } } }";
        assert_eq!(
            owner.data(query, json!({})).await["bookByIsbn"],
            json!({ "version": 2, "price": { "amount": "9.90" }, "stock": 3, "publishedOn": { "year": 1815 },
                    "authors": { "nodes": [{ "name": "Ann Other" }] } })
        );
        let again = import(&owner, "title,isbn,price\nEmma,0306406152,9.90\n", "onConflict: UPDATE").await;
        assert_eq!(counts(&again)[2..4], [0, 1], "a column that is not there erases nothing");
        let price = import(
            &owner,
            "title,isbn,price
Emma,0306406152,7
",
            "onConflict: UPDATE",
        )
        .await;
        assert_eq!(counts(&price)[2..4], [1, 0]);
        let book = owner.data("{ bookByIsbn(isbn: \"0306406152\") { authors { nodes { name } } } }", json!({})).await;
        assert_eq!(book["bookByIsbn"]["authors"]["nodes"], json!([{ "name": "Ann Other" }]));
    })
    .await;
}

#[tokio::test]
async fn a_wrong_isbn_may_be_dropped_instead() {
    world(async |world| {
        let owner = world.owner();
        let csv = "title,isbn\nWrong Digit,140328725\n";
        assert_eq!(counts(&import(&owner, csv, "").await), [1, 0, 0, 0, 1]);
        assert_eq!(counts(&import(&owner, csv, "onInvalidIsbn: DROP").await), [1, 1, 0, 0, 0]);
        assert_eq!(counts(&import(&owner, csv, "onInvalidIsbn: DROP").await), [1, 0, 0, 1, 0]);
        let data = owner.data("{ books { nodes { title isbn13 } } }", json!({})).await;
        assert_eq!(data["books"]["nodes"], json!([{ "title": "Wrong Digit", "isbn13": null }]));
    })
    .await;
}

#[tokio::test]
async fn categories_are_found_by_name_and_prices_are_the_shops() {
    world(async |world| {
        let owner = world.owner();
        let csv = "title;category;price;currency;stock\r\nOne;FICTION;9,50;EUR;1\r\nTwo;fiction;9.50;EUR;2\r\nThree;Nowhere;;;\r\nFour;;1;USD;\r\n";
        let payload = import(&owner, csv, "").await;
        let codes: Vec<_> =
            payload["import"]["rowErrors"]["nodes"].as_array().unwrap().iter().map(|e| e["code"].clone()).collect();
        assert_eq!(codes, ["PRICE_INVALID", "CATEGORY_NOT_FOUND", "CURRENCY_MISMATCH"]);
        let data = owner.data("{ books { nodes { title category { name } stock } } }", json!({})).await;
        assert_eq!(data["books"]["nodes"], json!([{ "title": "Two", "category": { "name": "Fiction" }, "stock": 2 }]));
    })
    .await;
}

#[tokio::test]
async fn a_file_that_is_no_catalogue_is_refused_as_a_whole() {
    world(async |world| {
        let owner = world.owner();
        for csv in ["", "\n\n", "isbn,price\n1,2\n", "{\"title\": 1}", "title,title\na,b\n"] {
            let payload = import(&owner, csv, "").await;
            assert_eq!(payload["import"], json!(null), "{csv:?}");
            assert_eq!(payload["userErrors"], json!([{ "code": "CSV_INVALID", "path": ["input", "csv"] }]), "{csv:?}");
        }
        assert_eq!(owner.data("{ books { totalCount } }", json!({})).await["books"]["totalCount"], 0);
    })
    .await;
}

#[tokio::test]
async fn a_report_is_kept_paged_and_opened_as_a_node() {
    world(async |world| {
        let owner = world.owner();
        let csv: String =
            std::iter::once("title,stock\n".to_owned()).chain((0..30).map(|i| format!("T{i},x\n"))).collect();
        let id = import(&owner, &csv, "").await["import"]["id"].clone();
        let query = "query($id: ID!, $after: String) { node(id: $id) { ... on Import {
            counts { rejected } rowErrors(after: $after) { nodes { line } pageInfo { hasNextPage endCursor } } } }
            import(id: $id) { finishedAt } }";
        let first = owner.data(query, json!({ "id": id })).await;
        assert_eq!(first["node"]["rowErrors"]["nodes"].as_array().unwrap().len(), 20);
        let after = &first["node"]["rowErrors"]["pageInfo"]["endCursor"];
        let second = owner.data(query, json!({ "id": id, "after": after })).await;
        assert_eq!(second["node"]["rowErrors"]["nodes"][9]["line"], 31);
        assert_eq!(second["node"]["rowErrors"]["pageInfo"]["hasNextPage"], false);
        let clerk = world.user(&world.a, Role::Clerk).gql(query, json!({ "id": id })).await;
        assert_eq!(clerk.code(), "FORBIDDEN");
        let foreign = world.other_owner().data(query, json!({ "id": id })).await;
        assert_eq!(foreign, json!({ "node": null, "import": null }));
    })
    .await;
}

#[tokio::test]
async fn a_clerk_may_not_import() {
    world(async |world| {
        let query = "mutation { bookImport(input: { csv: \"title\\nX\\n\" }) { import { id } } }";
        let response = world.user(&world.a, Role::Clerk).gql(query, json!({})).await;
        assert_eq!(response.code(), "FORBIDDEN");
        assert_eq!(world.owner().data("{ books { totalCount } }", json!({})).await["books"]["totalCount"], 0);
    })
    .await;
}

#[tokio::test]
async fn a_book_that_gained_its_isbn_is_still_the_same_book() {
    world(async |world| {
        let owner = world.owner();
        let wrong = "title,authors,isbn\nEmma,Jane Austen,0306406153\n";
        assert_eq!(counts(&import(&owner, wrong, "onInvalidIsbn: DROP").await), [1, 1, 0, 0, 0]);
        let mended = "title,authors,isbn\nEmma,Jane Austen,0306406152\n";
        assert_eq!(counts(&import(&owner, mended, "onConflict: UPDATE").await), [1, 0, 1, 0, 0]);
        assert_eq!(counts(&import(&owner, wrong, "onInvalidIsbn: DROP").await), [1, 0, 0, 1, 0], "the old file again");
        let data = owner.data("{ books { nodes { isbn13 } } }", json!({})).await;
        assert_eq!(data["books"]["nodes"], json!([{ "isbn13": "9780306406157" }]));
    })
    .await;
}

#[tokio::test]
async fn the_first_of_several_rows_counts_however_far_apart_they_are() {
    world(async |world| {
        let owner = world.owner();
        let filler: String = (0..1_200).map(|index| format!("Filler {index},,1\n")).collect();
        let csv = format!("title,isbn,price\nEmma,0306406152,9.99\nEmma,0306406152,1\n{filler}Emma,0306406152,2\n");
        assert_eq!(counts(&import(&owner, &csv, "onConflict: UPDATE").await), [1_203, 1_201, 0, 2, 0]);
        assert_eq!(counts(&import(&owner, &csv, "onConflict: UPDATE").await), [1_203, 0, 0, 1_203, 0]);
        let data = owner.data("{ bookByIsbn(isbn: \"0306406152\") { price { amount } version } }", json!({})).await;
        assert_eq!(data["bookByIsbn"], json!({ "price": { "amount": "9.99" }, "version": 1 }));
    })
    .await;
}

#[tokio::test]
async fn cells_that_are_no_isbn_lose_no_book() {
    world(async |world| {
        let owner = world.owner();
        let payload = import(&owner, "title,isbn\nEmma,0\nPersuasion,0\nSanditon,12\n", "").await;
        assert_eq!(counts(&payload), [3, 2, 0, 0, 1]);
        assert_eq!(payload["import"]["rowErrors"]["nodes"][0]["code"], "ISBN_INVALID");
    })
    .await;
}

#[tokio::test]
async fn two_imports_at_once_take_turns() {
    world(async |world| {
        let owner = world.owner();
        let csv: String = (0..300).map(|index| format!("Book {index},Author {}\n", index % 50)).collect();
        let csv = format!("title,authors\n{csv}");
        let (one, two) = tokio::join!(import(&owner, &csv, ""), import(&owner, &csv, ""));
        let mut created = [counts(&one)[1], counts(&two)[1]];
        created.sort_unstable();
        assert_eq!(created, [0, 300]);
        assert_eq!(owner.data("{ books { totalCount } }", json!({})).await["books"]["totalCount"], 300);
    })
    .await;
}
