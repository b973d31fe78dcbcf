//! Rows about settings, keys and PostgreSQL.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use chrono::TimeDelta;
use secrecy::ExposeSecret as _;
use shelfwise::app::owner;
use shelfwise::cli::doctor::{Status, examine};
use shelfwise::config::auth::JwtKey;
use shelfwise::config::crypto::MasterKey;
use shelfwise::config::database::DatabaseUrls;
use shelfwise::db::migrate::{CONTROL_VERSION_MIN, migrate_control};
use shelfwise::kernel::clock::SystemClock;
use std::sync::Arc;

use super::{check, finding, of_row};
use crate::harness::World;
use crate::harness::clock::TestClock;
use crate::harness::cluster::{own_database, psql_of, shared_urls};
use crate::harness::world::{config, config_over, master_key};

/// A migrated database of a test's own, with a superuser's connection to it.
async fn database() -> (String, DatabaseUrls, tokio_postgres::Client) {
    let (name, urls) = own_database().await;
    migrate_control(&owner(&urls).unwrap()).await.unwrap();
    let psql = psql_of(&name).await;
    (name, urls, psql)
}

/// A URL with another login, whose password is as long as it should be.
fn with_login(url: &secrecy::SecretString, login: &str) -> String {
    let (_, place) = url.expose_secret().split_once('@').unwrap();
    format!("postgres://{login}:a-password-that-is-long@{place}")
}

/// Makes a login that may connect, with an empty search path.
async fn login(psql: &tokio_postgres::Client, name: &str, attributes: &str) {
    let make = format!(
        "CREATE ROLE {name} LOGIN NOINHERIT {attributes} PASSWORD 'a-password-that-is-long';
         ALTER ROLE {name} SET search_path = ''; GRANT USAGE ON SCHEMA control TO {name}"
    );
    psql.batch_execute(&make).await.unwrap();
}

#[tokio::test]
async fn settings_are_those_of_an_installation() {
    check(&finding(&config(&[]), "settings").await, Status::Fail, "development");
    let staging = [("SHELFWISE_ENV", "staging")];
    check(&finding(&config(&staging), "settings").await, Status::Warn, "TRUSTED_PROXIES");
    let behind = [("SHELFWISE_ENV", "staging"), ("TRUSTED_PROXIES", "10.0.0.0/8")];
    check(&finding(&config(&behind), "settings").await, Status::Pass, "staging");
}

#[tokio::test]
async fn keys_are_an_installations_own_and_long() {
    let signing = async |keys: &str| finding(&config(&[("JWT_KEYS", keys)]), "signing-keys").await;
    let key = |id| JwtKey::generate(id).unwrap().to_setting();
    check(&signing(&key("k1")).await, Status::Pass, "`k1` signs, and 1 verify");
    check(&signing(&format!("{},{}", key("k1"), key("dev-1"))).await, Status::Fail, "`dev-1`");
    check(&signing("").await, Status::Fail, "empty");
    // PKCS #8 around what a key of 1,024 bits takes.
    let oid = [0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];
    let private = [&[4, 0x82, 0x02, 0x58][..], &[0; 600]].concat();
    let inner = [&[2, 1, 0][..], &oid, &private].concat();
    let short = [&[0x30, 0x82][..], &u16::try_from(inner.len()).unwrap().to_be_bytes(), &inner].concat();
    let short = format!("r1:RS256:{}", BASE64.encode(short));
    check(&signing(&short).await, Status::Fail, "less than 2048 bits");
}

