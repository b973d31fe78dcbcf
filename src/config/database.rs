//! - `DATABASE_URL`: the runtime login. Unset: `shelfwise dev` starts a cluster of its own.
//! - `DATABASE_OWNER_URL`: the login that owns schemas, makes roles and migrates.
//! - `DATABASE_LISTEN_URL` (`DATABASE_URL`): a direct way to PostgreSQL where a pooler stands between.
//! - `DB_POOL_MAX` (10; 20 in production): the most connections for tenants' operations.
//! - `DB_CHECKOUT_TIMEOUT_MS` (2000): how long an operation waits for a connection.
//! - `DB_QUEUE_MAX` (1000): the most operations that wait for a connection; one tenant's are half of them at most.
//! - `DB_TENANTS_PER_CONNECTION_MAX` (300): a connection is retired after it has served so many tenants.
//! - `DB_STATEMENT_CACHE` (on): whether statements stay prepared between transactions. `off` behind a pooler that keeps no
//!   named statements, such as PgBouncer before 1.21 in transaction mode.

use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use super::{Environment, Reader};

/// Databases and their limits.
#[derive(Debug, Clone)]
pub struct DatabaseConfig {
    /// Where PostgreSQL is; `None` where nothing is set.
    pub urls: Option<DatabaseUrls>,
    /// The most connections for tenants' operations.
    pub pool_max: u32,
    /// How long an operation waits for a connection before it is refused.
    pub checkout_timeout: Duration,
    /// The most operations that wait for a connection.
    pub queue_max: usize,
    /// A connection is retired after it has served so many tenants: a backend never frees what it learnt of a schema.
    pub tenants_per_connection_max: usize,
    /// Whether the runtime login's statements stay prepared between transactions.
    pub statement_cache: bool,
}

/// The logins of one database.
#[derive(Debug, Clone)]
pub struct DatabaseUrls {
    /// The runtime login: owns nothing.
    pub runtime: SecretString,
    /// The login that owns schemas; only commands and mutations that change schemas need it.
    pub owner: Option<SecretString>,
    /// A direct connection for LISTEN.
    pub listen: SecretString,
}

impl DatabaseConfig {
    /// Reads the variables of this file.
    pub fn read(reader: &mut Reader<'_>, environment: Environment) -> Self {
        let pool_max = match environment {
            Environment::Development | Environment::Staging => 10,
            Environment::Production => 20,
        };
        let runtime = url(reader, "DATABASE_URL");
        let owner = url(reader, "DATABASE_OWNER_URL");
        let listen = url(reader, "DATABASE_LISTEN_URL");
        if reader.text("DATABASE_URL").is_none() && (owner.is_some() || listen.is_some()) {
            reader.problem("DATABASE_URL", "must be set beside DATABASE_OWNER_URL and DATABASE_LISTEN_URL");
        }
        Self {
            urls: runtime.map(|runtime| DatabaseUrls {
                listen: listen.unwrap_or_else(|| runtime.clone()),
                runtime,
                owner,
            }),
            pool_max: reader.at_least_one("DB_POOL_MAX", pool_max),
            checkout_timeout: reader.millis("DB_CHECKOUT_TIMEOUT_MS", 2_000),
            queue_max: usize::from(reader.at_least_one("DB_QUEUE_MAX", 1_000_u16)),
            tenants_per_connection_max: usize::from(reader.at_least_one("DB_TENANTS_PER_CONNECTION_MAX", 300_u16)),
            statement_cache: statement_cache(reader),
        }
    }
}

/// Whether statements stay prepared.
fn statement_cache(reader: &mut Reader<'_>) -> bool {
    match reader.text("DB_STATEMENT_CACHE").as_deref() {
        None | Some("on") => true,
        Some("off") => false,
        Some(_) => {
            reader.problem("DB_STATEMENT_CACHE", "must be on or off");
            true
        }
    }
}

/// A PostgreSQL URL. It holds a password, so a problem does not quote it.
fn url(reader: &mut Reader<'_>, name: &str) -> Option<SecretString> {
    let text = reader.text(name)?;
    match Url::parse(&text) {
        Ok(url) if matches!(url.scheme(), "postgres" | "postgresql") => Some(text.into()),
        _ => {
            reader.problem(name, "must look like postgres://USER:PASSWORD@HOST:PORT/DATABASE");
            None
        }
    }
}
