//! Webhooks of a shop that fail, are stopped, and go on.

use super::house::House;
use crate::harness::receiver::Receiver;

/// The endpoint's state, as PostgreSQL has it.
fn state(schema: &str) -> String {
    format!(r#"SELECT status || ' ' || breaker FROM "{schema}".webhook_endpoints"#)
}

#[tokio::test]
async fn webhook_endpoint_failing() {
    let house = House::start(&[]).await;
    house.events_on().await;
    let schema = house.shop("acme").await;
    let receiver = Receiver::start().await;
    receiver.status(500);
    let token = house.shop_token("acme").await;
    let create = format!(
        r#"mutation {{ webhookEndpointCreate(input: {{ url: "{}" }}) {{
            webhookEndpoint {{ id }} userErrors {{ code message }} }} }}"#,
        receiver.url("/hook")
    );
    let made = house.data("/graphql", &token, &create).await;
    let endpoint = made["webhookEndpointCreate"]["webhookEndpoint"]["id"].as_str().unwrap().to_owned();
    let mut page = house.page("webhook-endpoint-failing");
    page.set("SLUG", "acme").set("ENDPOINT_ID", &endpoint).set("NAME", "the lead");

    // Five failures in a row open the breaker.
    for title in ["Emma", "Persuasion", "Evelina", "Camilla", "Cecilia", "Belinda"] {
        house.event(&token, title).await;
    }
    house.until(&state(&schema), "active open").await;
    house.until("SELECT count(*) FROM control.webhook_troubles WHERE state = 'open'", "1").await;
    page.says("webhooks troubles", &["acme", &endpoint, "open"]).await;
    page.says("webhooks list SLUG", &[&endpoint, "active", "open"]).await;
    page.says("docker compose ps worker", &["worker 1 running", "webhook.deliver"]).await;
    page.run("--scale worker=2").await;
    assert_eq!(house.docker.count("worker"), 2);
    page.says("webhookDeliveries", &["\"status\":500", "as told"]).await;

    // Stopped, in both ways.
    page.says("webhooks suspend SLUG", &["1 "]).await;
    assert_eq!(page.admin("mutation Stop").await["tenantWebhooksSuspend"]["endpoints"]["count"], 0);
    page.says("webhooks list SLUG", &["suspended", "ordered by the lead"]).await;
    receiver.status(204);
    page.says("webhooks resume SLUG\n", &["1 "]).await;
    let delivered = format!(r#"FROM "{schema}".webhook_deliveries WHERE state = 'delivered'"#);
    house.until(&format!("SELECT count(*) {delivered}"), "6").await;
    house.until(&state(&schema), "active closed").await;
    page.says("webhooks list SLUG", &["active", "closed", " 0 waiting"]).await;
    let delivery = format!("SELECT id::text {delivered} LIMIT 1");
    let delivery: uuid::Uuid = house.ask(&delivery).await.parse().unwrap();

    // What waits is given up, and dead letters are sent once more.
    house.sh("shelfwise tenant webhooks suspend acme --reason 'again'").await;
    house.event(&token, "Pamela").await;
    page.says("--skip-backlog", &["1 "]).await;
    assert_eq!(page.admin("mutation Resume").await["tenantWebhooksResume"]["endpoints"]["count"], 0);
    page.says("--state dead", &["0 "]).await;
    page.set("DELIVERY_ID", shelfwise::kernel::ids::WebhookDeliveryId(delivery).to_string());
    page.says("--delivery", &["1 "]).await;
    assert_eq!(page.admin("mutation Replay").await["tenantWebhooksReplay"]["deliveries"]["count"], 0);
    page.says("webhooks troubles", &["active"]).await;
    page.says("verify-audit", &["are intact"]).await;
    let trail = page.admin("query Trail").await;
    assert!(trail.to_string().contains("ebhook"), "{trail}");
    page.end();
}
