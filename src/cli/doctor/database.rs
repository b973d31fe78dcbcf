//! Rows about PostgreSQL.

use chrono::{DateTime, TimeDelta, Utc};

use super::Verdict;
use super::facts::{Facts, Side};
use crate::config::Config;
use crate::db::inspection::{Archiver, Fleet, Login, Server};
use crate::db::migrate::{CONTROL_VERSION_MIN, Plane, TENANT_VERSION_MIN, migrations, newest_version};

/// The oldest PostgreSQL that serves, as its version's number.
const VERSION_MIN: i32 = 140_000;

/// How far clocks may be apart before one is told.
const SKEW_TOLD: TimeDelta = TimeDelta::milliseconds(500);

/// How far they may be apart before it is wrong: tokens are valid for minutes, and leases for seconds.
const SKEW_MAX: TimeDelta = TimeDelta::seconds(5);

/// How old the newest file of the archive may be: several times what `archive_timeout` should be.
const ARCHIVED_AGE_MAX: TimeDelta = TimeDelta::hours(1);

/// Locks for each transaction that migrations of a schema with its tables and indexes find room in.
const LOCKS_MIN: i64 = 256;

/// Connections of a process beside its pool: the registry's, two that listen, and the one by which it looks whether it is ready.
const BESIDE: i64 = 4 + 2 + 1;

/// Connections beside them where the owner's login is known.
const BESIDE_OWNER: i64 = 4;

/// What is told of all rows that nobody can answer.
const AWAY: &str = "mend the row `database` first";

/// Attributes that the runtime login has too many of, if any.
const RUNTIME_NEVER: &[&str] = &["SUPERUSER", "CREATEROLE", "CREATEDB", "INHERIT", "REPLICATION", "BYPASSRLS"];

/// Attributes that the owner's login has too many of.
const OWNER_NEVER: &[&str] = &["SUPERUSER", "REPLICATION", "BYPASSRLS"];

/// The runtime login's side, or what is said where it has none.
fn runtime<'f>(facts: &'f Facts<'_>) -> Result<&'f Side, Verdict> {
    facts.runtime.as_ref().map_err(|_| Verdict::unknown("the database does not answer", AWAY))
}

/// What is said where a question could not be answered.
fn unanswered(error: impl std::fmt::Display) -> Verdict {
    Verdict::unknown(error, "see what the database's log says")
}

/// Whether it answers.
pub(super) fn server(facts: &Facts<'_>) -> Verdict {
    match &facts.runtime {
        Err(error) => Verdict::fail(error.clone(), "see that PostgreSQL runs and that DATABASE_URL leads to it"),
        Ok(side) if side.server.version_number < VERSION_MIN => Verdict::fail(
            format!("PostgreSQL {}, and 14 is the oldest that serves", side.server.version),
            "upgrade PostgreSQL",
        ),
        Ok(side) => Verdict::pass(format!("PostgreSQL {}", side.server.version)),
    }
}

/// Whether connections are encrypted.
pub(super) fn tls(facts: &Facts<'_>) -> Verdict {
    let side = match runtime(facts) {
        Ok(side) => side,
        Err(verdict) => return verdict,
    };
    judge_tls(side.server.tls.as_deref(), side.is_verified, side.is_local)
}

fn judge_tls(tls: Option<&str>, is_verified: bool, is_local: bool) -> Verdict {
    let hint = "let DATABASE_URL end with ?sslmode=verify-full&sslrootcert=FILE";
    match (tls, is_verified) {
        (Some(version), true) => Verdict::pass(format!("{version}, by a certificate that is checked")),
        (Some(version), false) => Verdict::warn(
            format!("{version}, and whose certificate it is is not checked: anybody could stand between"),
            hint,
        ),
        (None, _) if is_local => Verdict::pass("without TLS, and on this machine"),
        (None, _) => Verdict::fail("passwords and shops' data pass the network in the clear", hint),
    }
}

/// Whether clocks agree.
pub(super) fn clock(facts: &Facts<'_>) -> Verdict {
    if let Err(verdict) = runtime(facts) {
        return verdict;
    }
    let (apart, hint) = (facts.ahead.abs(), "have both machines set their clocks by NTP");
    let message = format!("{} ms apart", apart.num_milliseconds());
    if apart > SKEW_MAX {
        Verdict::fail(message, hint)
    } else if apart > SKEW_TOLD {
        Verdict::warn(message, hint)
    } else {
        Verdict::pass(message)
    }
}

/// What the runtime login is.
pub(super) async fn runtime_login(facts: &Facts<'_>) -> Verdict {
    let side = match runtime(facts) {
        Ok(side) => side,
        Err(verdict) => return verdict,
    };
    match side.db.login().await {
        Ok(login) => judge_runtime(&login),
        Err(error) => unanswered(error),
    }
}