#[tokio::test]
async fn tenants_keys_are_wrapped_by_keys_that_are_here() {
    let (world, _) = World::start_alone(Arc::new(SystemClock), &[]).await;
    let urls = world.app.config.database.urls.clone().unwrap();
    let with = async |keys: &[MasterKey]| {
        let keys: Vec<String> = keys.iter().map(MasterKey::to_setting).collect();
        finding(&config_over(&urls, &[("MASTER_KEYS", &keys.join(","))]), "master-keys").await
    };
    let other = MasterKey::generate("m2").unwrap();
    check(&with(&[master_key()]).await, Status::Warn, "the only one");
    check(&with(&[master_key(), other.clone()]).await, Status::Pass, "`test-1` wraps all keys, and 2 unwrap");
    check(&with(&[other.clone(), master_key()]).await, Status::Warn, "wrapped by others than `m2`");
    check(&with(&[other]).await, Status::Fail, "wrapped by `test-1`, which is not here");
    check(&with(&[MasterKey::generate("dev-1").unwrap()]).await, Status::Fail, "developer's machine");
    world.end().await;
}

#[tokio::test]
async fn each_login_has_a_long_password_of_its_own() {
    // Both logins of a developer's cluster share one.
    check(&finding(&config(&[]), "passwords").await, Status::Fail, "the same password");
    let urls = |runtime: &'static str, owner: &'static str| {
        config(&[("DATABASE_URL", runtime), ("DATABASE_OWNER_URL", owner)])
    };
    let of = async |runtime, owner| finding(&urls(runtime, owner), "passwords").await;
    let nowhere = "postgres://a:0123456789abcdef@127.0.0.1:1/d";
    let short = of("postgres://a:short@127.0.0.1:1/d", nowhere).await;
    check(&short, Status::Fail, "`a` has less than 16 letters");
    assert!(!short.verdict.message.contains("short"), "{short:?}");
    check(&of(nowhere, "postgres://a:fedcba9876543210@127.0.0.1:1/d").await, Status::Fail, "is both logins");
    check(&of(nowhere, "postgres://b:fedcba9876543210@127.0.0.1:1/d").await, Status::Pass, "one of their own");
}

#[tokio::test]
async fn without_a_database_one_row_fails_and_what_hangs_on_it_is_not_known() {
    let nowhere = "postgres://ann:0123456789abcdef@127.0.0.1:1/none?sslmode=disable";
    let findings = examine(&config(&[("DATABASE_URL", nowhere)]), &SystemClock).await;
    check(&of_row(findings.clone(), "database"), Status::Fail, "unreachable");
    for row in ["database-tls", "clock", "runtime-login", "search-path", "wall", "extensions", "indexes"] {
        check(&of_row(findings.clone(), row), Status::Warn, "not known");
    }
    for row in [
        "backups",
        "backend-memory",
        "control-migrations",
        "tenant-migrations",
        "connections",
        "lock-table",
        "durability",
        "master-keys",
    ] {
        check(&of_row(findings.clone(), row), Status::Warn, "not known");
    }
    assert!(!format!("{findings:?}").contains("0123456789abcdef"), "{findings:?}");
}

#[tokio::test]
async fn a_clock_that_is_wrong_is_told() {
    let clock = TestClock::default();
    let config = config(&[]);
    check(&of_row(examine(&config, &clock).await, "clock"), Status::Pass, "ms apart");
    clock.advance(TimeDelta::seconds(2));
    check(&of_row(examine(&config, &clock).await, "clock"), Status::Warn, "ms apart");
    clock.advance(TimeDelta::seconds(8));
    check(&of_row(examine(&config, &clock).await, "clock"), Status::Fail, "ms apart");
}

