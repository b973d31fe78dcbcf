//! `book`, `bookByIsbn`, `books`, `node`

use serde_json::{Value, json};

use super::shelf::{author, book, category};
use crate::harness::{Client, world};

/// A shelf of books whose sort keys collide, are missing and differ.
async fn stock(client: &Client<'_>) {
    let (fiction, crime) = {
        let fiction = category(client, "Novels", None).await;
        (fiction.clone(), category(client, "Crime", Some(&fiction)).await)
    };
    let (ann, bob) = (author(client, "Ann Ångström").await, author(client, "Bob").await);
    for (index, title) in
        ["Zebra", "apple", "Éclair", "eclair two", "Apple", "Banana", "cherry", "Date"].into_iter().enumerate()
    {
        let price = (index % 3 != 0).then(|| json!({ "amount": (index % 2 * 5 + 1).to_string(), "currency": "EUR" }));
        let year = (index % 4 != 0).then(|| json!({ "year": 1900 + index / 2 }));
        book(
            client,
            json!({
                "title": title, "price": price, "publishedOn": year, "stock": index % 2,
                "authorIds": if index % 2 == 0 { vec![&ann] } else { vec![&bob, &ann] },
                "categoryId": if index % 2 == 0 { &fiction } else { &crime },
                "language": (["en", "en-GB", "fr"][index % 3]),
            }),
        )
        .await;
    }
}

async fn titles(client: &Client<'_>, arguments: &str) -> Vec<String> {
    let data = client.data(&format!("{{ books({arguments}) {{ nodes {{ title }} }} }}"), json!({})).await;
    data["books"]["nodes"].as_array().unwrap().iter().map(|node| node["title"].as_str().unwrap().to_owned()).collect()
}

/// Walks through a list page by page.
async fn walk(client: &Client<'_>, arguments: &str, forward: bool, size: usize) -> Vec<String> {
    let (count, from, flag, cursor) = if forward {
        ("first", "after", "hasNextPage", "endCursor")
    } else {
        ("last", "before", "hasPreviousPage", "startCursor")
    };
    let query = format!(
        "query($cursor: String) {{ books({count}: {size}, {from}: $cursor, {arguments}) {{
            edges {{ cursor node {{ title }} }} pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }} }} }}"
    );
    let mut all: Vec<String> = Vec::new();
    let mut position = Value::Null;
    loop {
        let page = client.data(&query, json!({ "cursor": position })).await["books"].clone();
        let edges = page["edges"].as_array().unwrap();
        assert!(edges.len() <= size);
        let items = edges.iter().map(|edge| edge["node"]["title"].as_str().unwrap().to_owned());
        if forward {
            all.extend(items);
        } else {
            all.splice(0..0, items);
        }
        if page["pageInfo"][flag] == json!(false) {
            return all;
        }
        position = page["pageInfo"][cursor].clone();
        assert!(position.is_string(), "{page}");
    }
}

