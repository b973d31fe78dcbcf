//! `shelfwise deprecation`, and `shelfwise schema check --usage`

use std::process::{Command, Output};

use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use shelfwise::app::owner;
use shelfwise::config::auth::JwtKey;
use shelfwise::config::database::DatabaseUrls;
use shelfwise::db::migrate::migrate_control;

use crate::harness::cluster::{own_database, psql_of};
use crate::harness::command::shelfwise;
use crate::harness::world::master_key;

/// What a command that must succeed prints, an object a line.
fn lines(output: &Output) -> Vec<Value> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Runs `schema check --usage` in a folder.
fn check(urls: &DatabaseUrls, key: &str, folder: &std::path::Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_shelfwise"))
        .args(["schema", "check", "--usage"])
        .env_clear()
        .current_dir(folder)
        .env("DATABASE_URL", urls.runtime.expose_secret())
        .env("JWT_KEYS", key)
        .env("MASTER_KEYS", master_key().to_setting())
        .output()
        .unwrap()
}

#[tokio::test]
async fn an_operator_sees_who_uses_what_and_gives_more_time() {
    let (name, urls) = own_database().await;
    migrate_control(&owner(&urls).unwrap()).await.unwrap();
    let key = JwtKey::generate("test-1").unwrap().to_setting();
    let run = |arguments: &[&str]| shelfwise(&urls, &key, arguments);
    let provision =
        ["tenant", "provision", "acme", "--name", "Acme", "--plan", "free", "--owner-email", "a@b.example", "--json"];
    lines(&run(&provision));
    let psql = psql_of(&name).await;
    psql.batch_execute(
        "INSERT INTO control.deprecated_usage
         SELECT id, 'Book.priceCents', 'Till', 'session', 'till', 7, now(), now() FROM control.tenants",
    )
    .await
    .unwrap();

    let listed = lines(&run(&["deprecation", "list", "--json"]));
    let part = listed.iter().find(|part| part["part"] == "Book.priceCents").unwrap();
    assert_eq!((&part["removalOn"], &part["tenantCount"]), (&json!("2027-07-01"), &json!(1)));
    let used = lines(&run(&["deprecation", "usage", "--json"]));
    assert_eq!(
        (&used[0]["tenant"], &used[0]["part"], &used[0]["count"]),
        (&json!("acme"), &json!("Book.priceCents"), &json!(7))
    );
    assert_eq!(
        lines(&run(&["deprecation", "usage", "--slug", "acme", "--part", "Order.total", "--json"])),
        Vec::<Value>::new()
    );

    let extend = |until: &str| {
        run(&["deprecation", "extend", "acme", "Book.priceCents", "--until", until, "--reason", "late", "--json"])
    };
    let early = extend("2027-07-01");
    assert!(!early.status.success());
    assert!(String::from_utf8_lossy(&early.stderr).contains("goes away on 2027-07-01"));
    assert_eq!(lines(&extend("2027-08-01"))[0]["until"], "2027-08-01");
    assert_eq!(lines(&run(&["deprecation", "extensions", "--json"]))[0]["reason"], "late");
    assert!(run(&["deprecation", "unextend", "acme", "Book.priceCents"]).status.success());
    assert!(!run(&["deprecation", "unextend", "acme", "Book.priceCents"]).status.success());
    let acts = "SELECT string_agg(action, ' ' ORDER BY id) FROM control.admin_audit WHERE action LIKE 'deprecation%'";
    let acts: String = psql.query_one(acts, &[]).await.unwrap().get(0);
    assert_eq!(acts, "deprecation_extension.set deprecation_extension.remove");
}

#[tokio::test]
async fn what_a_tenant_uses_is_not_taken_out_though_its_day_has_come() {
    let (name, urls) = own_database().await;
    migrate_control(&owner(&urls).unwrap()).await.unwrap();
    let key = JwtKey::generate("test-1").unwrap().to_setting();
    let provision = ["tenant", "provision", "acme", "--name", "Acme", "--plan", "free", "--owner-email", "a@b.example"];
    assert!(shelfwise(&urls, &key, &provision).status.success());
    let folder = tempfile::tempdir().unwrap();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in ["schema.graphql", "schema.admin.graphql", "schema.admin.released.graphql", "CHANGELOG.api.md"] {
        std::fs::copy(root.join(file), folder.path().join(file)).unwrap();
    }
    // As if the release had had a field more, whose end was announced and has come.
    let released = std::fs::read_to_string(root.join("schema.released.graphql")).unwrap();
    let more = "type Query {\n  oldTill: Int @deprecated(reason: \"Use `viewer`. Deprecated 2025-01-01. Removal on \
                2025-07-01 UTC.\")\n";
    std::fs::write(folder.path().join("schema.released.graphql"), released.replacen("type Query {\n", more, 1))
        .unwrap();
    let changelog = Command::new(env!("CARGO_BIN_EXE_shelfwise"))
        .args(["schema", "changelog"])
        .env_clear()
        .current_dir(folder.path())
        .status()
        .unwrap();
    assert!(changelog.success());
    let unused = check(&urls, &key, folder.path());
    assert!(unused.status.success(), "{}", String::from_utf8_lossy(&unused.stderr));

    let psql = psql_of(&name).await;
    psql.batch_execute(
        "INSERT INTO control.deprecated_usage
         SELECT id, 'Query.oldTill', 'Till', 'session', 'till', 7, now() - interval '29 days', now() - interval '29 days'
         FROM control.tenants",
    )
    .await
    .unwrap();
    let used = check(&urls, &key, folder.path());
    assert!(!used.status.success());
    let told = String::from_utf8_lossy(&used.stderr).into_owned();
    assert!(told.contains("`Query.oldTill` is used by acme"), "{told}");

    // A month without, and nobody misses it.
    psql.batch_execute("UPDATE control.deprecated_usage SET last_used_at = now() - interval '31 days'").await.unwrap();
    assert!(check(&urls, &key, folder.path()).status.success());
}