#[tokio::test]
async fn logins_are_what_they_should_be() {
    let (name, urls, psql) = database().await;
    check(&finding(&config_over(&urls, &[]), "runtime-login").await, Status::Pass, "`shelfwise` is NOCREATEROLE");
    check(&finding(&config_over(&urls, &[]), "owner-login").await, Status::Pass, "`shelfwise_owner` makes roles");

    let role = format!("doctor_{name}");
    login(&psql, &role, "CREATEROLE").await;
    let as_runtime = with_login(&urls.runtime, &role);
    let of_runtime = async || finding(&config_over(&urls, &[("DATABASE_URL", &as_runtime)]), "runtime-login").await;
    check(&of_runtime().await, Status::Fail, "CREATEROLE");
    psql.batch_execute(&format!("ALTER ROLE {role} NOCREATEROLE; CREATE SCHEMA mine AUTHORIZATION {role}"))
        .await
        .unwrap();
    check(&of_runtime().await, Status::Fail, "owns 1 objects");
    psql.batch_execute("DROP SCHEMA mine").await.unwrap();
    check(&of_runtime().await, Status::Pass, "owns nothing");

    let as_owner = with_login(urls.owner.as_ref().unwrap(), &role);
    let of_owner = async || finding(&config_over(&urls, &[("DATABASE_OWNER_URL", &as_owner)]), "owner-login").await;
    check(&of_owner().await, Status::Fail, "not CREATEROLE");
    psql.batch_execute(&format!("ALTER ROLE {role} CREATEROLE")).await.unwrap();
    check(&of_owner().await, Status::Fail, "does not own the schema `control`");
    psql.batch_execute(&format!("ALTER ROLE {role} SUPERUSER")).await.unwrap();
    check(&of_owner().await, Status::Fail, "SUPERUSER");
    psql.batch_execute(&format!("ALTER ROLE {role} NOLOGIN")).await.unwrap();
    check(&of_owner().await, Status::Fail, "not permitted to log in");
    psql.batch_execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await.unwrap();
}

#[tokio::test]
async fn no_login_finds_tables_without_a_tenant() {
    let (name, urls, psql) = database().await;
    let of = async || finding(&config_over(&urls, &[]), "search-path").await;
    check(&of().await, Status::Pass, "it is empty");
    // For this database alone, so that nobody else notices.
    for (role, whose) in [("shelfwise", "runtime"), ("shelfwise_owner", "owner's")] {
        psql.batch_execute(&format!("ALTER ROLE {role} IN DATABASE {name} SET search_path = public")).await.unwrap();
        check(&of().await, Status::Fail, &format!("of the {whose} login it is public"));
        psql.batch_execute(&format!("ALTER ROLE {role} IN DATABASE {name} RESET search_path")).await.unwrap();
    }
    psql.batch_execute(&format!("ALTER ROLE shelfwise IN DATABASE {name} SET statement_timeout = 0")).await.unwrap();
    check(&of().await, Status::Warn, "nothing bounds");
}

#[tokio::test]
async fn a_hole_in_the_wall_is_found() {
    let (name, urls, psql) = database().await;
    let of = async || finding(&config_over(&urls, &[]), "wall").await;
    check(&of().await, Status::Pass, "revoked");
    for (open, close, hole) in [
        (
            "GRANT EXECUTE ON FUNCTION set_config TO PUBLIC",
            "REVOKE EXECUTE ON FUNCTION set_config FROM PUBLIC",
            "set_config",
        ),
        ("GRANT USAGE ON LANGUAGE plpgsql TO PUBLIC", "REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC", "plpgsql"),
        ("GRANT USAGE ON SCHEMA public TO PUBLIC", "REVOKE USAGE ON SCHEMA public FROM PUBLIC", "USAGE on public"),
        (
            &format!("GRANT TEMPORARY ON DATABASE {name} TO PUBLIC"),
            &format!("REVOKE TEMPORARY ON DATABASE {name} FROM PUBLIC"),
            "TEMPORARY on the database",
        ),
    ] {
        psql.batch_execute(open).await.unwrap();
        check(&of().await, Status::Fail, hole);
        psql.batch_execute(close).await.unwrap();
    }
    check(&of().await, Status::Pass, "revoked");
}

#[tokio::test]
async fn a_login_that_may_not_ask_for_memory_is_found() {
    let (_, urls, psql) = database().await;
    let of = async || finding(&config_over(&urls, &[]), "backend-memory").await;
    check(&of().await, Status::Pass, "may ask for it");
    let function = "FUNCTION pg_catalog.pg_get_backend_memory_contexts()";
    psql.batch_execute(&format!("REVOKE EXECUTE ON {function} FROM shelfwise")).await.unwrap();
    let lacking = of().await;
    check(&lacking, Status::Warn, "no EXECUTE on pg_get_backend_memory_contexts");
    assert!(lacking.verdict.hint.unwrap().contains("logins.sql"), "{lacking:?}");
    psql.batch_execute(&format!("GRANT EXECUTE ON {function} TO shelfwise")).await.unwrap();
    check(&of().await, Status::Pass, "may ask for it");
}

