//! The 5,000 real records that stand beside the project where its data is at hand; their licence keeps them out of it.

use serde_json::json;

use crate::harness::world;

#[tokio::test]
async fn five_thousand_real_records_are_imported() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/books.csv");
    let Ok(csv) = std::fs::read_to_string(path) else {
        eprintln!("not run: there is no {path}");
        return;
    };
    world(async |world| {
        let owner = world.owner();
        let query = "mutation($csv: String!, $drop: ImportOnInvalidIsbn!) {
            bookImport(input: { csv: $csv, onInvalidIsbn: $drop }) {
                import { counts { rows created updated unchanged rejected } rowErrors { nodes { code } } } } }";

        // 4,637 have a valid ISBN-10 once its zeros are back, 357 have none: 4,994 books. Six fail the check digit.
        let first = owner.data(query, json!({ "csv": csv, "drop": "REJECT" })).await["bookImport"]["import"].clone();
        assert_eq!(first["counts"], json!({ "rows": 5000, "created": 4994, "updated": 0, "unchanged": 0, "rejected": 6 }));
        assert_eq!(first["rowErrors"]["nodes"], json!(vec![json!({ "code": "ISBN_INVALID" }); 6]));

        // Again, and without the six ISBN that are wrong: those six are new, everything else is known.
        let second = owner.data(query, json!({ "csv": csv, "drop": "DROP" })).await["bookImport"]["import"].clone();
        assert_eq!(second["counts"], json!({ "rows": 5000, "created": 6, "updated": 0, "unchanged": 4994, "rejected": 0 }));

        let data = owner
            .data(
                "{ books { totalCount }
                   bookByIsbn(isbn: \"0439023483\") { title language publishedOn { year month } price { amount } authors { nodes { name } } }
                   odyssey: books(search: \"odyssey homer\") { nodes { publishedOn { year } } } }",
                json!({}),
            )
            .await;
        assert_eq!(data["books"]["totalCount"], 5000);
        assert_eq!(
            data["bookByIsbn"],
            json!({ "title": "The Hunger Games (The Hunger Games, #1)", "language": "en", "publishedOn": { "year": 2008, "month": null },
                    "price": null, "authors": { "nodes": [{ "name": "Suzanne Collins" }] } })
        );
        let odysseys = data["odyssey"]["nodes"].as_array().unwrap();
        assert!(odysseys.iter().any(|book| book["publishedOn"]["year"] == -720), "{odysseys:?}");
    })
    .await;
}
