//! On its day a part is gone; and before, for whoever asks about that day.

use std::sync::Arc;

use serde_json::{Value, json};
use shelfwise::kernel::actor::Role;

use super::{OLD, advance_to, user_at};
use crate::harness::clock::TestClock;
use crate::harness::world::fingerprint;
use crate::harness::{Client, GqlResponse, World, world};

/// Sends a document with a query string.
async fn send(client: &Client<'_>, query_string: &str, query: &str, variables: Value) -> GqlResponse {
    let mut request = client.request(query, variables).build().unwrap();
    request.url_mut().set_query(Some(query_string));
    GqlResponse::read(reqwest::Client::execute(&crate::harness::world::http_client(), request).await.unwrap()).await
}

#[tokio::test]
async fn asked_about_a_later_day_the_schema_is_that_of_the_day() {
    world(async |world| {
        let owner = world.owner();
        assert_eq!(send(&owner, "asOf=2027-06-30", OLD, json!({})).await.status, 200);
        let gone = send(&owner, "asOf=2027-07-01", OLD, json!({})).await;
        gone.assert_refused(400, "FIELD_REMOVED");
        let error = &gone.body["errors"][0];
        assert_eq!(error["message"], "`Book.priceCents` is gone since 2027-07-01. Use `price`.");
        assert_eq!(error["extensions"]["part"], "Book.priceCents");
        assert_eq!(error["extensions"]["instead"], "price");
        assert_eq!(error["extensions"]["removalOn"], "2027-07-01");

        let by_header = world.owner().with_header("x-as-of", "2027-10-01");
        let query = "query($query: String) { books(query: $query) { nodes { priceCents title } } }";
        let gone = by_header.gql(query, json!({ "query": "x" })).await;
        let parts: Vec<&Value> =
            gone.body["errors"].as_array().unwrap().iter().map(|error| &error["extensions"]["part"]).collect();
        assert_eq!(parts, ["Book.priceCents", "Query.books(query:)"]);
        // The older media type has it as it has a document that is not valid.
        let older = world.owner().with_header("x-as-of", "2027-10-01").with_header("accept", "application/json");
        let older = older.gql(OLD, json!({})).await;
        assert_eq!((older.status, older.code(), older.body.get("data")), (200, "FIELD_REMOVED", None));
        // What is to be used instead stays.
        assert_eq!(by_header.gql("{ books { nodes { price { amount } } } }", json!({})).await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn a_mutation_that_uses_what_is_gone_changes_nothing() {
    world(async |world| {
        let before = fingerprint(&world.a).await;
        let create = "mutation($input: BookCreateInput!) { bookCreate(input: $input) { book { id } } }";
        let later = world.owner().with_header("x-as-of", "2027-07-01");
        let gone = later.gql(create, json!({ "input": { "title": "Emma", "priceCents": 1 } })).await;
        gone.assert_refused(400, "FIELD_REMOVED");
        assert_eq!(fingerprint(&world.a).await, before);
        let payload = later.gql(create, json!({ "input": { "title": "Emma" } })).await;
        assert_eq!(payload.code(), "", "{}", payload.body);
    })
    .await;
}

#[tokio::test]
async fn a_day_that_is_none_or_is_over_is_refused() {
    world(async |world| {
        let owner = world.owner();
        for query in ["asOf=tomorrow", "asOf=2026-11-27", "asOf=2027-7-1", "asOf=2027-07-01&asOf=2027-07-02"] {
            send(&owner, query, OLD, json!({})).await.assert_refused(400, "BAD_REQUEST");
        }
        let both = world.owner().with_header("x-as-of", "2027-07-01");
        send(&both, "asOf=2027-07-02", OLD, json!({})).await.assert_refused(400, "BAD_REQUEST");
    })
    .await;
}

/// The parts that an introspection lists as deprecated, by their coordinates.
async fn deprecated(client: &Client<'_>) -> Vec<String> {
    let query = "{ __schema { types { name
        fields(includeDeprecated: true) { name isDeprecated args(includeDeprecated: true) { name isDeprecated } }
        inputFields(includeDeprecated: true) { name isDeprecated }
        enumValues(includeDeprecated: true) { name isDeprecated } } } }";
    let data = client.data(query, json!({})).await;
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut found = Vec::new();
    for ty in list(&data["__schema"]["types"]) {
        let of = ty["name"].as_str().unwrap();
        let mut look = |item: &Value, coordinate: String| {
            if item["isDeprecated"] == true {
                found.push(coordinate);
            }
        };
        for kind in ["fields", "inputFields", "enumValues"] {
            for item in list(&ty[kind]) {
                let name = item["name"].as_str().unwrap();
                look(&item, format!("{of}.{name}"));
                for argument in list(&item["args"]) {
                    look(&argument, format!("{of}.{name}({}:)", argument["name"].as_str().unwrap()));
                }
            }
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn an_introspection_lists_what_there_is_on_the_day() {
    world(async |world| {
        let parts = world.app.services.deprecations.parts();
        let mut all: Vec<String> = parts.iter().map(|part| part.coordinate.clone()).collect();
        all.sort();
        assert!(all.len() >= 6, "{all:?}");
        assert_eq!(deprecated(&world.owner()).await, all);
        let summer = deprecated(&world.owner().with_header("x-as-of", "2027-07-01")).await;
        assert_eq!(summer, ["Query.books(query:)"]);
        // Every part has its own function for this, and none was forgotten.
        let far = deprecated(&world.owner().with_header("x-as-of", "2999-01-01")).await;
        assert_eq!(far, Vec::<String>::new());
    })
    .await;
}

#[tokio::test]
async fn on_its_day_a_part_is_gone_for_everybody() {
    let clock = Arc::new(TestClock::default());
    let (world, _) = World::start_alone(Arc::clone(&clock) as _, &[]).await;
    advance_to(&clock, "2027-06-30");
    let answer = user_at(&world, &clock, &world.a, Role::Owner).gql(OLD, json!({})).await;
    assert_eq!((answer.status, answer.code()), (200, ""), "{}", answer.body);
    assert_eq!(answer.headers["sunset"], "Thu, 01 Jul 2027 00:00:00 GMT");

    advance_to(&clock, "2027-07-01");
    for shop in [&world.a, &world.b] {
        let owner = user_at(&world, &clock, shop, Role::Owner);
        owner.gql(OLD, json!({})).await.assert_refused(400, "FIELD_REMOVED");
        assert_eq!(owner.gql("{ books(query: \"x\") { totalCount } }", json!({})).await.status, 200);
    }
    world.end().await;
}