fn judge_runtime(login: &Login) -> Verdict {
    let hint = "run deploy/postgres/logins.sql, and give what the login owns to the owner's: REASSIGN OWNED BY … TO …";
    let too_many: Vec<&str> = excess(login, RUNTIME_NEVER);
    if !too_many.is_empty() {
        return Verdict::fail(format!("`{}` is {}", login.name, too_many.join(", ")), hint);
    }
    if login.owned > 0 {
        return Verdict::fail(format!("`{}` owns {} objects", login.name, login.owned), hint);
    }
    Verdict::pass(format!("`{}` is NOCREATEROLE NOINHERIT, and owns nothing", login.name))
}

/// Those attributes of a login that it must not have.
fn excess<'l>(login: &'l Login, never: &[&str]) -> Vec<&'l str> {
    login.attributes.iter().map(String::as_str).filter(|attribute| never.contains(attribute)).collect()
}

/// What the owner's login is.
pub(super) async fn owner_login(facts: &Facts<'_>) -> Verdict {
    let side = match &facts.owner {
        None => {
            return Verdict::unknown(
                "DATABASE_OWNER_URL is not set here",
                "run this where `shelfwise migrate` is run, with the owner's URL",
            );
        }
        Some(Err(error)) => {
            return Verdict::fail(
                error.clone(),
                "see that DATABASE_OWNER_URL leads to the same database as DATABASE_URL",
            );
        }
        Some(Ok(side)) => side,
    };
    match side.db.login().await {
        Ok(login) => judge_owner(&login),
        Err(error) => unanswered(error),
    }
}

fn judge_owner(login: &Login) -> Verdict {
    let hint = "run deploy/postgres/logins.sql";
    let too_many = excess(login, OWNER_NEVER);
    if !too_many.is_empty() {
        return Verdict::fail(format!("`{}` is {}", login.name, too_many.join(", ")), hint);
    }
    if !login.attributes.iter().any(|attribute| attribute == "CREATEROLE") {
        return Verdict::fail(format!("`{}` is not CREATEROLE: no tenant can be made", login.name), hint);
    }
    if !login.owns_control {
        return Verdict::fail(
            format!("`{}` does not own the schema `control`", login.name),
            "run `shelfwise migrate` as the owner",
        );
    }
    if !login.owns_database {
        return Verdict::warn(
            format!("`{}` does not own the database: it cannot vacuum its catalogues", login.name),
            hint,
        );
    }
    Verdict::pass(format!("`{}` makes roles, owns `control`, and is no superuser", login.name))
}

/// What both logins find without a tenant, and how long they are let go on.
pub(super) fn empty_path(facts: &Facts<'_>) -> Verdict {
    if let Err(verdict) = runtime(facts) {
        return verdict;
    }
    let sides =
        [("runtime", facts.runtime.as_ref().ok()), ("owner's", facts.owner.as_ref().and_then(|o| o.as_ref().ok()))];
    let hint = "run deploy/postgres/logins.sql";
    for (whose, server) in sides.into_iter().filter_map(|(whose, side)| Some((whose, &side?.server))) {
        if let Some(problem) = path_problem(server) {
            return Verdict::fail(format!("of the {whose} login {problem}"), hint);
        }
    }
    match &facts.runtime {
        Ok(side) if side.server.statement_timeout_ms == 0 || side.server.idle_timeout_ms == 0 => Verdict::warn(
            "it is empty, and nothing bounds how long the runtime login's statements and idle transactions take",
            hint,
        ),
        _ => Verdict::pass("it is empty"),
    }
}

fn path_problem(server: &Server) -> Option<String> {
    if !server.path.trim_matches('"').is_empty() {
        return Some(format!("it is {}", server.path));
    }
    let is_english =
        matches!(server.lc_messages.as_str(), "C" | "C.UTF-8" | "POSIX") || server.lc_messages.starts_with("en");
    (!is_english)
        .then(|| format!("messages are in {}: errors are told apart by PostgreSQL's words", server.lc_messages))
}

/// What the runtime login may do too much.
pub(super) async fn wall(facts: &Facts<'_>) -> Verdict {
    let side = match runtime(facts) {
        Ok(side) => side,
        Err(verdict) => return verdict,
    };
    match side.db.holes().await {
        Ok(holes) if holes.is_empty() => Verdict::pass("what would lead out of it is revoked"),
        Ok(holes) => Verdict::fail(
            format!("the runtime login has {}", holes.join(", ")),
            "run deploy/postgres/logins.sql in this database as a superuser: it is due after each restore",
        ),
        Err(error) => unanswered(error),
    }
}

