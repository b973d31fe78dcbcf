//! PostgreSQL's own catalogues: what is to be done for them after very many schemas were made or dropped.
//!
//! Until they are vacuumed and analysed, whatever looks a table up by anything but its key is planned for a database that
//! is a hundredth of this one: `pg_dump` of one tenant takes seconds instead of tenths.

use diesel::sql_types::Bool;

use super::error::DbError;
use super::owner::{OwnerDb, OwnerTx};
use super::statement::statement;

/// Catalogues that grow with every schema.
const OWN: &[&str] = &[
    "pg_class",
    "pg_attribute",
    "pg_attrdef",
    "pg_type",
    "pg_index",
    "pg_constraint",
    "pg_depend",
    "pg_trigger",
    "pg_statistic",
    "pg_namespace",
    "pg_default_acl",
    "pg_init_privs",
];

/// Catalogues that grow with every schema, and are the cluster's.
const SHARED: &[&str] = &["pg_authid", "pg_auth_members", "pg_shdepend"];

/// What was done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vacuumed {
    /// Catalogues that are as they should be now.
    pub done: Vec<&'static str>,
    /// Catalogues that the owner's login may not vacuum: left to autovacuum, or to a superuser.
    pub left: Vec<&'static str>,
}

statement!(
    /// Whether this login may vacuum the database's catalogues, and the cluster's. It would only be warned if not.
    MayVacuum {} -> (Bool, Bool) = "
SELECT may.all_of_it OR pg_catalog.pg_has_role(pg_database.datdba, 'USAGE'), may.all_of_it
FROM pg_catalog.pg_database, (
    SELECT coalesce(bool_or(pg_roles.rolname = current_user AND pg_roles.rolsuper
        -- From PostgreSQL 17 on.
        OR pg_roles.rolname = 'pg_maintain' AND pg_catalog.pg_has_role(pg_roles.oid, 'USAGE')), false) AS all_of_it
    FROM pg_catalog.pg_roles
) AS may
WHERE pg_database.datname = pg_catalog.current_database()"
);

/// Vacuums and analyses the catalogues that grow with the tenants, as far as the owner's login may.
///
/// # Errors
/// The database failed.
pub async fn vacuum(owner: &OwnerDb) -> Result<Vacuumed, DbError> {
    let may = owner.write(async |tx: &mut OwnerTx| tx.load::<_, (bool, bool), _>(MayVacuum {}).await).await?;
    let (own, shared) = may.first().copied().unwrap_or_default();
    let mut vacuumed = Vacuumed::default();
    // Outside of any transaction, as PostgreSQL wants it, and so one by one.
    let held = owner.held().await?;
    for (may, names) in [(own, OWN), (shared, SHARED)] {
        for name in names {
            if may {
                held.batch(&format!("VACUUM (ANALYZE) pg_catalog.{name}")).await?;
                vacuumed.done.push(name);
            } else {
                vacuumed.left.push(name);
            }
        }
    }
    Ok(vacuumed)
}
