//! Configuration from the environment and `.env`, read once at start.
//!
//! Each area has a struct and a file that opens with its variables. Every problem is reported at once, by the name of
//! its variable; a secret's value is never part of a message. There is no `Default`: what runs was read.

pub mod auth;
pub mod cache;
pub mod crypto;
pub mod database;
pub mod health;
pub mod http;
pub mod jobs;
pub mod limits;
pub mod log;
pub mod mail;
pub mod objects;
pub mod payments;
#[cfg(test)]
mod presets_tests;
pub mod profiling;
pub mod provisioning;
mod reader;
pub mod redis;
pub mod retention;
pub mod settings;
pub mod sockets;
pub mod telemetry;
pub mod webhooks;

use std::fmt;
use std::path::PathBuf;

pub use reader::{ConfigError, Reader};

use crate::outbound::Policy;

/// All settings of a process.
#[derive(Debug, Clone)]
pub struct Config {
    /// What kind of installation this is.
    pub environment: Environment,
    /// Where the development cluster and its keys live (`SHELFWISE_HOME`, `.shelfwise`).
    pub home: PathBuf,
    /// Threads of the async runtime (`WORKER_THREADS`); as many as processors where it is unset.
    pub worker_threads: Option<usize>,
    /// Databases and their limits.
    pub database: database::DatabaseConfig,
    /// How the process tells others of its state.
    pub health: health::HealthConfig,
    /// Addresses and limits of HTTP.
    pub http: http::HttpConfig,
    /// How many sockets there may be.
    pub sockets: sockets::SocketsConfig,
    /// How many jobs run at a time, and how long they are kept.
    pub jobs: jobs::JobsConfig,
    /// Keys that sign and verify tokens.
    pub auth: auth::AuthConfig,
    /// Keys that wrap tenants' keys.
    pub crypto: crypto::CryptoConfig,
    /// Who takes mail, and whom it is from.
    pub mail: mail::MailConfig,
    /// Where archives are kept.
    pub objects: objects::ObjectsConfig,
    /// Who takes payments.
    pub payments: payments::PaymentConfig,
    /// What is made in advance, and who is told of what was made.
    pub provisioning: provisioning::ProvisioningConfig,
    /// How long answers are kept.
    pub cache: cache::CacheConfig,
    /// What replicas share.
    pub redis: redis::RedisConfig,
    /// Who shares tenants' rates.
    pub limits: limits::LimitsConfig,
    /// How webhooks are sent.
    pub webhooks: webhooks::WebhooksConfig,
    /// How long the platform keeps those who leave.
    pub retention: retention::RetentionConfig,
    /// What shops' settings are where nobody has set them for a shop or its plan.
    pub settings: settings::SettingsConfig,
    /// What is logged, and how.
    pub log: log::LogConfig,
    /// What is traced, and where to.
    pub telemetry: telemetry::TelemetryConfig,
    /// Whether operators may take profiles.
    pub profiling: profiling::Profiling,
}

/// What kind of installation this is (`SHELFWISE_ENV`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Environment {
    /// A developer's machine: conveniences on, own keys allowed.
    Development,
    /// A rehearsal of production.
    Staging,
    /// Real shops and real money.
    Production,
}

impl std::str::FromStr for Environment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "development" => Ok(Self::Development),
            "staging" => Ok(Self::Staging),
            "production" => Ok(Self::Production),
            _ => Err("use development, staging or production".to_owned()),
        }
    }
}

impl Environment {
    /// Which of the addresses that tenants chose may be called. What a developer tries out runs on the developer's
    /// machine; elsewhere nothing of this machine or its network is called, and no setting says otherwise.
    #[must_use]
    pub fn outbound(self) -> Policy {
        Policy { allow_loopback: self == Self::Development }
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Development => "development",
            Self::Staging => "staging",
            Self::Production => "production",
        })
    }
}

impl Config {
    /// Reads the environment, and `.env` of the working folder for what the environment does not set.
    ///
    /// # Errors
    /// All problems of all variables at once.
    pub fn from_env() -> Result<Self, ConfigError> {
        // A missing file is the usual case; a malformed one must not be half read.
        match dotenvy::from_path(".env") {
            Ok(()) => {}
            Err(error) if error.not_found() => {}
            // The line may hold a secret, so only its place is told.
            Err(dotenvy::Error::LineParse(_, place)) => {
                return Err(ConfigError::single(".env", &format!("a line is malformed at its character {place}")));
            }
            Err(_) => return Err(ConfigError::single(".env", "the file cannot be read")),
        }
        #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
        Self::from_vars(&|name| std::env::var(name).ok())
    }

