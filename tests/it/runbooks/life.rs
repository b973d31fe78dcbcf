//! The life of a tenant: made, copied, archived, brought back, and deleted.

use super::house::House;
use crate::harness::cluster::logins_alone;

#[tokio::test]
async fn tenants_that_are_made_archived_and_brought_back() {
    let house = House::start(&[("SPARE_SCHEMAS", "1")]).await;
    provisioning_failed(&house).await;
    provisioning(&house).await;
    export_and_restore(&house).await;
}

async fn provisioning_failed(house: &House) {
    let mut page = house.page("provisioning-failed");
    page.set("SLUG", "acme").set("NAME", "Acme").set("PLAN", "business").set("EMAIL", "ann@acme.example");
    let missing = page.run_to(1, "tenant list").await;
    assert_eq!(missing, "");
    // The answer tells no cause; the log does.
    let answer = house.send("/admin/graphql", "nonsense", "{ tenants { totalCount } }").await;
    page.set("REQUEST_ID", answer["errors"][0]["extensions"]["requestId"].as_str().unwrap());
    page.says("REQUEST_ID", &["401"]).await;
    page.says("rolcreaterole", &["shelfwise_owner", "search_path"]).await;
    let alone = logins_alone().await;
    page.says("ALTER ROLE", &["ALTER ROLE"]).await;
    page.run("logins.sql").await;
    drop(alone);
    page.says("shelfwise migrate", &["control plane: 0 migrations"]).await;
    page.says("health/ready", &["ready", "200"]).await;
    page.says("tenant provision", &["acme", "\"status\":\"active\"", "\"totalCount\":"]).await;
    page.says("EXCEPT", &["(0 rows)"]).await;
    page.end();
}

async fn provisioning(house: &House) {
    let mut page = house.page("provisioning");
    house.until("SELECT count(*) FROM control.spare_schemas", "1").await;
    page.says("control.spare_schemas GROUP BY", &["schema_version", "completed"]).await;
    page.file("slug,name,plan", "shops.csv");
    page.says("--from shops.csv", &["1 lines: 1 made"]).await;
    page.set("SLUG", "acme").set("EMAIL", "ann@acme.example");
    page.set("NEW-SLUG", "acme-sandbox");
    page.says("tenant clone", &["acme-sandbox"]).await;
    house
        .exec(
            "INSERT INTO control.jobs (id, kind, payload, state, finalized_at)
             VALUES (gen_random_uuid(), 'spares.refill', '{}', 'discarded', now())",
        )
        .await;
    page.says("jobs replay", &["1 jobs"]).await;
    house.until("SELECT count(*) FROM control.spare_schemas", "1").await;
    let spare: uuid::Uuid = house.ask("SELECT id::text FROM control.spare_schemas").await.parse().unwrap();
    page.set("ID", spare.to_string());
    page.set("SPARE", house.ask("SELECT control.schema_name(id) FROM control.spare_schemas").await);
    page.says("DROP SCHEMA", &["DELETE 1", "DROP SCHEMA", "DROP ROLE", "COMMIT"]).await;
    page.says("pg_shdepend", &["VACUUM"]).await;
    page.says("wc -l", &["3\n", "0 were not denied"]).await;
    page.says("EXCEPT", &["(0 rows)"]).await;
    page.end();
}

async fn export_and_restore(house: &House) {
    let mut page = house.page("export-and-restore");
    page.set("SLUG", "acme").set("SHOP", "acme").set("NEW-SLUG", "acme-again");
    let data = page.admin("mutation Export").await;
    assert_eq!(data["tenantExport"]["archive"]["status"], "PENDING");
    house.until("SELECT string_agg(DISTINCT status, ',') FROM control.archives", "completed").await;
    page.says("tenant export SLUG", &["archive_"]).await;
    assert!(house.folder.path().join("acme.zip").exists());
    page.says("tenant archives SLUG", &["archive_", "archive.export"]).await;
    page.says("FROM control.archives", &["purpose", "completed"]).await;
    let archive: uuid::Uuid =
        house.ask("SELECT id::text FROM control.archives ORDER BY id LIMIT 1").await.parse().unwrap();
    page.set("ARCHIVE_ID", shelfwise::kernel::ids::ArchiveId(archive).to_string());
    page.says("tenant restore", &["acme-again"]).await;
    page.run("webhooks suspend").await;
    page.says("setting list", &["events.retention_days"]).await;
    let hashes = page.says("contentSha256", &["are intact", "0 were not denied"]).await;
    let hashes: Vec<&str> = hashes.lines().filter(|line| line.len() == 64).collect();
    assert!(hashes.len() >= 2 && hashes[1..].contains(&hashes[0]), "{hashes:?}");
    page.end();
}

#[tokio::test]
async fn a_tenant_that_leaves() {
    let house = House::start(&[]).await;
    let schema = house.shop("acme").await;
    let mut page = house.page("offboarding");
    page.set("SLUG", "acme").set("NAME", "the lead").set("SCHEMA", &schema);
    let never = page.run_to(1, "--status").await;
    assert!(never.contains("was never offboarded"), "{never}");

    page.says("--reason", &["\"status\":\"active\"", "exporting"]).await;
    let listed = page.admin("offboardings").await;
    assert_eq!(listed["offboardings"]["nodes"][0]["tenantSlug"], "acme");
    page.says("--cancel", &["canceled"]).await;
    let again = page.admin("mutation Offboard").await;
    assert_eq!(again["tenantOffboard"]["offboarding"]["status"], "EXPORTING");
    house
        .until("SELECT status FROM control.offboardings WHERE completed_at IS NULL ORDER BY id DESC LIMIT 1", "waiting")
        .await;
    page.says("SET delete_after", &["UPDATE 1"]).await;

    // The grace period is over, and something that was granted by hand is in the way.
    house.exec(&format!(r#"CREATE TABLE public.mine (id int); GRANT SELECT ON public.mine TO "{schema}""#)).await;
    let due = "UPDATE control.jobs SET scheduled_at = now(), state = 'available'
        WHERE kind = 'offboarding.advance' AND state IN ('scheduled', 'retryable')";
    house
        .exec("UPDATE control.offboardings SET delete_after = now() - interval '1 second' WHERE completed_at IS NULL")
        .await;
    house.exec(due).await;
    house
        .until("SELECT (count(*) > 0)::text FROM control.offboardings WHERE error LIKE '%cannot be dropped%'", "true")
        .await;
    page.says("pg_shdepend", &["mine", "DROP OWNED"]).await;
    house.exec(due).await;
    house.until("SELECT (count(*) > 0)::text FROM control.offboardings WHERE status = 'completed'", "true").await;
    page.run("--certificate").await;
    let signed = std::fs::read_to_string(house.folder.path().join("acme.jws")).unwrap();
    assert_eq!(signed.trim().split('.').count(), 3);
    page.says("VACUUM control.tenants", &["VACUUM"]).await;
    page.says("pg_catalog.pg_depend", &["VACUUM"]).await;
    page.says("--status", &["completed"]).await;
    page.says("AS schemas", &["0 ", "[]"]).await;
    page.end();
}
