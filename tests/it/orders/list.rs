//! `orders`

use serde_json::{Value, json};

use super::{act, order, stocked};
use crate::harness::{Client, world};

async fn numbers(client: &Client<'_>, arguments: &str) -> Vec<String> {
    let query = format!("{{ orders({arguments}) {{ nodes {{ number }} }} }}");
    let data = client.data(&query, json!({})).await;
    data["orders"]["nodes"].as_array().unwrap().iter().map(|n| n["number"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn orders_are_filtered_and_sorted() {
    world(async |world| {
        let owner = world.owner();
        let (emma, persuasion) = (stocked(&owner, "Emma", 50).await, stocked(&owner, "Persuasion", 50).await);
        let lines: [&[(&str, i32)]; 4] = [&[(&emma, 3)], &[(&persuasion, 1)], &[(&emma, 2), (&persuasion, 2)], &[]];
        let mut ids = Vec::new();
        for lines in lines {
            ids.push(order(&owner, lines).await);
        }
        act(&owner, "orderPlace", &ids[0], "").await;
        act(&owner, "orderPlace", &ids[2], "").await;
        act(&owner, "orderCancel", &ids[2], ", reason: OTHER").await;

        let check = async |arguments: &str, expected: &[&str]| {
            assert_eq!(numbers(&owner, arguments).await, expected, "{arguments}");
        };
        check("first: 10", &["4", "3", "2", "1"]).await;
        check("sort: { field: TOTAL_PRICE, direction: DESC }", &["3", "1", "2", "4"]).await;
        check("sort: { field: TOTAL_PRICE }", &["4", "2", "1", "3"]).await;
        check("filter: { status: [PLACED] }", &["1"]).await;
        check("filter: { status: [DRAFT, CANCELED] }", &["4", "3", "2"]).await;
        check(&format!("filter: {{ bookId: \"{persuasion}\" }}"), &["3", "2"]).await;
        check(&format!("filter: {{ bookId: \"{emma}\", status: [PLACED] }}"), &["1"]).await;
        check("filter: { placedFrom: \"2000-01-01T00:00:00Z\" }", &["3", "1"]).await;
        check("filter: { placedTo: \"2000-01-01T00:00:00Z\" }", &[]).await;
    })
    .await;
}

#[tokio::test]
async fn pages_meet_without_gap_or_overlap_in_both_sorts() {
    world(async |world| {
        let owner = world.owner();
        let emma = stocked(&owner, "Emma", 50).await;
        for index in 0..7 {
            // Totals come twice, so that the tie is broken by the id.
            order(&owner, &[(&emma, 1 + index / 2)]).await;
        }
        for sort in ["", ", sort: { field: TOTAL_PRICE, direction: DESC }"] {
            let all = numbers(&owner, &format!("first: 100{sort}")).await;
            let mut paged = Vec::new();
            let mut after = String::new();
            loop {
                let query = format!(
                    "{{ orders(first: 3{after}{sort}) {{ nodes {{ number }} pageInfo {{ endCursor hasNextPage }} }} }}"
                );
                let page = owner.data(&query, json!({})).await["orders"].clone();
                let nodes = page["nodes"].as_array().unwrap();
                paged.extend(nodes.iter().map(|n| n["number"].as_str().unwrap().to_owned()));
                if page["pageInfo"]["hasNextPage"] == Value::Bool(false) {
                    break;
                }
                after = format!(", after: {}", page["pageInfo"]["endCursor"]);
            }
            assert_eq!(paged, all, "{sort}");
        }
        let first = owner.data("{ orders(first: 1) { pageInfo { endCursor } } }", json!({})).await;
        let cursor = &first["orders"]["pageInfo"]["endCursor"];
        let other = format!("{{ orders(after: {cursor}, sort: {{ field: TOTAL_PRICE }}) {{ nodes {{ number }} }} }}");
        assert_eq!(owner.gql(&other, json!({})).await.code(), "BAD_REQUEST");
    })
    .await;
}

#[tokio::test]
async fn no_list_of_orders_costs_more_for_more_rows() {
    world(async |world| {
        let owner = world.owner();
        let emma = stocked(&owner, "Emma", 50).await;
        let query = "{ orders(first: 20) { nodes { number customer { name } payment { status } createdBy { email }
            lines(first: 5) { nodes { quantity book { title authors { nodes { name } } } } } } } }";
        for rows in [2, 12] {
            for _ in 0..rows {
                order(&owner, &[(&emma, 1)]).await;
            }
            let _ = owner.gql(query, json!({})).await;
            let warm = owner.gql(query, json!({})).await;
            let (statements, trips) = warm.sql();
            assert_eq!(statements, 7, "{}", warm.body);
            assert!(trips <= 4, "{trips} trips for {rows} rows");
        }
    })
    .await;
}
