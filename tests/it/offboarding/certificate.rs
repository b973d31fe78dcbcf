//! The certificate: what it says, who can tell that it is true, and what becomes of one that is not.

use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::{Value, json};
use shelfwise::config::auth::JwtKey;
use shelfwise::control::offboarding::certificate::verified;

use super::{GRACE, Site};
use crate::harness::command::shelfwise;

const QUERY: &str = "query($slug: String!) { offboarding(slug: $slug) { status tablesDroppedCount rowsDroppedCount
    keysDestroyedAt completedAt certificate { signature publicKey statement } } }";

/// A shop that is gone, and how many rows each of its tables had.
async fn gone(settings: &[(&str, &str)]) -> (Site, Value) {
    let mut site = Site::start_with(settings).await;
    site.offboard("they asked for it").await;
    site.work();
    site.until("waiting").await;
    let counts = counts(&site).await;
    // Shop B was restored from an archive of shop A.
    let (a, b) = (site.world.a.id.0, site.world.b.id.0);
    site.queue.sql(&format!("UPDATE control.tenants SET sealed_as = '{a}' WHERE id = '{b}'")).await;
    site.pass(GRACE).await;
    site.until("completed").await;
    (site, counts)
}

async fn counts(site: &Site) -> Value {
    let query = "SELECT tablename::text FROM pg_tables WHERE schemaname = $1";
    let mut counts = json!({});
    for row in site.queue.psql.query(query, &[&site.world.a.schema.as_str()]).await.unwrap() {
        let table: String = row.get(0);
        let count = site.queue.ask(&format!(r#"SELECT count(*) FROM "{}"."{table}""#, site.world.a.schema)).await;
        counts[table] = json!(count.parse::<i64>().unwrap());
    }
    counts
}

#[tokio::test]
async fn it_says_what_was_destroyed_and_verifies_by_the_key_beside_it() {
    let (site, counts) = gone(&[("BACKUP_HORIZON_DAYS", "7")]).await;
    let data = site.world.admin().data(QUERY, json!({ "slug": site.world.a.slug.as_str() })).await;
    let offboarding = &data["offboarding"];
    let certificate = &offboarding["certificate"];
    let signature = certificate["signature"].as_str().unwrap();

    // By the library alone, as whoever is shown it would.
    let jwk: Jwk = serde_json::from_value(certificate["publicKey"].clone()).unwrap();
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    let said = decode::<Value>(signature, &DecodingKey::from_jwk(&jwk).unwrap(), &validation).unwrap().claims;
    assert_eq!(said, certificate["statement"]);
    assert_eq!(decode_header(signature).unwrap().kid.as_deref(), Some("test-1"));
    // The key is the one that the server publishes.
    let jwks = site.world.http.get(format!("{}/.well-known/jwks.json", site.world.base_url)).send().await.unwrap();
    let jwks: JwkSet = serde_json::from_str(&jwks.text().await.unwrap()).unwrap();
    assert_eq!(jwks.find("test-1"), Some(&jwk));
    assert!(certificate["publicKey"].get("d").is_none(), "the private key is not handed out");

    let shop = &site.world.a;
    assert_eq!(said["tenant"], json!({ "id": shop.id.to_string(), "slug": shop.slug.as_str(), "name": shop.name }));
    assert_eq!(said["requested"]["by"], "cli:test");
    assert_eq!(said["requested"]["reason"], "they asked for it");
    assert_eq!(said["deletion"]["by"], "platform");
    let at = |value: &Value| value.as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap();
    assert_eq!(at(&said["deletion"]["begunAt"]), at(&offboarding["keysDestroyedAt"]));
    assert_eq!(at(&said["deletion"]["completedAt"]), at(&offboarding["completedAt"]));
    let destroyed = &said["destroyed"];
    assert_eq!(destroyed["tables"], counts);
    assert!(counts["books"] == 1 && counts["customers"] == 1, "{counts}");
    assert_eq!(destroyed["rows"], offboarding["rowsDroppedCount"]);
    assert_eq!(
        (&destroyed["schema"], &destroyed["role"]),
        (&json!(shop.schema.as_str()), &json!(shop.schema.as_str()))
    );
    let keys = |value: &Value| value.as_array().unwrap().iter().map(|key| key["id"].clone()).collect::<Vec<_>>();
    assert_eq!(keys(&destroyed["keys"]), shop.keys.0.iter().map(|key| json!(key.id)).collect::<Vec<_>>());
    assert!(!said.to_string().contains("wrapped\":"), "{said}");
    assert_eq!(destroyed["controlPlaneRows"]["webhook_troubles"], 1);
    assert_eq!(destroyed["controlPlaneRows"]["audit_anchors"], 1);
    assert!(destroyed["controlPlaneRows"]["jobs"].as_i64().unwrap() >= 3, "{said}");
    assert_eq!(said["auditTrailEnd"]["sequence"], counts["audit_log"]);
    assert_eq!(said["auditTrailEnd"]["hash"].as_str().unwrap().len(), 64);
    for archive in ["archive", "auditArchive"] {
        assert_eq!(said[archive]["sha256"].as_str().unwrap().len(), 64, "{said}");
        assert!(said[archive]["expiresAt"].is_string(), "{said}");
    }
    let not_covered: Vec<&str> =
        said["notCovered"].as_array().unwrap().iter().map(|entry| entry["what"].as_str().unwrap()).collect();
    assert_eq!(
        not_covered,
        ["backups", "archive", "auditArchive", "copies", "tombstone", "logs", "delivered", "memory"]
    );
    assert_eq!(said["notCovered"][3]["tenants"], json!([site.world.b.slug.as_str()]), "who has its keys");
    let horizon = at(&said["notCovered"][0]["until"]) - at(&said["deletion"]["completedAt"]);
    assert_eq!(horizon, chrono::TimeDelta::days(7));
    site.end().await;
}

#[tokio::test]
async fn one_that_was_tampered_with_is_seen_by_everybody() {
    let (site, _) = gone(&[]).await;
    let slug = site.world.a.slug.as_str();
    let command = |arguments: &[&str]| {
        let key = JwtKey::generate("cli").unwrap().to_setting();
        shelfwise(&site.queue.urls, &key, &[&["tenant", "offboard", slug], arguments].concat())
    };
    let printed = command(&["--certificate"]);
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    let signature = String::from_utf8(printed.stdout).unwrap().trim().to_owned();
    let whole: Value = serde_json::from_slice(&command(&["--certificate", "--json"]).stdout).unwrap();
    assert_eq!(whole["signature"], json!(signature));
    assert_eq!(verified(&signature, &whole["publicKey"]).unwrap(), whole["statement"]);
    assert!(site.world.app.services.tokens.verify(&signature, chrono::Utc::now()).is_err(), "it is no token");

    // Somebody with the database at hand makes the shop smaller than it was.
    let mut parts: Vec<String> = signature.split('.').map(str::to_owned).collect();
    let mut forged = whole["statement"].clone();
    forged["destroyed"]["rows"] = json!(0);
    use base64::Engine as _;
    parts[1] = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(forged.to_string());
    let forged = parts.join(".");
    assert!(verified(&forged, &whole["publicKey"]).is_err());
    site.queue.sql(&format!("UPDATE control.offboardings SET certificate = '{forged}'")).await;
    let refused = command(&["--certificate"]);
    assert!(!refused.status.success());
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(told.contains("the certificate was tampered with"), "{told}");
    let answer = site.world.admin().gql(QUERY, json!({ "slug": slug })).await;
    assert_eq!(answer.code(), "INTERNAL_ERROR");
    site.end().await;
}

#[tokio::test]
async fn servers_can_neither_begin_a_deletion_nor_write_a_certificate() {
    let site = Site::start().await;
    site.offboard("gone").await;
    let runtime = crate::harness::cluster::connect(&runtime(&site)).await;
    for update in ["certificate = 'x'", "keys_destroyed_at = now()", "delete_after = now()", "tables_dropped = '{}'"] {
        let error = runtime.batch_execute(&format!("UPDATE control.offboardings SET {update}")).await.unwrap_err();
        assert!(error.as_db_error().unwrap().message().starts_with("permission denied"), "{update}");
    }
    let error = runtime.batch_execute("UPDATE control.offboardings SET status = 'deleting'").await.unwrap_err();
    assert_eq!(error.as_db_error().unwrap().code().code(), "23514", "a check");
    let error = runtime.batch_execute("DELETE FROM control.offboardings").await.unwrap_err();
    assert!(error.as_db_error().unwrap().message().starts_with("permission denied"));
    site.end().await;
}

fn runtime(site: &Site) -> String {
    use secrecy::ExposeSecret as _;
    site.queue.urls.runtime.expose_secret().to_owned()
}
