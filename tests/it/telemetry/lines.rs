//! Log lines of a server and a worker: each tells whose it is, and none what must not be told.

use serde_json::{Value, json};

use super::{SECRET, Site};
use crate::harness::receiver::Receiver;
use crate::webhooks::endpoint;

/// The lines of a request.
fn of_request<'a>(lines: &'a [Value], id: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["request.id"] == id).collect()
}

#[tokio::test]
async fn every_line_of_a_request_tells_whose_it_is() {
    let site = Site::start(&[]).await;
    let id = site.search("Told", &[]).await;
    let client = site.world.owner().with_header("x-request-id", "changed-1");
    let query = "mutation Change($name: String!) { authorCreate(input: { name: $name }) { author { id } } }";
    client.data(query, json!({ "name": SECRET })).await;
    let stranger = site.world.stranger().with_header("x-request-id", "refused-1");
    let _ = stranger.gql("{ viewer { user { id } } }", json!({})).await;
    let admin = site.world.admin().with_header("x-request-id", "admin-1");
    admin.data("query Shops { tenants(first: 1) { nodes { slug } } }", json!({})).await;
    let slug = site.world.a.slug.as_str().to_owned();
    let lines = site.end().await;

    for (id, name) in [(id.as_str(), "Told"), ("changed-1", "Change")] {
        let ours = of_request(&lines, id);
        assert!(!ours.is_empty(), "{id}");
        for line in ours {
            assert_eq!((&line["tenant.slug"], &line["operation.name"]), (&json!(slug), &json!(name)), "{line}");
            assert!(line["user.id"].as_str().unwrap().starts_with("user_"), "{line}");
            assert_eq!(line["trace.id"].as_str().unwrap().len(), 32, "{line}");
            assert_eq!((&line["http.route"], &line["http.request.method"]), (&json!("/graphql"), &json!("POST")));
        }
    }
    // A mutation says two things, of which one is said deep within it.
    assert!(of_request(&lines, "changed-1").len() > 1);
    assert!(of_request(&lines, "refused-1").iter().all(|line| line.get("user.id").is_none()));
    let ours = of_request(&lines, "admin-1");
    assert!(
        !ours.is_empty() && ours.iter().all(|line| line["user.id"] == "operator" && line["operation.name"] == "Shops")
    );
}

#[tokio::test]
async fn no_line_has_a_password_a_token_an_address_or_a_value() {
    let site = Site::start(&[]).await;
    let receiver = Receiver::start().await;
    let (_, secret) = endpoint(&site.world.owner(), &receiver.url("/hook")).await;
    site.add_book().await;
    let token = site.world.owner_token();
    // What fails is logged more readily than what does not.
    let login = "mutation In($email: String!, $password: String!) {
        login(input: { email: $email, password: $password }) { userErrors { code } } }";
    let slug = site.world.a.slug.as_str().to_owned();
    let stranger = site.world.stranger().with_header("x-tenant", &slug);
    let _ = stranger.gql(login, json!({ "email": format!("{SECRET}@acme.example"), "password": SECRET })).await;
    let _ = site.world.owner().gql(&format!("{{ books(search: \"{SECRET}\") {{ {SECRET} }} }}"), json!({})).await;
    let _ = site
        .world
        .stranger()
        .with_token(&format!("sw_{slug}_{SECRET}"))
        .gql("{ viewer { user { id } } }", json!({}))
        .await;
    let _ =
        site.world.owner().with_header("idempotency-key", SECRET).gql("{ viewer { user { id } } }", json!({})).await;
    site.order("ordered-1").await;
    let worker = site.worker(&[]).await;
    receiver.status(500);
    receiver.wait_for("/hook", 1).await;
    let mut lines = worker.stop().await;
    lines.extend(site.end().await);
    for line in lines {
        let text = line.to_string();
        for planted in [SECRET, &token, &secret, "@test.example", "as told"] {
            assert!(!text.contains(planted), "{planted}: {text}");
        }
    }
}
