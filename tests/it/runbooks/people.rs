//! Owners who cannot get in, credentials in other hands, and keys.

use serde_json::json;

use super::house::House;

#[tokio::test]
async fn owners_who_are_locked_out_and_credentials_that_were_stolen() {
    let house = House::start(&[]).await;
    let schema = house.shop("acme").await;
    locked_out_owner(&house, &schema).await;
    stolen_credential(&house, &schema).await;
}

/// A user's id by the address.
async fn user_id(house: &House, token: &str, email: &str) -> String {
    let data = house.data("/graphql", token, "{ users(first: 100) { nodes { id email } } }").await;
    let users = data["users"]["nodes"].as_array().unwrap();
    users.iter().find(|user| user["email"] == email).unwrap()["id"].as_str().unwrap().to_owned()
}

async fn locked_out_owner(house: &House, schema: &str) {
    let token = house.shop_token("acme").await;
    let mut page = house.page("locked-out-owner");
    let owner = "owner@acme.example";
    page.set("SLUG", "acme").set("SCHEMA", schema).set("EMAIL", owner).set("ADDRESS", "127.0.0.1");
    page.set("NAME", "Ann").set("NEW_EMAIL", "ann@acme.example");
    page.set("USER_ID", user_id(house, &token, owner).await);
    page.says("users(first: 100)", &["\"status\":\"active\"", "\"status\":\"INVITED\"", "Owner"]).await;
    let gql = page.take("users(first: 100)");
    let gql = gql.split("gql '").next().unwrap().lines().skip(1).collect::<Vec<_>>().join("\n");
    page.before(&gql);
    page.says("SELECT schema_name", &[schema]).await;

    // Somebody guesses until the account is blocked.
    let wrong = format!(
        r#"mutation {{ login(input: {{ email: "{owner}", password: "wrong" }}) {{ userErrors {{ code }} }} }}"#
    );
    for _ in 0..10 {
        let request = house.http.post(format!("{}/graphql", house.docker.base_url())).header("x-tenant", "acme");
        request.json(&json!({ "query": wrong })).send().await.unwrap();
    }
    page.says("login_attempts WHERE blocked_until", &["the account, from 127.0.0.1"]).await;
    page.says("DELETE FROM", &["DELETE"]).await;

    page.says("userReinvite", &["\"status\":\"INVITED\"", "\"userErrors\":[]"]).await;
    page.says("passwordResetRequest", &["\"userErrors\":[]"]).await;
    page.says("mail.password_reset", &["available"]).await;
    let made = page.run("--hours 12").await;
    assert_eq!(made.trim().split('.').count(), 3, "{made}");
    // A second owner, so that the first may be disabled.
    let roles = house.data("/graphql", &token, "{ roles { id name } }").await;
    let role = roles["roles"].as_array().unwrap().iter().find(|role| role["name"] == "Owner").unwrap();
    page.set("ROLE_ID", role["id"].as_str().unwrap());
    page.says("userInvite", &["isDefault", "\"userErrors\":[]"]).await;
    let active = format!(r#"UPDATE "{schema}".users SET status = 'active', password_hash = 'x'"#);
    house.exec(&format!("{active} WHERE email_key = 'ann@acme.example'")).await;
    page.says("userDisable", &["\"status\":\"DISABLED\""]).await;
    page.says("userEnable", &["\"status\":\"INVITED\""]).await;
    page.says("UPDATE \"SCHEMA\".users", &["UPDATE 1"]).await;
    house.log("api", "An issuer's keys could not be fetched");
    page.says("identityProvider", &["\"identityProvider\":null", "An issuer's keys could not be fetched"]).await;
    page.says("password: \\\"wrong", &["CREDENTIALS_INVALID"]).await;
    page.end();
}

async fn stolen_credential(house: &House, schema: &str) {
    let mut page = house.page("stolen-credential");
    page.set("SLUG", "acme").set("SCHEMA", schema).set("EMAIL", "ann@acme.example").set("NAME", "Till");
    let gql = page.take("gql() {");
    house.sh(&gql).await;
    page.before(&gql);
    page.says("SELECT schema_name", &[schema]).await;
    let token = house.shop_token("acme").await;

    // A: a key, which works until it is revoked.
    let make = r#"mutation { apiKeyCreate(input: { name: "Till", permissions: [CATALOG_READ] }) {
        apiKey { id } secret userErrors { code message } } }"#;
    let mut secrets = Vec::new();
    for _ in 0..2 {
        let made = house.data("/graphql", &token, make).await["apiKeyCreate"].clone();
        page.set("apikey_ID", made["apiKey"]["id"].as_str().unwrap_or_else(|| panic!("{made}")));
        secrets.push(made["secret"].as_str().unwrap().to_owned());
    }
    let rotated = page.shop("apiKeyRotate", &token).await;
    assert!(rotated["apiKeyRotate"]["secret"].is_string());
    page.says("apiKeyRevoke", &["\"name\":\"Till\"", "\"revokedAt\":\"2"]).await;
    page.says("UPDATE \"SCHEMA\".api_keys", &["UPDATE 1"]).await;
    page.set("CREDENTIAL", &secrets[0]);
    house.until_refused("/graphql", &secrets[0]).await;
    page.says("viewer { permissions }", &["401"]).await;

    // B and C: a user.
    page.says("revocation_reason FROM", &["revocation_reason"]).await;
    house.exec(&format!(r#"UPDATE "{schema}".users SET status = 'active'"#)).await;
    page.set("USER_ID", user_id(house, &token, "ann@acme.example").await);
    page.says("userDisable", &["ann@acme.example", "DISABLED"]).await;
    page.says("actorId", &["\"nodes\":["]).await;
    page.says("'password'", &["UPDATE 0"]).await;
    page.says("password_hash = NULL, updated_at = now() WHERE email_key = 'EMAIL';", &["UPDATE 1", "COMMIT"]).await;
    page.says("identity_providers", &["ann@acme.example"]).await;

    // D: an administrator.
    let (one, other) = (house.admin("one@shelfwise.example").await, house.admin("other@shelfwise.example").await);
    page.set("EMAIL", "one@shelfwise.example");
    page.says("admin disable", &["disabled"]).await;
    page.says("control.admin_sessions", &["UPDATE 1", "COMMIT"]).await;
    let listed = house.sh("shelfwise admin list").await;
    let line = listed.lines().find(|line| line.starts_with("one@shelfwise.example")).unwrap();
    page.set("ADMIN_ID", line.split_whitespace().last().unwrap());
    page.says("operator = 'ADMIN_ID'", &["admin.accept"]).await;
    page.says("SET password_hash = NULL, updated_at = now() WHERE email_key = 'EMAIL' AND", &["UPDATE 1"]).await;
    page.says("adminEnable", &["\"status\":\"INVITED\""]).await;
    page.set("CREDENTIAL", &one);
    house.until_refused("/admin/graphql", &one).await;
    page.says("viewer { name }", &["401"]).await;
    assert!(house.send("/admin/graphql", &other, "{ viewer { name } }").await.get("errors").is_none());

    // E: a login of the database. Another one than the tests' own, whose password is everybody's.
    house.exec("DROP ROLE IF EXISTS runbook_login; CREATE ROLE runbook_login LOGIN").await;
    page.set("LOGIN", "runbook_login").set("NEW_PASSWORD", "abc123");
    page.says("ALTER ROLE", &["ALTER ROLE"]).await;
    page.says("backend_start", &["backend_start"]).await;
    page.end();
}

#[tokio::test]
async fn keys_are_replaced() {
    let house = House::start(&[]).await;
    house.shop("acme").await;
    rotate_signing_keys(&house).await;
    rotate_master_keys(&house).await;
}

/// The setting of a variable in the installation.
async fn setting(house: &House, name: &str) -> String {
    house.sh(&format!("printenv {name}")).await.trim().to_owned()
}

async fn rotate_signing_keys(house: &House) {
    let mut page = house.page("rotate-signing-keys");
    let old = setting(house, "JWT_KEYS").await;
    let admin = house.admin_token().await;
    house.shop_token("acme").await;
    // What an operator's token does leaves a request's id.
    house.data("/admin/graphql", &admin, r#"mutation { tenantSuspend(slug: "acme", reason: "x") { userErrors { code } } tenantResume(slug: "acme") { userErrors { code } } }"#).await;
    page.set("TOKEN", admin);
    page.says("echo 'TOKEN'", &["\"kid\":\"test-1\""]).await;
    page.says("jwks.json", &["test-1:EdDSA", "\"kid\":\"test-1\""]).await;
    let made = page.run("openssl genpkey").await;
    let new: Vec<&str> = made.lines().filter(|line| line.starts_with("2026-11:")).collect();
    assert_eq!(new.len(), 3, "{made}");

    // Each of the three is a key of this program, and the old token is good until its key is gone.
    for (index, key) in new.iter().enumerate() {
        let named = key.replacen("2026-11", &format!("2026-11-{index}"), 1);
        page.before(&format!("export JWT_KEYS='{old},{named}'"));
        page.run("up --detach api").await;
        assert!(
            house.sh("curl -s http://localhost:8000/.well-known/jwks.json").await.contains(&format!("2026-11-{index}"))
        );
    }
    page.before(&format!("export JWT_KEYS='{},{old}'", new[0]));
    page.run("up --detach api").await;
    let verified = page.says("http_code", &["\"kid\":\"2026-11\"", "200"]).await;
    assert!(!verified.contains("401"), "{verified}");
    page.says("action = 'token.tenant'", &["hours"]).await;
    page.says("operator LIKE 'cli:%'", &["tenant.resume"]).await;
    house.docker.up("api", 1, &[("JWT_KEYS".to_owned(), new[0].to_owned())]).unwrap();
    house.until_refused("/admin/graphql", &house.admin_token().await).await;
    page.end();
    house.up("api");
}

async fn rotate_master_keys(house: &House) {
    let mut page = house.page("rotate-master-keys");
    let old = setting(house, "MASTER_KEYS").await;
    page.set("SLUG", "acme");
    page.says("keys status", &["test-1", "first", "2"]).await;
    page.says("echo \"$MASTER_KEYS\"", &["test-1"]).await;
    let new = page.run("openssl rand").await.trim().to_owned();
    page.before(&format!("export MASTER_KEYS='{old},{new}'"));
    page.run("up --detach api").await;
    page.before(&format!("export MASTER_KEYS='{new},{old}'"));
    page.says("keys rewrap", &["2 keys were wrapped anew, by `2026-11`"]).await;
    page.says("keys status", &["2026-11", "first"]).await;
    page.says("tenant rotate-key", &["acme"]).await;
    let trail = page.admin("auditLog").await;
    assert!(
        trail.to_string().contains("tenant.rotate_key") && trail.to_string().contains("tenant.rewrap_keys"),
        "{trail}"
    );
    page.end();
}
