//! The binary, as an operator runs it.

use std::process::{Command, Output};

use secrecy::ExposeSecret as _;
use shelfwise::config::crypto::MasterKey;
use shelfwise::config::database::DatabaseUrls;

use super::world::master_key;

/// Runs a command in an environment that has nothing but what it is given.
pub fn shelfwise(urls: &DatabaseUrls, key: &str, arguments: &[&str]) -> Output {
    shelfwise_with(urls, key, &[master_key()], arguments)
}

/// The same with other master keys.
pub fn shelfwise_with(urls: &DatabaseUrls, key: &str, master_keys: &[MasterKey], arguments: &[&str]) -> Output {
    let master_keys: Vec<String> = master_keys.iter().map(MasterKey::to_setting).collect();
    Command::new(env!("CARGO_BIN_EXE_shelfwise"))
        .args(arguments)
        .env_clear()
        .current_dir(std::env::temp_dir())
        .env("DATABASE_URL", urls.runtime.expose_secret())
        .env("DATABASE_OWNER_URL", urls.owner.as_ref().unwrap().expose_secret())
        .env("JWT_KEYS", key)
        .env("SPARE_SCHEMAS", "0")
        .env("MASTER_KEYS", master_keys.join(","))
        .output()
        .unwrap()
}