/// What the runtime login may do too little, which nothing but a metric depends on.
pub(super) async fn backend_memory(facts: &Facts<'_>) -> Verdict {
    let side = match runtime(facts) {
        Ok(side) => side,
        Err(verdict) => return verdict,
    };
    match side.db.lacks().await {
        Ok(lacks) if lacks.is_empty() => Verdict::pass("the runtime login may ask for it"),
        Ok(lacks) => Verdict::warn(
            format!("the runtime login has no {}", lacks.join(", ")),
            "run deploy/postgres/logins.sql in this database as a superuser: it is due after each restore",
        ),
        Err(error) => unanswered(error),
    }
}

/// Where extensions are.
pub(super) async fn extensions(facts: &Facts<'_>) -> Verdict {
    let side = match runtime(facts) {
        Ok(side) => side,
        Err(verdict) => return verdict,
    };
    match side.db.misplaced_extensions().await {
        Ok(found) if found.is_empty() => Verdict::pass("none is needed, and none is in the way"),
        Ok(found) => Verdict::fail(found.join(", "), "move each: ALTER EXTENSION … SET SCHEMA ext"),
        Err(error) => unanswered(error),
    }
}

/// How far the control plane is.
pub(super) async fn control_migrations(facts: &Facts<'_>) -> Verdict {
    let side = match runtime(facts) {
        Ok(side) => side,
        Err(verdict) => return verdict,
    };
    let hint = "run `shelfwise migrate` of this release";
    match side.db.control_versions().await {
        Ok(versions) => judge_control(&versions),
        Err(error) => Verdict::fail(format!("no version is told: {error}"), hint),
    }
}

fn judge_control(versions: &[String]) -> Verdict {
    let hint = "run `shelfwise migrate` of this release";
    let newest = versions.last().map_or("no version", String::as_str);
    let ours = migrations(Plane::Control);
    let missing: Vec<&str> =
        ours.iter().map(|m| m.version.as_str()).filter(|version| !versions.iter().any(|had| had == version)).collect();
    if missing.iter().any(|version| *version <= CONTROL_VERSION_MIN) {
        return Verdict::fail(format!("it is at {newest} and lacks {}", missing.join(", ")), hint);
    }
    if !missing.is_empty() {
        return Verdict::warn(format!("it is at {newest}, which serves, and lacks {}", missing.join(", ")), hint);
    }
    Verdict::pass(format!("it is at {newest}"))
}

/// How far the tenants are.
pub(super) async fn tenant_migrations(facts: &Facts<'_>) -> Verdict {
    let side = match runtime(facts) {
        Ok(side) => side,
        Err(verdict) => return verdict,
    };
    match side.db.fleet().await {
        Ok(fleet) => judge_fleet(&fleet),
        Err(error) => {
            Verdict::fail(format!("the registry cannot be read: {error}"), "run `shelfwise migrate` of this release")
        }
    }
}

fn judge_fleet(fleet: &Fleet) -> Verdict {
    let hint = "run `shelfwise migrate`; `shelfwise migrate status` tells how far a run is";
    let newest = newest_version(Plane::Tenant);
    match fleet {
        Fleet { too_old: 1.., .. } => Verdict::fail(
            format!(
                "{} of {} tenants are older than {TENANT_VERSION_MIN} and are not served",
                fleet.too_old, fleet.tenants
            ),
            hint,
        ),
        Fleet { run: Some(state), .. } => Verdict::warn(
            format!("a run is {state}, and {} of {} tenants are behind", fleet.behind, fleet.tenants),
            hint,
        ),
        Fleet { behind: 1.., .. } => Verdict::warn(
            format!("{} of {} tenants are older than {newest}, and served", fleet.behind, fleet.tenants),
            hint,
        ),
        _ => Verdict::pass(format!("all {} tenants are at {newest}", fleet.tenants)),
    }
}

/// Whether indexes are of use.
pub(super) async fn indexes(facts: &Facts<'_>) -> Verdict {
    let side = match runtime(facts) {
        Ok(side) => side,
        Err(verdict) => return verdict,
    };
    match side.db.invalid_indexes().await {
        Ok(names) if names.is_empty() => {
            Verdict::pass("all indexes of ours are valid; `shelfwise tenant drift` tells whether one is missing")
        }
        Ok(names) => Verdict::fail(
            format!("invalid: {}", names.join(", ")),
            "see that no migration is making them just now, then REINDEX INDEX CONCURRENTLY each",
        ),
        Err(error) => unanswered(error),
    }
}

