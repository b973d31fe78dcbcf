//! What operators do with single shops: closing, settings, parts of the API that go away, data that are wrong.

use serde_json::json;

use super::house::House;

#[tokio::test]
async fn shops_that_are_closed_set_up_told_and_mended() {
    let house = House::start(&[]).await;
    let schema = house.shop("acme").await;
    house.shop("bella").await;
    let token = house.shop_token("acme").await;

    suspend_resume(&house).await;
    settings_and_flags(&house).await;
    api_deprecation(&house, &token).await;
    tenant_data_issue(&house, &schema, &token).await;
}

async fn suspend_resume(house: &House) {
    let mut page = house.page("tenant-suspend-resume");
    page.set("SLUG", "acme").set("NAME", "the lead").set("REASON", "Unpaid");
    page.says("tenant list", &["\"status\":\"active\""]).await;
    page.says("tenant suspend", &["suspended"]).await;
    house.until_status("acme", 403).await;
    page.says("http_code", &["403"]).await;
    let data = page.admin("mutation Suspend").await;
    assert_eq!(data["tenantSuspend"]["tenant"]["suspensionReason"], "Unpaid since October; ordered by the lead");
    page.says("tenant resume", &["active"]).await;
    assert_eq!(page.admin("mutation Resume").await["tenantResume"]["tenant"]["status"], "ACTIVE");
    house.until_status("acme", 200).await;
    page.says("http_code", &["200"]).await;
    page.says("health/ready", &["ready"]).await;
    page.says("UPDATE control.tenants", &["UPDATE 1\nUPDATE 1"]).await;
    page.end();
}

async fn settings_and_flags(house: &House) {
    let mut page = house.page("settings-and-flags");
    let own = "mutation { settingUpdate(name: CATALOG_STOCK_LOW, value: 7) { userErrors { code message } } }";
    house.data("/graphql", &house.shop_token("acme").await, own).await;
    page.set("SLUG", "acme").set("FLAG", "stock_low_on_update").set("NAME", "the lead");
    house
        .sh("shelfwise flag set stock_low_on_update --percent 100 --owner ann@shelfwise.example --ends-on 2099-01-01")
        .await;
    page.says("setting list", &["catalog.stock_low", "shop", "default", "stock_low_on_update"]).await;
    assert_eq!(page.admin("tenantFlags").await["tenantFlags"][0]["isOn"], true);
    page.says("--own", &["catalog.stock_low"]).await;
    page.says("--plan enterprise", &["events.retention_days"]).await;
    page.says("--percent 0", &["0 %"]).await;
    assert_eq!(page.admin("tenantFlags").await["tenantFlags"][0]["isException"], true);
    page.says("untenant", &["stock_low_on_update"]).await;
    page.says("--ends-on", &["2027-03-31"]).await;
    // A payment that is in another account: a dead letter that nobody can do.
    house
        .exec(
            "INSERT INTO control.jobs (id, tenant_id, kind, payload, state, finalized_at, errors)
             SELECT gen_random_uuid(), id, 'payment.refund', '{}', 'discarded', now(),
                    '[{\"message\": \"the payment is in the account acct_1\"}]' FROM control.tenants WHERE slug = 'acme'",
        )
        .await;
    let job: uuid::Uuid =
        house.ask("SELECT id::text FROM control.jobs WHERE kind = 'payment.refund'").await.parse().unwrap();
    page.set("JOB_ID", shelfwise::kernel::ids::JobId(job).to_string());
    page.says("payment.refund", &["the payment is in the account", "available"]).await;
    page.says("setting list", &["events.retention_days", "90"]).await;
    page.end();
}

async fn api_deprecation(house: &House, token: &str) {
    let use_it = "{ books(first: 1) { nodes { priceCents } } }";
    let answer = house.send("/graphql", token, use_it).await;
    assert!(answer["extensions"]["deprecations"][0]["removalOn"].is_string(), "{answer}");
    // It is counted in memory, and told to operators by a job later.
    let used = "INSERT INTO control.deprecated_usage
        SELECT id, 'Book.priceCents', 'Till', 'session', 'till', 7, now(), now() FROM control.tenants WHERE slug = 'acme'
        ON CONFLICT DO NOTHING";
    house.exec(used).await;
    let mut page = house.page("api-deprecation");
    page.set("SLUG", "acme");
    page.says("deprecation list", &["Book.priceCents", "1 tenants"]).await;
    let usage = page.says("deprecation usage", &["acme", "Till"]).await;
    assert!(usage.matches("acme").count() >= 2, "{usage}");
    page.says("extend SLUG", &["2027-09-01", "acme", "Book.priceCents", "their till is updated in August"]).await;
    page.says("deprecation extensions", &["acme", "2027-09-01"]).await;
    page.run("unextend").await;
    page.run("schema check --usage").await;
    page.end();
}

async fn tenant_data_issue(house: &House, schema: &str, token: &str) {
    let mut page = house.page("tenant-data-issue");
    let book = house.book(token, "Emma", 7).await;
    house.sh("shelfwise tenant export acme").await;
    // Somebody sets a stock that is wrong.
    let spoil =
        format!(r#"mutation {{ bookUpdate(id: "{book}", version: 1, input: {{ stock: 0 }}) {{ book {{ id }} }} }}"#);
    house.data("/graphql", token, &spoil).await;
    page.set("SLUG", "acme").set("BOOK_ID", &book).set("SCHEMA", schema).set("NEW-SLUG", "acme-copy");
    page.says("verify-audit", &["\"status\":\"active\"", "0 were not denied", "are intact"]).await;
    let trail = page.shop("requestId", token).await;
    assert_eq!(trail["auditLog"]["nodes"][0]["action"], "book.update");
    let of_book = page.shop("filter", token).await;
    assert_eq!(of_book["auditLog"]["nodes"][0]["before"]["stock"], json!(7), "{of_book}");
    page.says("interval '1 day'", &["book.update", schema]).await;
    page.says("tenant export SLUG", &["archive_"]).await;
    let now = page.shop("version }", token).await;
    page.set("N", now["book"]["version"].to_string());
    assert_eq!(page.shop("bookUpdate", token).await["bookUpdate"]["book"]["stock"], 7);
    std::fs::write(house.folder.path().join("books.csv"), "title,stock\nPersuasion,3\n").unwrap();
    page.says("tenant import", &["1 rows: 1 created"]).await;

    let archive: uuid::Uuid =
        house.ask("SELECT id::text FROM control.archives ORDER BY id LIMIT 1").await.parse().unwrap();
    page.set("ARCHIVE_ID", shelfwise::kernel::ids::ArchiveId(archive).to_string());
    page.says("tenant restore", &["acme-copy"]).await;
    page.says("tenant offboard", &["acme-copy", "exporting"]).await;
    page.set("NAME", "Emma");
    page.says("SET LOCAL ROLE", &["Emma", "UPDATE 1", "COMMIT"]).await;
    page.says("cache forget", &["`acme`"]).await;
    page.says("verify-audit SLUG", &["are intact"]).await;
    page.end();
}