#[tokio::test]
async fn pages_of_every_sort_make_the_whole_list_in_both_directions() {
    world(async |world| {
        let owner = world.owner();
        stock(&owner).await;
        for field in ["CREATED_AT", "TITLE", "PRICE", "PUBLISHED_ON"] {
            for direction in ["ASC", "DESC"] {
                let sort = format!("sort: {{ field: {field}, direction: {direction} }}");
                let whole = titles(&owner, &sort).await;
                assert_eq!(whole.len(), 8);
                for size in [1, 3, 8] {
                    assert_eq!(walk(&owner, &sort, true, size).await, whole, "{sort}, forward by {size}");
                    assert_eq!(walk(&owner, &sort, false, size).await, whole, "{sort}, backward by {size}");
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn sorting_follows_what_readers_expect() {
    world(async |world| {
        let owner = world.owner();
        stock(&owner).await;
        let by = async |field: &str, direction: &str| {
            titles(&owner, &format!("sort: {{ field: {field}, direction: {direction} }}")).await
        };
        assert_eq!(
            by("TITLE", "ASC").await,
            ["apple", "Apple", "Banana", "cherry", "Date", "Éclair", "eclair two", "Zebra"]
        );
        assert_eq!(
            by("PRICE", "ASC").await,
            ["Éclair", "Apple", "apple", "Banana", "Date", "Zebra", "eclair two", "cherry"]
        );
        assert_eq!(by("PUBLISHED_ON", "ASC").await[..2], ["Zebra", "Apple"], "unknown dates come first");
        assert_eq!(by("CREATED_AT", "DESC").await[0], "Date");
    })
    .await;
}

#[tokio::test]
async fn filters_narrow_and_combine() {
    world(async |world| {
        let owner = world.owner();
        stock(&owner).await;
        let ids = owner
            .data("{ categories(first: 100) { nodes { id name } } authors { nodes { id name } } }", json!({}))
            .await;
        let id = |list: &str, name: &str| {
            let nodes = ids[list]["nodes"].as_array().unwrap();
            nodes.iter().find(|node| node["name"] == name).unwrap()["id"].as_str().unwrap().to_owned()
        };
        let count = async |filter: String| {
            let data = owner
                .data(&format!("{{ books(filter: {{ {filter} }}) {{ totalCount nodes {{ id }} }} }}"), json!({}))
                .await;
            let total = data["books"]["totalCount"].as_u64().unwrap();
            assert_eq!(data["books"]["nodes"].as_array().unwrap().len() as u64, total, "{filter}");
            total
        };
        assert_eq!(count(format!("categoryId: \"{}\"", id("categories", "Novels"))).await, 8, "a subtree");
        assert_eq!(count(format!("categoryId: \"{}\"", id("categories", "Crime"))).await, 4);
        assert_eq!(count(format!("authorId: \"{}\"", id("authors", "Bob"))).await, 4);
        assert_eq!(count(format!("authorId: \"{}\"", id("authors", "Ann Ångström"))).await, 8);
        assert_eq!(count("language: \"en\"".to_owned()).await, 6, "a language takes its regions");
        assert_eq!(count("language: \"en-GB\"".to_owned()).await, 3);
        assert_eq!(count("priceMin: \"2\"".to_owned()).await, 3);
        assert_eq!(count("priceMax: 1".to_owned()).await, 2);
        assert_eq!(count("isInStock: true".to_owned()).await, 4);
        assert_eq!(count("isInStock: false, language: \"fr\"".to_owned()).await, 1);
        for bad in ["priceMin: \"x\"", "language: \"elvish\"", "categoryId: \"x\""] {
            let response =
                owner.gql(&format!("{{ books(filter: {{ {bad} }}) {{ nodes {{ id }} }} }}"), json!({})).await;
            assert_eq!(response.code(), "BAD_REQUEST", "{bad}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_search_finds_words_of_titles_and_names_and_ranks_them() {
    world(async |world| {
        let owner = world.owner();
        stock(&owner).await;
        let found = async |text: &str| titles(&owner, &format!("search: {}", json!(text))).await;
        assert_eq!(found("ECLAIR").await.len(), 2);
        assert_eq!(found("éclair tw").await, ["eclair two"]);
        assert_eq!(found("angstrom bob").await.len(), 4);
        assert_eq!(found("nothing like it").await, Vec::<String>::new());
        assert_eq!(found(" &|!() ").await, Vec::<String>::new(), "no words find nothing");

        // A title's word outweighs a name's.
        author(&owner, "Zebra Jones").await;
        let jones = owner.data("{ authors(filter: { nameContains: \"jones\" }) { nodes { id } } }", json!({})).await;
        book(&owner, json!({ "title": "Other", "authorIds": [jones["authors"]["nodes"][0]["id"]] })).await;
        assert_eq!(found("zebra").await, ["Zebra", "Other"]);

        for size in [1, 2, 5] {
            let whole = found("ang").await;
            assert_eq!(whole.len(), 8);
            assert_eq!(walk(&owner, "search: \"ang\"", true, size).await, whole);
            assert_eq!(walk(&owner, "search: \"ang\"", false, size).await, whole);
        }
    })
    .await;
}

#[tokio::test]
async fn a_book_is_opened_by_id_by_isbn_and_as_a_node() {
    world(async |world| {
        let owner = world.owner();
        let id = book(&owner, json!({ "title": "Emma", "isbn": "9780306406157" })).await;
        let query = "query($id: ID!, $isbn: String!) {
            book(id: $id) { title } bookByIsbn(isbn: $isbn) { id } node(id: $id) { id __typename ... on Book { title } } }";
        let data = owner.data(query, json!({ "id": id, "isbn": "0-306-40615-2" })).await;
        assert_eq!(data["book"]["title"], "Emma");
        assert_eq!(data["bookByIsbn"]["id"], json!(id));
        assert_eq!(data["node"], json!({ "id": id, "__typename": "Book", "title": "Emma" }));

        let none = json!({ "id": "book_01h455vb4pex5vsknk084sn02q", "isbn": "not an isbn" });
        let data = owner.data(query, none).await;
        assert_eq!(data, json!({ "book": null, "bookByIsbn": null, "node": null }));
        let response = owner.gql(query, json!({ "id": "tenant_01h455vb4pex5vsknk084sn02q", "isbn": "" })).await;
        assert_eq!(response.code(), "BAD_REQUEST");
    })
    .await;
}

#[tokio::test]
async fn wrong_paging_is_a_bad_request() {
    world(async |world| {
        let owner = world.owner();
        stock(&owner).await;
        let cursor =
            owner.data("{ books(first: 1, sort: { field: TITLE }) { pageInfo { endCursor } } }", json!({})).await;
        let cursor = cursor["books"]["pageInfo"]["endCursor"].as_str().unwrap().to_owned();
        for arguments in [
            "first: 0".to_owned(),
            "first: 101".to_owned(),
            "first: -1".to_owned(),
            "first: 1, last: 1".to_owned(),
            "after: \"x\"".to_owned(),
            format!("after: \"{cursor}\""),
            format!("after: \"{cursor}\", sort: {{ field: PRICE }}"),
            format!("before: \"{cursor}\", first: 1"),
            "sort: { field: RELEVANCE }".to_owned(),
        ] {
            let response = owner.gql(&format!("{{ books({arguments}) {{ nodes {{ id }} }} }}"), json!({})).await;
            assert_eq!(response.code(), "BAD_REQUEST", "{arguments}: {}", response.body);
        }
    })
    .await;
}

#[tokio::test]
async fn authors_of_a_book_are_not_paged_by_the_cursor_of_another() {
    world(async |world| {
        let owner = world.owner();
        let (ann, bea) = (author(&owner, "Ann").await, author(&owner, "Bea").await);
        let emma = book(&owner, json!({ "title": "Emma", "authorIds": [ann, bea] })).await;
        let maps = book(&owner, json!({ "title": "Maps", "authorIds": [bea] })).await;
        let query = "query($id: ID!, $after: String) { book(id: $id) {
            authors(first: 1, after: $after) { nodes { name } pageInfo { endCursor } } } }";
        let page = owner.data(query, json!({ "id": emma })).await;
        let after = &page["book"]["authors"]["pageInfo"]["endCursor"];
        let next = owner.data(query, json!({ "id": emma, "after": after })).await;
        assert_eq!(next["book"]["authors"]["nodes"], json!([{ "name": "Bea" }]));
        let refused = owner.gql(query, json!({ "id": maps, "after": after })).await;
        assert_eq!(refused.code(), "BAD_REQUEST", "{}", refused.body);
    })
    .await;
}