#[tokio::test]
async fn an_extension_among_tables_and_an_index_that_does_not_count_are_found() {
    let (_, urls, psql) = database().await;
    let of = async |row| finding(&config_over(&urls, &[]), row).await;
    check(&of("extensions").await, Status::Pass, "none");
    check(&of("indexes").await, Status::Pass, "valid");
    // What comes of CREATE EXTENSION without a schema, and of an index build that was broken off.
    psql.batch_execute(
        "SET allow_system_table_mods = on;
         UPDATE pg_extension SET extnamespace = 'public'::regnamespace WHERE extname = 'plpgsql';
         UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'control.tenants_pkey'::regclass",
    )
    .await
    .unwrap();
    check(&of("extensions").await, Status::Fail, "plpgsql in public");
    check(&of("indexes").await, Status::Fail, "control.tenants_pkey");
}

#[tokio::test]
async fn schemas_are_as_the_release_needs_them() {
    let (world, name) = World::start_alone(Arc::new(SystemClock), &[]).await;
    let (urls, psql) = (world.app.config.database.urls.clone().unwrap(), psql_of(&name).await);
    let of = async |row| finding(&config_over(&urls, &[]), row).await;
    check(&of("tenant-migrations").await, Status::Pass, "all 2 tenants");
    check(&of("control-migrations").await, Status::Pass, "it is at");
    let older = "UPDATE control.tenants SET schema_version = '20261124000001' WHERE id = $1";
    psql.execute(older, &[&world.a.id.0]).await.unwrap();
    check(&of("tenant-migrations").await, Status::Fail, "1 of 2 tenants");
    let remove = format!("DELETE FROM control.__diesel_schema_migrations WHERE version = '{CONTROL_VERSION_MIN}'");
    psql.batch_execute(&remove).await.unwrap();
    check(&of("control-migrations").await, Status::Fail, CONTROL_VERSION_MIN);
    psql.batch_execute("DROP VIEW control.schema_versions").await.unwrap();
    check(&of("control-migrations").await, Status::Fail, "no version is told");
    world.end().await;
}

#[tokio::test]
async fn a_server_that_is_set_up_for_tests_is_none_for_production() {
    let (name, urls, psql) = database().await;
    let of = async |settings: &[(&str, &str)], row| finding(&config_over(&urls, settings), row).await;
    // The cluster of the tests forgets in a crash what it has confirmed, and archives nothing.
    check(&of(&[], "durability").await, Status::Fail, "fsync, full_page_writes, synchronous_commit");
    check(&of(&[], "backups").await, Status::Fail, "archive_mode is off");
    check(&of(&[], "lock-table").await, Status::Pass, "256");
    check(&of(&[], "database").await, Status::Pass, "PostgreSQL 1");
    check(&of(&[], "database-tls").await, Status::Pass, "on this machine");
    check(&of(&[("DB_POOL_MAX", "10")], "connections").await, Status::Pass, "1 servers and a worker take up to 43");
    check(&of(&[("DB_POOL_MAX", "10"), ("REPLICAS", "20")], "connections").await, Status::Fail, "442");
    // Fewer than the server takes, where the database or the login has a bound of its own.
    psql.batch_execute(&format!("ALTER DATABASE {name} CONNECTION LIMIT 30")).await.unwrap();
    check(&of(&[("DB_POOL_MAX", "10")], "connections").await, Status::Fail, "43 connections of 30");
}

#[tokio::test]
async fn whose_owner_is_not_told_here_is_not_judged() {
    let mut config = config(&[]);
    let urls = DatabaseUrls { owner: None, ..shared_urls() };
    config.database.urls = Some(urls);
    check(&finding(&config, "owner-login").await, Status::Warn, "not known: DATABASE_OWNER_URL");
    check(&finding(&config, "passwords").await, Status::Pass, "the owner's is not told here");
}
