//! `orderStatusChanged`, `stockChanged` and `migrationProgress`

use std::sync::Arc;

use serde_json::{Value, json};
use shelfwise::kernel::clock::SystemClock;
use shelfwise::worker::{handlers, work};

use super::{ORDER, told};
use crate::graphql_helpers::book;
use crate::harness::cluster::psql_of;
use crate::harness::socket::Socket;
use crate::harness::{World, world};
use crate::orders::{act, order, stocked};

const STOCK: &str = "subscription($id: ID, $threshold: Int) { stockChanged(bookId: $id, threshold: $threshold) {
    book { title stock } } }";

async fn set_stock(world: &World, id: &str, version: i32, stock: i32) {
    let query = "mutation($id: ID!, $version: Int!, $stock: Int!) {
        bookUpdate(id: $id, version: $version, input: { stock: $stock }) { userErrors { code } } }";
    let data = world.owner().data(query, json!({ "id": id, "version": version, "stock": stock })).await;
    assert_eq!(data["bookUpdate"]["userErrors"], json!([]));
}

#[tokio::test]
async fn an_order_is_told_as_it_is_and_at_each_move_and_nobody_elses() {
    world(async |world| {
        let owner = world.owner();
        let emma = stocked(&owner, "Emma", 5).await;
        let id = order(&owner, &[(&emma, 2)]).await;
        let mut socket = Socket::of(world, &world.owner_token()).await;
        let mut other = Socket::of(
            world,
            &world.token(&crate::harness::world::user_claims(&world.b, shelfwise::kernel::actor::Role::Owner)),
        )
        .await;

        socket.subscribe("1", ORDER, json!({ "id": id })).await;
        assert_eq!(socket.next_of("1").await, told(&id, "DRAFT"));
        other.subscribe("1", ORDER, json!({ "id": id })).await;
        assert_eq!(other.next_of("1").await, json!({ "orderStatusChanged": null }), "as one that nobody has");
        other.ends("1").await;
        // No connection is kept while nothing happens.
        world.assert_nothing_borrowed().await;

        // The version is another, the status is not.
        act(&owner, "orderLineSet", &id, &format!(", bookId: \"{emma}\", quantity: 3")).await;
        act(&owner, "orderPlace", &id, "").await;
        assert_eq!(socket.next_of("1").await, told(&id, "PLACED"));
        act(&owner, "orderCancel", &id, ", reason: FRAUD").await;
        assert_eq!(socket.next_of("1").await, told(&id, "CANCELED"));
        socket.ends("1").await;
        socket.hears_nothing().await;
        other.hears_nothing().await;
    })
    .await;
}

#[tokio::test]
async fn who_has_heard_enough_is_told_no_more() {
    world(async |world| {
        let owner = world.owner();
        let emma = stocked(&owner, "Emma", 5).await;
        let id = order(&owner, &[(&emma, 2)]).await;
        let mut socket = Socket::of(world, &world.owner_token()).await;
        socket.subscribe("1", ORDER, json!({ "id": id })).await;
        assert_eq!(socket.next_of("1").await, told(&id, "DRAFT"));
        socket.complete("1").await;
        socket.hears_nothing().await;
        act(&owner, "orderPlace", &id, "").await;
        // The id is free again, and the next one is told how things are.
        socket.subscribe("1", ORDER, json!({ "id": id })).await;
        assert_eq!(socket.next_of("1").await, told(&id, "PLACED"));
        socket.hears_nothing().await;
    })
    .await;
}

#[tokio::test]
async fn copies_of_a_book_are_told_when_their_number_changes() {
    world(async |world| {
        let owner = world.owner();
        let emma = stocked(&owner, "Emma", 5).await;
        let mut socket = Socket::of(world, &world.owner_token()).await;
        socket.subscribe("1", STOCK, json!({ "id": emma })).await;
        let stock = |stock: i32| json!({ "stockChanged": { "book": { "title": "Emma", "stock": stock } } });
        assert_eq!(socket.next_of("1").await, stock(5));
        let rename = "mutation($id: ID!) { bookUpdate(id: $id, version: 1, input: { language: \"en\" }) { userErrors { code } } }";
        owner.data(rename, json!({ "id": emma })).await;
        set_stock(world, &emma, 2, 4).await;
        assert_eq!(socket.next_of("1").await, stock(4));
        let id = order(&owner, &[(&emma, 3)]).await;
        act(&owner, "orderPlace", &id, "").await;
        assert_eq!(socket.next_of("1").await, stock(1));
        act(&owner, "orderCancel", &id, ", reason: FRAUD").await;
        assert_eq!(socket.next_of("1").await, stock(4));
        socket.hears_nothing().await;
    })
    .await;
}

#[tokio::test]
async fn of_any_book_few_copies_are_told_and_too_much_is_told_as_such() {
    world(async |world| {
        let owner = world.owner();
        let emma = stocked(&owner, "Emma", 5).await;
        let mut socket = Socket::of(world, &world.owner_token()).await;
        socket.subscribe("few", STOCK, json!({ "threshold": 3 })).await;
        socket.hears_nothing().await;
        until_watched(world, 1).await;

        set_stock(world, &emma, 1, 4).await;
        set_stock(world, &emma, 2, 3).await;
        let few = |title: &str, stock: i32| json!({ "stockChanged": { "book": { "title": title, "stock": stock } } });
        assert_eq!(socket.next_of("few").await, few("Emma", 3));
        book(&owner, json!({ "title": "Persuasion", "stock": 1 })).await;
        assert_eq!(socket.next_of("few").await, few("Persuasion", 1));

        let rows: String = (0..200).map(|row| format!("Book {row},9\n")).collect();
        let import = "mutation($csv: String!) { bookImport(input: { csv: $csv }) { userErrors { code } } }";
        owner.data(import, json!({ "csv": format!("title,stock\n{rows}") })).await;
        assert_eq!(socket.next_of("few").await, json!({ "stockChanged": { "book": null } }));
    })
    .await;
}

