//! The certificate: what it says, who can tell that it is true, and what becomes of one that is not.

use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::{Value, json};
use shelfwise::auth::Tokens;
use shelfwise::config::auth::{AuthConfig, JwtKey};
use shelfwise::control::archives::service::{archive_make, tenant_export};
use shelfwise::control::offboarding::certificate::{verified, verified_by};

use super::{GRACE, Site};
use crate::harness::command::shelfwise;
use crate::harness::world::operator;

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
    // And a sandbox was made of shop A, and an archive that somebody wants beside the two.
    let sandbox = format!(
        "INSERT INTO control.admin_audit (id, at, operator, action, target, details)
         VALUES (gen_random_uuid(), now(), 'cli:test', 'tenant.clone', '{1}', '{{\"from\": \"{0}\", \"slug\": \"{1}\"}}')",
        site.world.a.slug, site.world.b.slug
    );
    site.queue.sql(&sandbox).await;
    let app = &site.world.app;
    let asked = tenant_export(&app.control, &*site.clock, &operator(), site.world.a.slug.as_str(), true).await.unwrap();
    archive_make(app.archive_desk(), &app.config.retention, asked.id).await.unwrap().unwrap();
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
    assert_eq!(said["auditTrailEnd"]["unarchived"], 0);
    tells_what_is_left(&site, &said);
    let horizon = at(&said["notCovered"][0]["until"]) - at(&said["deletion"]["completedAt"]);
    assert_eq!(horizon, chrono::TimeDelta::days(7));
    site.end().await;
}

/// That a certificate tells what is left elsewhere.
fn tells_what_is_left(site: &Site, said: &Value) {
    let not_covered: Vec<&str> =
        said["notCovered"].as_array().unwrap().iter().map(|entry| entry["what"].as_str().unwrap()).collect();
    assert_eq!(
        not_covered,
        [
            "backups",
            "archive",
            "auditArchive",
            "otherArchives",
            "copies",
            "sandboxes",
            "tombstone",
            "logs",
            "delivered",
            "memory"
        ]
    );
    let others = said["notCovered"][3]["archives"].as_array().unwrap();
    assert_eq!((others.len(), &others[0]["purpose"]), (1, &json!("export")), "{said}");
    assert!(others[0]["until"].is_string() && others[0]["sha256"].is_string(), "{said}");
    assert_eq!(said["notCovered"][4]["tenants"], json!([site.world.b.slug.as_str()]), "who has its keys");
    assert_eq!(said["notCovered"][5]["tenants"], json!([site.world.b.slug.as_str()]), "who has its books");
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

    // And signs that by a key of their own, which they call ours.
    let own = Tokens::new(&AuthConfig { jwt_keys: vec![JwtKey::generate("test-1").unwrap()] }).unwrap();
    let mut smaller = whole["statement"].clone();
    smaller["destroyed"]["rows"] = json!(0);
    let (signed, key) = own.attest("shelfwise-deletion-certificate+jws", &smaller).unwrap();
    assert_eq!(verified(&signed, &key).unwrap(), smaller, "by itself it is in order");
    let ours = &site.world.app.services.tokens;
    assert!(verified_by(ours, &signed, &key).is_err());
    assert_eq!(verified_by(ours, &signature, &whole["publicKey"]).unwrap(), whole["statement"]);
    let forge = format!("UPDATE control.offboardings SET certificate = '{signed}', certificate_key = '{key}'");
    site.queue.sql(&forge).await;
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

    // In a row of their own as little.
    let (b, slug) = (site.world.b.id.0, &site.world.b.slug);
    let insert = |status: &str, more: &str, values: &str| {
        format!(
            "INSERT INTO control.offboardings (id, tenant_id, slug, status, reason, prior_status, requested_by, requested_at,
                delete_after, archive_id, audit_archive_id, updated_at{more})
             SELECT gen_random_uuid(), '{b}', '{slug}', '{status}', 'x', 'active', 'x', now(), now(), archive_id,
                audit_archive_id, now(){values} FROM control.offboardings"
        )
    };
    let begun = ", keys_destroyed_at, keys_destroyed, audit_sequence";
    let signed = ", certificate, certificate_key, completed_at";
    for (status, more, values) in [
        ("deleting", begun, ", now(), '[]', 0"),
        ("completed", &format!("{begun}{signed}"), ", now(), '[]', 0, 'x', '{}', now()"),
    ] {
        let error = runtime.batch_execute(&insert(status, more, values)).await.unwrap_err();
        assert!(error.as_db_error().unwrap().message().starts_with("permission denied"), "{status}");
        let error = runtime.batch_execute(&insert(status, "", "")).await.unwrap_err();
        assert_eq!(error.as_db_error().unwrap().code().code(), "23514", "{status}");
    }
    assert_eq!(site.queue.ask("SELECT count(*) FROM control.offboardings").await, "1");
    site.end().await;
}

#[tokio::test]
async fn a_deletion_that_nobody_has_begun_destroys_nothing() {
    let mut site = Site::start().await;
    site.offboard("gone").await;
    site.work();
    site.until("waiting").await;
    let before = counts(&site).await;
    // Whoever wrote this had the owner's rights to the book alone: the keys are there.
    let forge = "UPDATE control.offboardings SET status = 'deleting', keys_destroyed_at = now(), keys_destroyed = '[]',
        audit_sequence = 0";
    site.queue.sql(forge).await;
    site.queue.pass_the_time().await;
    site.queue.until("SELECT error LIKE '%has its keys%' FROM control.offboardings", "t").await;
    assert_eq!((site.status().await.as_str(), counts(&site).await), ("deleting", before));
    site.end().await;
}

fn runtime(site: &Site) -> String {
    use secrecy::ExposeSecret as _;
    site.queue.urls.runtime.expose_secret().to_owned()
}