    /// Reads the settings through a look-up by variable name.
    ///
    /// # Errors
    /// All problems of all variables at once.
    pub fn from_vars(vars: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(vars);
        let environment = reader.or("SHELFWISE_ENV", Environment::Development);
        let home = reader.or("SHELFWISE_HOME", PathBuf::from(".shelfwise"));
        let config = Self {
            environment,
            objects: objects::ObjectsConfig::read(&mut reader, &home),
            home,
            worker_threads: reader.optional("WORKER_THREADS"),
            database: database::DatabaseConfig::read(&mut reader, environment),
            health: health::HealthConfig::read(&mut reader, environment),
            http: http::HttpConfig::read(&mut reader),
            sockets: sockets::SocketsConfig::read(&mut reader),
            jobs: jobs::JobsConfig::read(&mut reader),
            auth: auth::AuthConfig::read(&mut reader, environment),
            crypto: crypto::CryptoConfig::read(&mut reader, environment),
            mail: mail::MailConfig::read(&mut reader, environment),
            payments: payments::PaymentConfig::read(&mut reader, environment),
            provisioning: provisioning::ProvisioningConfig::read(&mut reader),
            cache: cache::CacheConfig::read(&mut reader, environment),
            redis: redis::RedisConfig::read(&mut reader),
            limits: limits::LimitsConfig::read(&mut reader, environment),
            webhooks: webhooks::WebhooksConfig::read(&mut reader),
            retention: retention::RetentionConfig::read(&mut reader),
            settings: settings::SettingsConfig::read(&mut reader),
            log: log::LogConfig::read(&mut reader, environment),
            telemetry: telemetry::TelemetryConfig::read(&mut reader, environment),
            profiling: profiling::Profiling::read(&mut reader),
        };
        if config.worker_threads == Some(0) {
            reader.problem("WORKER_THREADS", "must be at least 1");
        }
        reader.finish(config)
    }
}

/// Every variable that is read, with its default and its meaning, as a table of Markdown.
pub const TABLE: &str = include_str!("config/variables.md");