/// Waits until so many subscriptions are under way and at rest.
async fn until_watched(world: &World, count: i64) {
    while world.app.metrics.live.streams.get() != count {
        tokio::task::yield_now().await;
    }
    world.assert_nothing_borrowed().await;
}

#[tokio::test]
async fn a_subscription_is_asked_for_and_refused_as_other_operations_are() {
    world(async |world| {
        let mut socket = Socket::of(world, &world.owner_token()).await;
        for (query, code) in [
            ("subscription { nothing }", "BAD_REQUEST"),
            ("subscription {", "BAD_REQUEST"),
            ("subscription($id: ID!) { orderStatusChanged(orderId: $id) { id } }", "BAD_REQUEST"),
            ("subscription { a: stockChanged { __typename } b: stockChanged { __typename } }", "QUERY_TOO_COMPLEX"),
        ] {
            socket.subscribe("1", query, json!({})).await;
            assert_eq!(socket.refusal_of("1").await, code, "{query}");
        }
        socket.subscribe("1", ORDER, json!({ "id": "book_01h455vb4pex5vsknk084sn02q" })).await;
        let answer = socket.hears().await;
        assert_eq!(answer["payload"]["errors"][0]["extensions"]["code"], "BAD_REQUEST", "{answer}");
        socket.ends("1").await;
        socket.subscribe("1", "subscription { __typename }", json!({})).await;
        assert_eq!(socket.next_of("1").await, json!({ "__typename": "Subscription" }));
        socket.ends("1").await;

        let over_http = world.owner().gql(ORDER, json!({ "id": "order_01h455vb4pex5vsknk084sn02q" })).await;
        over_http.assert_refused(400, "BAD_REQUEST");
    })
    .await;
}

#[tokio::test]
async fn queries_and_mutations_go_the_way_that_they_go_over_http() {
    world(async |world| {
        let mut socket = Socket::of(world, &world.owner_token()).await;
        let create = "mutation { bookCreate(input: { title: \"Emma\" }) { book { title } userErrors { code } } }";
        socket.subscribe("1", create, json!({})).await;
        let answer = socket.hears().await;
        assert_eq!(answer["payload"]["data"]["bookCreate"]["book"]["title"], "Emma");
        assert!(answer["payload"]["extensions"]["cost"]["requested"].is_u64(), "{answer}");
        socket.ends("1").await;
        socket.subscribe("2", "{ books { totalCount } }", json!({})).await;
        assert_eq!(socket.next_of("2").await, json!({ "books": { "totalCount": 1 } }));
        socket.ends("2").await;
        socket.subscribe("3", "{ nothing }", json!({})).await;
        assert_eq!(socket.refusal_of("3").await, "BAD_REQUEST");
        // A look of a subscription pays as a query does.
        let id = order(&world.owner(), &[]).await;
        socket.subscribe("4", ORDER, json!({ "id": id })).await;
        let answer = socket.hears().await;
        let cost = &answer["payload"]["extensions"]["cost"];
        assert_eq!((&cost["requested"], &cost["actual"]), (&json!(3), &json!(3)), "{answer}");
        assert!(cost["throttleStatus"]["currentlyAvailable"].is_u64(), "{answer}");
    })
    .await;
}

#[tokio::test]
async fn operators_look_on_at_a_run() {
    let (world, database) = World::start_alone(Arc::new(SystemClock), &[]).await;
    let psql = psql_of(&database).await;
    psql.batch_execute("UPDATE control.tenants SET schema_version = '20260101000001'").await.unwrap();
    let start = "mutation { migrationRunStart(input: {}) { migrationRun { id } userErrors { code } } }";
    let data = world.admin().data(start, json!({})).await;
    let run = data["migrationRunStart"]["migrationRun"]["id"].clone();
    let token = world.token(&crate::harness::world::admin_claims());
    let mut socket = Socket::at(&world, "/admin/graphql/ws", &token).await;
    let query =
        "subscription($id: ID!) { migrationProgress(runId: $id) { status progress { totalCount completedCount } } }";
    socket.subscribe("1", query, json!({ "id": run })).await;
    let told = |status: &str, completed: i32| {
        json!({ "migrationProgress": { "status": status,
                                       "progress": { "totalCount": 2, "completedCount": completed } } })
    };
    assert_eq!(socket.next_of("1").await, told("RUNNING", 0));
    let app = Arc::clone(&world.app);
    let last = async {
        loop {
            let seen: Value = socket.next_of("1").await;
            if seen["migrationProgress"]["status"] == "COMPLETED" {
                return seen;
            }
        }
    };
    let last = tokio::select! {
        last = last => last,
        worked = work(Arc::clone(&app), handlers(&app), std::future::pending()) => panic!("{worked:?}"),
    };
    assert_eq!(last, told("COMPLETED", 2));
    socket.ends("1").await;
    socket.subscribe("1", query, json!({ "id": "run_01h455vb4pex5vsknk084sn02q" })).await;
    assert_eq!(socket.next_of("1").await, json!({ "migrationProgress": null }));
    socket.ends("1").await;
    world.end().await;
}