/// Whether there are connections for everybody.
pub(super) fn connections(facts: &Facts<'_>) -> Verdict {
    let side = match runtime(facts) {
        Ok(side) => side,
        Err(verdict) => return verdict,
    };
    let reserved: i64 = ["superuser_reserved_connections", "reserved_connections"]
        .map(|name| facts.number(name).unwrap_or(0))
        .iter()
        .sum();
    let Some(max) = facts.number("max_connections") else {
        return Verdict::unknown("the server does not tell max_connections", "see what it is for");
    };
    let bounds = side.server.connection_limits.iter().filter(|limit| **limit >= 0).map(|limit| i64::from(*limit));
    judge_connections(facts.config, bounds.fold(max - reserved, i64::min))
}

fn judge_connections(config: &Config, usable: i64) -> Verdict {
    let has_owner = config.database.urls.as_ref().is_some_and(|urls| urls.owner.is_some());
    let beside = if has_owner { BESIDE + BESIDE_OWNER } else { BESIDE };
    let each = i64::from(config.database.pool_max) + beside;
    let servers = i64::from(config.limits.replicas);
    // A worker listens for its bell beside. How many there are is nobody's setting; without one nothing is done.
    let needed = servers * each + each + 1;
    let told = format!("{servers} servers and a worker take up to {needed} connections of {usable}");
    let hint =
        "lower DB_POOL_MAX, or raise max_connections; tell all servers by REPLICAS, and leave room for more workers";
    if needed > usable {
        Verdict::fail(told, hint)
    } else if needed * 5 > usable * 4 {
        Verdict::warn(told, hint)
    } else {
        Verdict::pass(told)
    }
}

/// Whether the lock table has room.
pub(super) fn lock_table(facts: &Facts<'_>) -> Verdict {
    match facts.number("max_locks_per_transaction") {
        Some(locks) if locks >= LOCKS_MIN => Verdict::pass(format!("max_locks_per_transaction is {locks}")),
        Some(locks) => Verdict::fail(
            format!("max_locks_per_transaction is {locks}"),
            "set max_locks_per_transaction to 256 and restart PostgreSQL",
        ),
        None => Verdict::unknown("the server does not tell", AWAY),
    }
}

/// Whether what is committed is on the disk.
pub(super) fn durability(facts: &Facts<'_>) -> Verdict {
    if let Err(verdict) = runtime(facts) {
        return verdict;
    }
    let is = |name: &str, wrong: &str| facts.settings.get(name).is_some_and(|value| value == wrong);
    let off: Vec<&str> =
        ["fsync", "full_page_writes", "synchronous_commit"].into_iter().filter(|name| is(name, "off")).collect();
    if off.is_empty() {
        return Verdict::pass("fsync, full_page_writes and synchronous_commit are on");
    }
    Verdict::fail(format!("off: {}", off.join(", ")), "switch them on: orders that were confirmed could be lost")
}

/// Whether the write-ahead log is kept.
pub(super) async fn backups(facts: &Facts<'_>) -> Verdict {
    let side = match runtime(facts) {
        Ok(side) => side,
        Err(verdict) => return verdict,
    };
    let Some(mode) = facts.settings.get("archive_mode") else {
        return Verdict::unknown(
            "the server does not tell archive_mode",
            "see what your provider keeps, and try a restore",
        );
    };
    match side.db.archiver().await {
        Ok(archiver) => judge_backups(mode, &archiver, side.server.now),
        Err(error) => Verdict::unknown(error, "see what your provider keeps, and try a restore"),
    }
}

fn judge_backups(mode: &str, archiver: &Archiver, now: DateTime<Utc>) -> Verdict {
    let hint = "set archive_mode, archive_command and archive_timeout, make a base backup, and try a restore";
    if mode == "off" {
        return Verdict::fail("archive_mode is off: nothing but dumps is there to restore from", hint);
    }
    let Some(archived_at) = archiver.archived_at else {
        return Verdict::fail("archive_mode is on, and nothing was archived yet", hint);
    };
    let age = now - archived_at;
    if archiver.failed_at.is_some_and(|failed_at| failed_at > archived_at) {
        return Verdict::fail(
            format!("archiving fails; it last succeeded {} minutes ago", age.num_minutes()),
            "see archive_command in PostgreSQL's log: until it succeeds the disk fills",
        );
    }
    if age > ARCHIVED_AGE_MAX {
        return Verdict::warn(
            format!("the last file was archived {} minutes ago", age.num_minutes()),
            "set archive_timeout, so that quiet hours are archived as well",
        );
    }
    Verdict::pass(format!("a file was archived {} minutes ago", age.num_minutes()))
}

#[cfg(test)]
#[path = "database_tests.rs"]
mod tests;
