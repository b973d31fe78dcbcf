//! What must never happen: a trail that was changed, and a wall with a hole.

use super::house::House;
use crate::harness::cluster::logins_alone;

#[tokio::test]
async fn a_trail_that_is_broken_and_a_wall_with_a_hole() {
    let house = House::start(&[]).await;
    let (schema, other) = (house.shop("acme").await, house.shop("bella").await);
    audit_broken(&house, &schema).await;
    isolation_violation(&house, &schema, &other).await;
}

async fn audit_broken(house: &House, schema: &str) {
    let token = house.shop_token("acme").await;
    for title in ["Emma", "Evelina", "Camilla"] {
        house.book(&token, title, 3).await;
    }
    let mut page = house.page("audit-broken");
    page.set("SLUG", "acme").set("SCHEMA", schema).set("N", "2");
    // Where the trail ended is known elsewhere; then somebody cuts off the end.
    let anchor = format!(
        r#"INSERT INTO control.audit_anchors (tenant_id, sequence, hash, at)
           SELECT t.id, h.audit_sequence, h.audit_hash, now() FROM "{schema}".tenant_head h, control.tenants t
           WHERE t.slug = 'acme' ON CONFLICT DO NOTHING"#
    );
    house.exec(&anchor).await;
    let cut = format!(
        r#"DELETE FROM "{schema}".audit_log WHERE sequence = (SELECT max(sequence) FROM "{schema}".audit_log);
           UPDATE "{schema}".tenant_head SET (audit_sequence, audit_hash) =
             (SELECT sequence, hash FROM "{schema}".audit_log ORDER BY sequence DESC LIMIT 1)"#
    );
    house.exec(&cut).await;
    let told = page.run_to(1, "--json").await;
    assert!(told.contains("\"fault\":\"cut_off\""), "{told}");
    page.says("audit_anchors a JOIN", &["book.create", "audit_sequence"]).await;
    page.run("pg_dump").await;
    let kept = std::fs::read_to_string(house.folder.path().join("acme-trail.sql")).unwrap();
    assert!(kept.contains("audit_log") && kept.contains("audit_anchors"));
    page.says("relacl", &["audit_log", "audit_anchors"]).await;
    page.says("verify-isolation", &["0 were not denied"]).await;
    page.run("SELECT a.sequence FROM").await;
    page.set("N", "0");
    page.says("DELETE FROM control.audit_anchors", &["DELETE"]).await;
    page.says("verify-audit SLUG\n", &["are intact"]).await;
    page.says("while read", &["acme: ", "bella: "]).await;
    page.end();
}

async fn isolation_violation(house: &House, schema: &str, other: &str) {
    let mut page = house.page("isolation-violation");
    page.set("SLUG", "acme").set("SCHEMA", schema).set("NAME", "the lead");
    // Rights that a restore into another database forgets, and a grant by hand.
    house.exec("GRANT USAGE ON LANGUAGE plpgsql TO PUBLIC").await;
    let open =
        format!(r#"GRANT USAGE ON SCHEMA "{other}" TO "{schema}"; GRANT SELECT ON "{other}".books TO "{schema}""#);
    house.exec(&open).await;
    let told = page.run_to(1, "verify-isolation").await;
    assert!(told.contains("acme: run a block of code") && told.contains("acme: read another tenant's books"), "{told}");
    page.run("isolation_(violation").await;
    page.says("tenant_stamp", &["acme"]).await;
    page.says("tenant suspend", &["suspended"]).await;
    let alone = logins_alone().await;
    page.run("logins.sql").await;
    drop(alone);
    page.set("SCHEMA", other);
    page.says("nspacl", &[schema]).await;
    let close =
        format!(r#"REVOKE ALL ON SCHEMA "{other}" FROM "{schema}"; REVOKE ALL ON "{other}".books FROM "{schema}""#);
    house.exec(&close).await;
    page.says("shelfwise_isolation_violations'", &["0 were not denied", "shelfwise_isolation_violations 0"]).await;
    page.end();
}
