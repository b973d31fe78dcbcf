//! `author`, `authors`, `authorCreate`, `authorUpdate`, `authorArchive`, `authorUnarchive`

use serde_json::json;

use super::shelf::{author, book, codes};
use crate::harness::world;

#[tokio::test]
async fn a_name_exists_once_however_it_is_spelt() {
    world(async |world| {
        let owner = world.owner();
        author(&owner, "Éric-Emmanuel Schmitt").await;
        let query = "mutation($name: String!) { authorCreate(input: { name: $name }) { author { id } userErrors { code path } } }";
        for (name, code) in [("eric emmanuel SCHMITT", "AUTHOR_NAME_TAKEN"), (" ", "NAME_INVALID"), ("…", "NAME_INVALID")] {
            let data = owner.data(query, json!({ "name": name })).await;
            assert_eq!(codes(&data["authorCreate"]), [code], "{name}");
        }
        let long = "x".repeat(201);
        assert_eq!(codes(&owner.data(query, json!({ "name": long })).await["authorCreate"]), ["NAME_INVALID"]);
    })
    .await;
}

#[tokio::test]
async fn a_renamed_author_is_found_by_the_new_name_in_all_books() {
    world(async |world| {
        let owner = world.owner();
        let ann = author(&owner, "Ann Smith").await;
        book(&owner, json!({ "title": "One", "authorIds": [ann] })).await;
        let query = "mutation($id: ID!, $version: Int!, $name: String) {
            authorUpdate(id: $id, version: $version, input: { name: $name }) {
                author { name version } userErrors { code currentVersion } } }";
        let data = owner.data(query, json!({ "id": ann, "version": 1, "name": "Ann Jones" })).await;
        assert_eq!(data["authorUpdate"]["author"], json!({ "name": "Ann Jones", "version": 2 }));
        let found = owner
            .data(
                "{ old: books(search: \"smith\") { totalCount } new: books(search: \"jones\") { totalCount } }",
                json!({}),
            )
            .await;
        assert_eq!((&found["old"]["totalCount"], &found["new"]["totalCount"]), (&json!(0), &json!(1)));

        let stale = owner.data(query, json!({ "id": ann, "version": 1, "name": "X" })).await;
        assert_eq!(codes(&stale["authorUpdate"]), ["VERSION_CONFLICT"]);
        let nobody =
            owner.data(query, json!({ "id": "author_01h455vb4pex5vsknk084sn02q", "version": 1, "name": "X" })).await;
        assert_eq!(codes(&nobody["authorUpdate"]), ["AUTHOR_NOT_FOUND"]);
    })
    .await;
}

#[tokio::test]
async fn authors_are_listed_by_name_paged_and_archived() {
    world(async |world| {
        let owner = world.owner();
        let mut ids = Vec::new();
        for name in ["Cleo", "Ann", "Øyvind", "bob"] {
            ids.push(author(&owner, name).await);
        }
        let data = owner.data("{ authors { totalCount nodes { name } } }", json!({})).await;
        assert_eq!(data["authors"]["totalCount"], 4);
        let names: Vec<_> = data["authors"]["nodes"].as_array().unwrap().iter().map(|n| n["name"].clone()).collect();
        assert_eq!(names, ["Ann", "bob", "Cleo", "Øyvind"]);

        let first = owner.data("{ authors(first: 2) { pageInfo { endCursor hasNextPage } } }", json!({})).await;
        let cursor = &first["authors"]["pageInfo"]["endCursor"];
        let query = "query($cursor: String) { authors(first: 2, after: $cursor) { nodes { name } pageInfo { hasNextPage hasPreviousPage } } }";
        let second = owner.data(query, json!({ "cursor": cursor })).await;
        assert_eq!(second["authors"]["nodes"], json!([{ "name": "Cleo" }, { "name": "Øyvind" }]));
        assert_eq!(second["authors"]["pageInfo"], json!({ "hasNextPage": false, "hasPreviousPage": true }));

        let query = "mutation($id: ID!) { authorArchive(id: $id) { author { archivedAt } userErrors { code } } }";
        assert!(owner.data(query, json!({ "id": ids[0] })).await["authorArchive"]["author"]["archivedAt"].is_string());
        let data = owner.data("{ authors { totalCount } archived: authors(filter: { isArchived: true }) { nodes { name } } found: authors(filter: { nameContains: \"OYV\" }) { totalCount } }", json!({})).await;
        assert_eq!(data["authors"]["totalCount"], 3);
        assert_eq!(data["archived"]["nodes"], json!([{ "name": "Cleo" }]));
        assert_eq!(data["found"]["totalCount"], 1);
        let query = "mutation($id: ID!) { authorUnarchive(id: $id) { author { archivedAt } } }";
        assert_eq!(owner.data(query, json!({ "id": ids[0] })).await["authorUnarchive"]["author"]["archivedAt"], json!(null));
    })
    .await;
}

