//! `script/smoke-test` against servers that are processes of their own.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Output, Stdio};

use secrecy::ExposeSecret as _;
use serde_json::Value;
use shelfwise::config::auth::JwtKey;
use shelfwise::kernel::actor::Role;

use super::files::path;
use crate::harness::World;
use crate::harness::cluster::shared_urls;
use crate::harness::world::{master_key, user_claims};

/// A running `shelfwise serve`. It is killed when it is dropped.
struct Server {
    child: Child,
    base_url: String,
}

impl Server {
    /// Starts a server over the shared database that signs by a key, and waits until it listens.
    fn start(key: &JwtKey) -> Self {
        let urls = shared_urls();
        let mut child = Command::new(env!("CARGO_BIN_EXE_shelfwise"))
            .arg("serve")
            .env_clear()
            .current_dir(std::env::temp_dir())
            .env("DATABASE_URL", urls.runtime.expose_secret())
            .env("MASTER_KEYS", master_key().to_setting())
            .env("JWT_KEYS", key.to_setting())
            .env("PORT", "0")
            .env("LOG_FORMAT", "json")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = loop {
            let line = lines.next().expect("the server says where it listens").unwrap();
            let entry: Value = serde_json::from_str(&line).unwrap();
            if let Some(address) = entry["http.address"].as_str() {
                break address.to_owned();
            }
        };
        // Whoever does not read on has it wait.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, base_url: format!("http://{address}") }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
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
    let key = JwtKey::generate("test-1").unwrap();
    let world = World::start(&[("JWT_KEYS", &key.to_setting())]).await;
    let token = world.token(&user_claims(&world.a, Role::ReadOnly));
    let server = Server::start(&key);
    let (is_well, told) = smoke(&server.base_url, &token, &[]);
    assert!(is_well, "{told}");
    assert_eq!(told.matches("ok      ").count(), 9, "{told}");

    // Another release than was meant.
    let (is_well, told) = smoke(&server.base_url, &token, &[("EXPECT_COMMIT", "0000000")]);
    assert!(!is_well && told.contains("FAILED  release: "), "{told}");
    assert_eq!(told.matches("FAILED").count(), 1, "{told}");

    // A token that the server does not know, as after keys were mixed up.
    let other = World::start(&[]).await;
    let stranger = other.token(&user_claims(&other.a, Role::ReadOnly));
    let (is_well, told) = smoke(&server.base_url, &stranger, &[]);
    assert!(!is_well && told.contains("FAILED  a query: 401 UNAUTHENTICATED"), "{told}");
    assert!(!told.contains(&stranger), "a token is told");

    // Nobody at home.
    let gone = server.base_url.clone();
    drop(server);
    let (is_well, told) = smoke(&gone, &token, &[]);
    assert!(!is_well && told.contains("FAILED  /health/live: 000"), "{told}");
    assert_eq!(told.matches("ok      ").count(), 1, "but for what is not told anywhere: {told}");
    other.end().await;
    world.end().await;
}
