//! Redis that is away, and what each server does meanwhile: answers that are kept, rates, news.

use serde_json::json;

use super::house::House;

#[tokio::test]
async fn redis_down_and_what_rests_on_it() {
    let house = House::start(&[]).await;
    let schema = house.shop("acme").await;
    let token = house.shop_token("acme").await;
    let book = house.book(&token, "Emma", 3).await;
    house.data("/graphql", &token, "{ books { totalCount } }").await;

    let mut page = house.page("redis-down");
    house.redis.lock().unwrap().kill();
    house.data("/graphql", &token, "{ books { totalCount } }").await;
    house.until_logged("api", "Redis does not answer; going on without").await;
    page.says(
        "redis-cli ping",
        &["Connection refused", "shelfwise_rate_decisions_total{by=\"replica\"}", "going on without"],
    )
    .await;
    page.run("up --detach redis").await;
    page.says("INFO memory", &["used_memory_human", "maxmemory_policy", "connected_clients"]).await;
    page.says("CONFIG SET", &["OK"]).await;
    house.until_logged("api", "Redis answers again").await;
    page.says("REDIS_URL#", &["127.0.0.1"]).await;
    house.data("/graphql", &token, "{ books { totalCount } }").await;
    page.says("redis-cli ping", &["PONG", "shelfwise_rate_decisions_total{by=\"redis\"}"]).await;
    page.end();

    stale_answers(&house, &schema, &token, &book).await;
    subscriptions(&house, &token).await;
    rate_limits(&house, &token).await;
}

async fn stale_answers(house: &House, schema: &str, token: &str, book: &str) {
    let mut page = house.page("stale-answers");
    page.set("SLUG", "acme").set("TOKEN", token).set("BOOK_ID", book);
    page.says("Cache-Control", &["\"stock\":3"]).await;
    house.exec(&format!(r#"UPDATE "{schema}".books SET stock = 9"#)).await;
    page.says("cache forget SLUG", &["all servers forget what they keep of `acme`"]).await;
    house.until_answered_with(token, &format!(r#"{{ book(id: "{book}") {{ stock }} }}"#), "\"stock\":9").await;
    let text = page.says("Cache-Control", &["\"stock\":9"]).await;
    assert_eq!(text.matches("\"stock\":9").count(), 2, "{text}");
    page.end();
}

async fn subscriptions(house: &House, token: &str) {
    let mut page = house.page("subscriptions");
    page.says("sockets|subscriptions", &["shelfwise_sockets 0", "shelfwise_subscriptions 0"]).await;
    page.says("shelfwise_echo", &["shelfwise"]).await;
    page.says("PUBSUB NUMPAT", &["psubscribe"]).await;
    page.run("sockets|subscriptions").await;
    // Somebody changes a book once somebody looks on.
    page.set("TOKEN", token);
    let change = async {
        house.until_told("shelfwise_subscriptions 1").await;
        house.event(token, "Evelina").await;
    };
    let (told, ()) = tokio::join!(page.run("stockChanged"), change);
    assert!(told.contains("\"stock\":1"), "{told}");
    page.end();
}

async fn rate_limits(house: &House, token: &str) {
    let mut page = house.page("rate-limits");
    page.set("SLUG", "acme").set("TOKEN", token);
    page.says("plan list", &["business", "enterprise"]).await;
    page.says("limits { kind", &["\"code\":\"business\"", "\"used\""]).await;
    page.says("points_per_minute=1200000", &["1200000", "ticket 4711"]).await;
    page.run("limit clear").await;
    page.says("change-plan", &["enterprise", "starter"]).await;
    page.run("limit list").await;
    page.end();

    // What a shop is told that has no more.
    house.sh("shelfwise plan set starter requests_per_minute=1").await;
    house.sh("shelfwise tenant change-plan acme starter").await;
    let ask = async || house.send("/graphql", token, "{ books { totalCount } }").await;
    let mut answer = json!(null);
    for _ in 0..100 {
        answer = ask().await;
        if answer.get("errors").is_some() {
            break;
        }
    }
    assert_eq!(answer["errors"][0]["extensions"]["code"], "RATE_LIMITED");
    assert!(house.metrics("api").await.contains("shelfwise_rate_limited_total{limit="));
}