#[tokio::test]
async fn a_books_authors_are_paged_in_their_order() {
    world(async |world| {
        let owner = world.owner();
        let mut ids = Vec::new();
        for name in ["Zoe", "Ann", "Max"] {
            ids.push(author(&owner, name).await);
        }
        let id = book(&owner, json!({ "title": "Trio", "authorIds": ids })).await;
        let query = "query($id: ID!, $after: String) { book(id: $id) { authors(first: 2, after: $after) {
            totalCount nodes { name } pageInfo { hasNextPage endCursor } } } }";
        let first = owner.data(query, json!({ "id": id })).await["book"]["authors"].clone();
        assert_eq!(
            (&first["totalCount"], &first["nodes"]),
            (&json!(3), &json!([{ "name": "Zoe" }, { "name": "Ann" }]))
        );
        assert_eq!(first["pageInfo"]["hasNextPage"], true);
        let after = json!({ "id": id, "after": first["pageInfo"]["endCursor"] });
        assert_eq!(owner.data(query, after).await["book"]["authors"]["nodes"], json!([{ "name": "Max" }]));
    })
    .await;
}

#[tokio::test]
async fn authors_and_categories_are_sorted_and_paged_both_ways() {
    world(async |world| {
        let owner = world.owner();
        for name in ["Cleo", "Ann", "Øyvind", "bob"] {
            author(&owner, name).await;
        }
        for (list, count) in [("authors", 4), ("categories", 7)] {
            let names = async |arguments: String| {
                let query = format!("{{ {list}({arguments}) {{ nodes {{ name }} pageInfo {{ startCursor endCursor hasNextPage hasPreviousPage }} }} }}");
                let data = owner.data(&query, json!({})).await[list].clone();
                let names: Vec<String> =
                    data["nodes"].as_array().unwrap().iter().map(|n| n["name"].as_str().unwrap().to_owned()).collect();
                (names, data["pageInfo"].clone())
            };
            for (field, direction) in [("NAME", "ASC"), ("NAME", "DESC"), ("CREATED_AT", "ASC"), ("CREATED_AT", "DESC")] {
                let sort = format!("sort: {{ field: {field}, direction: {direction} }}");
                let whole = names(format!("first: 100, {sort}")).await.0;
                assert_eq!(whole.len(), count);
                let (mut forward, mut after) = (Vec::new(), String::new());
                let (mut backward, mut before) = (Vec::new(), String::new());
                loop {
                    let (page, info) = names(format!("first: 2, {after} {sort}")).await;
                    forward.extend(page);
                    if info["hasNextPage"] == json!(false) {
                        break;
                    }
                    after = format!("after: {},", info["endCursor"]);
                }
                loop {
                    let (page, info) = names(format!("last: 3, {before} {sort}")).await;
                    backward.splice(0..0, page);
                    if info["hasPreviousPage"] == json!(false) {
                        break;
                    }
                    before = format!("before: {},", info["startCursor"]);
                }
                assert_eq!((&forward, &backward), (&whole, &whole), "{list} {sort}");
            }
            let cursor = names("first: 1".to_owned()).await.1["endCursor"].clone();
            let query = format!("{{ {list}(first: 1, after: {cursor}, sort: {{ field: CREATED_AT }}) {{ nodes {{ name }} }} }}");
            assert_eq!(owner.gql(&query, json!({})).await.code(), "BAD_REQUEST");
        }
        assert_eq!(
            owner.data("{ authors(sort: { field: CREATED_AT, direction: DESC }) { nodes { name } } }", json!({})).await["authors"]["nodes"][0]["name"],
            "bob"
        );
    })
    .await;
}