/// Every variable that is read, in the order of `.env.example`.
pub const VARIABLES: &[&str] = &[
    "SHELFWISE_ENV",
    "SHELFWISE_HOME",
    "WORKER_THREADS",
    "DATABASE_URL",
    "DATABASE_OWNER_URL",
    "DATABASE_LISTEN_URL",
    "DB_POOL_MAX",
    "DB_CHECKOUT_TIMEOUT_MS",
    "DB_QUEUE_MAX",
    "DB_TENANTS_PER_CONNECTION_MAX",
    "DB_STATEMENT_CACHE",
    "HOST",
    "PORT",
    "TENANT_HOST_SUFFIXES",
    "TRUSTED_PROXIES",
    "CORS_ORIGINS",
    "TRUSTED_DOCUMENTS",
    "REQUEST_TIMEOUT_MS",
    "BODY_BYTES_MAX",
    "HEALTH_INTERVAL_SECONDS",
    "DRAIN_DELAY_MS",
    "ALERTMANAGER_URL",
    "SOCKETS_MAX",
    "SOCKETS_PER_TENANT_MAX",
    "SOCKET_INIT_TIMEOUT_MS",
    "SOCKET_SLOW_TIMEOUT_MS",
    "JOBS_SLOTS",
    "JOBS_PER_TENANT_MAX",
    "JOBS_RETENTION_DAYS",
    "JOBS_DEAD_RETENTION_DAYS",
    "JWT_KEYS",
    "MASTER_KEYS",
    "MASTER_KEYS_FILE",
    "SMTP_URL",
    "MAIL_FROM",
    "APP_URL",
    "PAYMENT_URL",
    "SPARE_SCHEMAS",
    "OPERATIONS_EMAIL",
    "REDIS_URL",
    "REDIS_TIMEOUT_MS",
    "REPLICAS",
    "RATE_HEADROOM",
    "CACHE_TTL_SECONDS",
    "CACHE_MEGABYTES_MAX",
    "WEBHOOK_SLOTS",
    "WEBHOOK_TIMEOUT_SECONDS",
    "WEBHOOK_DRAIN_PER_SECOND",
    "EVENTS_RETENTION_DAYS",
    "WEBHOOK_RETENTION_DAYS",
    "IDEMPOTENCY_RETENTION_HOURS",
    "SETTING_CATALOG_STOCK_LOW",
    "SETTING_ORDERS_QUANTITY_MAX",
    "SETTING_ORDERS_REFUND_DAYS",
    "SETTING_SESSIONS_LIFETIME_DAYS",
    "SETTING_SESSIONS_IDLE_DAYS",
    "SETTING_API_KEYS_LIFETIME_DAYS",
    "SETTING_MAIL_REPLY_TO",
    "SETTING_PAYMENTS_SECRET_KEY",
    "OBJECT_STORE_URL",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_ALLOW_HTTP",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "ARCHIVE_RETENTION_DAYS",
    "ARCHIVE_EVERY_DAYS",
    "AUDIT_RETENTION_YEARS",
    "OFFBOARDING_GRACE_DAYS",
    "BACKUP_HORIZON_DAYS",
    "LOG_LEVEL",
    "LOG_FORMAT",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_SERVICE_NAME",
    "OTEL_TRACES_SAMPLER_ARG",
    "PROFILING",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::settings::Held;

    fn read(vars: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let vars: std::collections::HashMap<String, String> =
            vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Config::from_vars(&|name| {
            assert!(VARIABLES.contains(&name), "{name} is read but not listed");
            vars.get(name).cloned()
        })
    }

    #[test]
    fn defaults_suit_a_developer() {
        let config = read(&[]).unwrap();
        assert_eq!(config.environment, Environment::Development);
        assert_eq!(config.http.port, 8000);
        assert!(config.database.urls.is_none());
    }

    #[test]
    fn development_alone_calls_its_own_machine() {
        // Whatever else is set: no variable has a say in it.
        for (name, allow_loopback) in [("development", true), ("staging", false), ("production", false)] {
            let environment: Environment = name.parse().unwrap();
            assert_eq!(environment.outbound(), Policy { allow_loopback }, "{name}");
        }
    }

    #[test]
    fn every_problem_is_reported_at_once_and_no_secret_is_shown() {
        let error = read(&[
            ("SHELFWISE_ENV", "prod"),
            ("PORT", "99999"),
            ("DB_POOL_MAX", "0"),
            ("JWT_KEYS", "k1:EdDSA:c2VjcmV0"),
            ("MASTER_KEYS", "m1:c2VjcmV0"),
            ("DATABASE_URL", "mysql://app:hunter2@db/shelfwise"),
            ("REDIS_URL", "http://:hunter2@cache/0"),
            ("EVENTS_RETENTION_DAYS", "0"),
            ("SETTING_PAYMENTS_SECRET_KEY", "hunter2 c2VjcmV0"),
        ])
        .unwrap_err()
        .to_string();

        let names = ["SHELFWISE_ENV", "PORT", "DB_POOL_MAX", "JWT_KEYS", "MASTER_KEYS", "DATABASE_URL", "REDIS_URL"];
        for name in names.into_iter().chain(["EVENTS_RETENTION_DAYS", "SETTING_PAYMENTS_SECRET_KEY"]) {
            assert!(error.contains(name), "{name} is missing in:\n{error}");
        }
        assert!(!error.contains("hunter2") && !error.contains("c2VjcmV0"), "a secret is shown in:\n{error}");
    }

    #[test]
    fn production_refuses_development_keys_and_missing_ones() {
        let key = auth::JwtKey::generate("dev-1").unwrap().to_setting();
        let error = read(&[("SHELFWISE_ENV", "production"), ("JWT_KEYS", &key)]).unwrap_err().to_string();
        assert!(error.contains("JWT_KEYS") && error.contains("dev-1"), "{error}");

        let key = crypto::MasterKey::generate("dev-2").unwrap().to_setting();
        let error = read(&[("SHELFWISE_ENV", "production"), ("MASTER_KEYS", &key)]).unwrap_err().to_string();
        assert!(error.contains("MASTER_KEYS: `dev-2`"), "{error}");

        let error = read(&[("SHELFWISE_ENV", "production")]).unwrap_err().to_string();
        assert!(error.contains("JWT_KEYS") && error.contains("MASTER_KEYS"), "{error}");
    }

    #[test]
    fn debug_output_hides_secrets() {
        let key = auth::JwtKey::generate("k1").unwrap().to_setting();
        let master = crypto::MasterKey::generate("m1").unwrap();
        let config = read(&[
            ("DATABASE_URL", "postgres://app:hunter2@db/shelfwise"),
            ("JWT_KEYS", key.as_str()),
            ("MASTER_KEYS", &master.to_setting()),
        ])
        .unwrap();
        let text = format!("{config:?}");
        assert!(!text.contains("hunter2") && !text.contains(key.rsplit(':').next().unwrap()), "{text}");
        assert!(text.contains("MasterKey { id: \"m1\", .. }"), "{text}");
    }

    #[test]
    fn master_keys_come_from_the_environment_or_from_a_file() {
        let keys = ["m2", "m1"].map(|id| crypto::MasterKey::generate(id).unwrap().to_setting());
        let ids = |vars: &[(&str, &str)]| -> Vec<String> {
            read(vars).unwrap().crypto.master_keys.into_iter().map(|key| key.id).collect()
        };
        assert_eq!(ids(&[("MASTER_KEYS", &keys.join(","))]), ["m2", "m1"]);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), keys.join("\n") + "\n").unwrap();
        let path = file.path().to_str().unwrap();
        assert_eq!(ids(&[("MASTER_KEYS_FILE", path)]), ["m2", "m1"]);

        let refused = |vars: &[(&str, &str)], problem: &str| {
            let error = read(vars).unwrap_err().to_string();
            assert!(error.contains(problem) && !error.contains(&keys[0][3..]), "{problem}: {error}");
        };
        refused(&[("MASTER_KEYS", &keys[0]), ("MASTER_KEYS_FILE", path)], "cannot be set beside");
        refused(&[("MASTER_KEYS_FILE", "/nowhere")], "`/nowhere` cannot be read: entity not found");
        refused(&[("MASTER_KEYS", &format!("{},{}", keys[0], keys[0]))], "`m2` is there twice");
        refused(&[("MASTER_KEYS", "m1:AAAA")], "`m1` has 3 bytes; a key has 32");
        refused(&[("MASTER_KEYS", "m1:?")], "`m1` is not base64");
        refused(&[("MASTER_KEYS", "m 1:AAAA")], "must look like ID:BASE64");
    }

    #[test]
    fn the_sample_file_lists_every_variable_in_order() {
        let sample = include_str!("../.env.example");
        let listed: Vec<&str> = sample
            .lines()
            .filter_map(|line| line.trim_start_matches('#').trim().split_once('='))
            .map(|(name, _)| name)
            .filter(|name| name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'))
            .collect();
        assert_eq!(listed, VARIABLES);
    }

    /// Name and default of each row of the table.
    fn rows() -> Vec<(&'static str, &'static str)> {
        let cells = |line: &'static str| {
            let mut cells = line.trim_matches('|').split('|').map(str::trim);
            Some((cells.next()?.trim_matches('`'), cells.next()?))
        };
        TABLE.lines().skip(2).map(|line| cells(line).unwrap()).collect()
    }

    #[test]
    fn the_table_lists_every_variable_in_order_and_is_the_readmes() {
        let names: Vec<&str> = rows().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, VARIABLES);
        assert!(include_str!("../README.md").contains(TABLE), "the README has another table: `shelfwise variables`");
    }

    #[test]
    fn a_default_of_the_table_is_what_holds_where_nothing_is_set() {
        let unset = read(&[]).unwrap();
        let mut count = 0;
        for (name, default) in rows() {
            // Of several, which follow the environment, the first is development's.
            let default = default.split([';', ' ', ',']).next().unwrap_or_default().trim_matches('`');
            let is_value = default.bytes().any(|b| b.is_ascii_digit()) || ["off", "on", "false"].contains(&default);
            if is_value {
                let mut set = read(&[(name, default)]).unwrap();
                // What is a setting has its default where nobody sets it, not even the environment.
                for (setting, held) in set.settings.environment.iter() {
                    let value = setting.default().unwrap();
                    assert_eq!(format!("{held:?}"), format!("{:?}", Held::Plain(value)), "{name} is not {default}");
                }
                set.settings = unset.settings.clone();
                assert_eq!(format!("{set:?}"), format!("{unset:?}"), "{name} is not {default}");
                count += 1;
            }
        }
        assert!(count > 40, "{count}");
    }
}
