//! `script/smoke-test` against servers that are processes of their own.

use std::process::{Command, Output};

use secrecy::ExposeSecret as _;
use shelfwise::config::auth::JwtKey;
use shelfwise::kernel::actor::Role;

use super::files::path;
use crate::harness::World;
use crate::harness::cluster::shared_urls;
use crate::harness::process::{Process, nothing};
use crate::harness::world::{master_key, user_claims};

/// Starts a server over the shared database that signs by a key.
async fn server(key: &str) -> Process<()> {
    let settings = [
        ("DATABASE_URL", shared_urls().runtime.expose_secret().to_owned()),
        ("MASTER_KEYS", master_key().to_setting()),
        ("JWT_KEYS", key.to_owned()),
        ("PORT", "0".to_owned()),
        ("LOG_FORMAT", "json".to_owned()),
    ];
    Process::start("serve", &settings, nothing).await
}

/// Runs the script, and answers whether it found all well, and what it said.
fn smoke(url: &str, token: &str, settings: &[(&str, &str)]) -> (bool, String) {
    let Output { status, stdout, stderr } = Command::new(path("script/smoke-test"))
        .arg(url)
        .env("SMOKE_TOKEN", token)
        .envs(settings.iter().copied())
        .output()
        .unwrap();
    (status.success(), String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap())
}

#[tokio::test]
async fn a_server_that_is_well_passes_and_what_is_wrong_is_told() {
    let key = JwtKey::generate("test-1").unwrap().to_setting();
    let world = World::start(&[("JWT_KEYS", &key)]).await;
    let token = world.token(&user_claims(&world.a, Role::ReadOnly));
    let server = server(&key).await;
    let url = server.url("");
    let (is_well, told) = smoke(&url, &token, &[]);
    assert!(is_well, "{told}");
    assert_eq!(told.matches("ok      ").count(), 9, "{told}");

    // Another release than was meant.
    let (is_well, told) = smoke(&url, &token, &[("EXPECT_COMMIT", "0000000")]);
    assert!(!is_well && told.contains("FAILED  release: "), "{told}");
    assert_eq!(told.matches("FAILED").count(), 1, "{told}");

    // A token that the server does not know, as after keys were mixed up.
    let other = World::start(&[]).await;
    let stranger = other.token(&user_claims(&other.a, Role::ReadOnly));
    let (is_well, told) = smoke(&url, &stranger, &[]);
    assert!(!is_well && told.contains("FAILED  a query: 401 UNAUTHENTICATED"), "{told}");
    assert!(!told.contains(&stranger), "a token is told");

    // Nobody at home.
    drop(server);
    let (is_well, told) = smoke(&url, &token, &[]);
    assert!(!is_well && told.contains("FAILED  /health/live: 000"), "{told}");
    assert_eq!(told.matches("ok      ").count(), 1, "but for what is not told anywhere: {told}");
    other.end().await;
    world.end().await;
}
