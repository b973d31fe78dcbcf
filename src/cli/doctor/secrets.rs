//! Rows about keys and passwords. None of them is told.

use secrecy::ExposeSecret as _;
use url::Url;

use super::Verdict;
use super::facts::Facts;
use crate::cli::keys::vault;
use crate::cli::tenant::databases;
use crate::config::Config;
use crate::config::auth::{DEV_KEY_PREFIX, KeyAlgorithm};
use crate::control::tenants::keys::wrapped;

/// The least bytes of a private RSA key of 2,048 bits, as it is written down; one of 1,024 bits has 610.
const RSA_BYTES_MIN: usize = 1_150;

/// The least letters of a database's password.
const PASSWORD_LEN_MIN: usize = 16;

/// Who signs tokens.
pub(super) fn signing_keys(config: &Config) -> Verdict {
    let keys = &config.auth.jwt_keys;
    let Some(first) = keys.first() else {
        return Verdict::fail("JWT_KEYS is empty", "set JWT_KEYS; the README has the command that makes one");
    };
    if let Some(key) = keys.iter().find(|key| key.id.starts_with(DEV_KEY_PREFIX)) {
        return Verdict::fail(
            format!("`{}` is a key of a developer's machine", key.id),
            "make a key for this installation alone, and put it in front",
        );
    }
    let is_short = |key: &crate::config::auth::JwtKey| {
        key.algorithm == KeyAlgorithm::Rs256 && key.private_der().map_or(0, |der| der.len()) < RSA_BYTES_MIN
    };
    if let Some(key) = keys.iter().find(|key| is_short(key)) {
        return Verdict::fail(
            format!("`{}` is an RSA key of less than 2048 bits", key.id),
            "put a longer key, or one of EdDSA, in its place",
        );
    }
    Verdict::pass(format!("`{}` signs, and {} verify", first.id, keys.len()))
}

/// Who wraps tenants' keys.
pub(super) async fn master_keys(facts: &Facts<'_>) -> Verdict {
    let config = facts.config;
    let keys = &config.crypto.master_keys;
    let Some(first) = keys.first() else {
        return Verdict::fail("there are no master keys", "set MASTER_KEYS or MASTER_KEYS_FILE");
    };
    if let Some(key) = keys.iter().find(|key| key.id.starts_with(DEV_KEY_PREFIX)) {
        return Verdict::fail(
            format!("`{}` is a key of a developer's machine", key.id),
            "make a key for this installation alone, put it in front, and run `shelfwise keys rewrap`",
        );
    }
    if facts.runtime.is_err() {
        return Verdict::unknown("the database does not answer", "mend the row `database` first");
    }
    let (vault, control) = match databases(config) {
        Ok((control, _)) => (vault(config), control),
        Err(error) => return Verdict::unknown(format!("{error:#}"), "mend the row `database` first"),
    };
    let wrapped = match wrapped(&control).await {
        Ok(wrapped) => wrapped,
        Err(error) => return Verdict::unknown(error, "mend the rows about the database first"),
    };
    let missing: Vec<&str> = wrapped.by_master.keys().map(String::as_str).filter(|id| !vault.has_master(id)).collect();
    if !missing.is_empty() {
        return Verdict::fail(
            format!("keys are wrapped by `{}`, which is not here", missing.join("`, `")),
            "put the missing keys back: nothing opens what they wrap but they",
        );
    }
    let others: usize = wrapped.by_master.iter().filter(|(id, _)| **id != first.id).map(|(_, keys)| keys).sum();
    if others > 0 || wrapped.without > 0 {
        return Verdict::warn(
            format!(
                "{others} keys are wrapped by others than `{}`, and {} tenants have none",
                first.id, wrapped.without
            ),
            "run `shelfwise keys rewrap`, and `shelfwise migrate` for tenants that have none",
        );
    }
    if keys.len() == 1 {
        return Verdict::warn(
            format!("`{}` is the only one: no other is known to servers should it leak", first.id),
            "put a second key behind it on every server",
        );
    }
    Verdict::pass(format!("`{}` wraps all keys, and {} unwrap", first.id, keys.len()))
}

/// What the logins are known by.
pub(super) fn passwords(config: &Config) -> Verdict {
    let Some(urls) = &config.database.urls else {
        return Verdict::unknown("DATABASE_URL is not set", "set DATABASE_URL");
    };
    let parsed = |url: &secrecy::SecretString| Url::parse(url.expose_secret()).ok();
    let (runtime, owner) = (parsed(&urls.runtime), urls.owner.as_ref().and_then(parsed));
    let hint = "give each login a password of its own: `openssl rand -hex 24`";
    for url in [&runtime, &owner].into_iter().flatten() {
        let len = url.password().unwrap_or_default().chars().count();
        // Who has none is known by something else: a certificate, or the socket.
        if len > 0 && len < PASSWORD_LEN_MIN {
            return Verdict::fail(
                format!("the password of `{}` has less than {PASSWORD_LEN_MIN} letters", url.username()),
                hint,
            );
        }
    }
    match (runtime, owner) {
        (Some(runtime), Some(owner)) if runtime.username() == owner.username() => Verdict::fail(
            format!("`{}` is both logins: whoever serves requests could change schemas", runtime.username()),
            "make the two logins of deploy/postgres/logins.sql",
        ),
        (Some(runtime), Some(owner)) if runtime.password().is_some() && runtime.password() == owner.password() => {
            Verdict::fail("both logins have the same password", hint)
        }
        (_, None) => Verdict::pass("the runtime login has one; the owner's is not told here"),
        _ => Verdict::pass("both logins have one of their own"),
    }
}
