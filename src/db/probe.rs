//! Tries what must not be possible: statements of one tenant that name another's schema or the registry.
//!
//! Each attempt runs in a transaction of its own, which is rolled back whatever happens.

use super::error::DbError;
use super::tenant::{TenantDb, TenantTx};
use crate::kernel::tenant::{SchemaName, TenantCtx};
use std::sync::Arc;

/// An attempt that was not denied as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach {
    /// What was tried.
    pub attempt: &'static str,
    /// What came of it: that it succeeded, or an error that is no denial.
    pub outcome: String,
}

/// What is tried, `{other}` being another tenant's schema.
const ATTEMPTS: &[(&str, &str)] = &[
    ("read another tenant's books", r#"SELECT 1 FROM "{other}".books LIMIT 1"#),
    ("read another tenant's users", r#"SELECT 1 FROM "{other}".users LIMIT 1"#),
    ("change another tenant's books", r#"UPDATE "{other}".books SET stock = stock"#),
    ("remove another tenant's books", r#"DELETE FROM "{other}".books"#),
    ("make a table in another tenant's schema", r#"CREATE TABLE "{other}".probe ()"#),
    ("make a table in one's own schema", "CREATE TABLE probe ()"),
    ("make a temporary table", "CREATE TEMPORARY TABLE probe ()"),
    ("read the registry", "SELECT 1 FROM control.tenants LIMIT 1"),
    ("change the registry", "UPDATE control.tenants SET status = status"),
    ("read the jobs", "SELECT 1 FROM control.jobs LIMIT 1"),
    ("forge a job", "INSERT INTO control.jobs (id, kind, payload) VALUES (gen_random_uuid(), 'probe', '{}')"),
    ("switch the role within a statement", "SELECT set_config('role', '{other}', true)"),
    ("run a statement within a statement", "SELECT query_to_xml('SELECT 1', true, false, '')"),
    ("switch the role by a view", "UPDATE pg_settings SET setting = '{other}' WHERE name = 'role'"),
    ("read the administrators", "SELECT 1 FROM control.admins LIMIT 1"),
    ("empty another tenant's books", r#"TRUNCATE "{other}".books"#),
    ("run a block of code", "DO $$ BEGIN PERFORM 1; END $$"),
    ("restamp one's own schema", "UPDATE tenant_stamp SET tenant_id = gen_random_uuid()"),
    ("remove one's own stamp", "DELETE FROM tenant_stamp"),
    ("change one's own trail", "UPDATE audit_log SET actor = actor"),
    ("remove one's own trail", "DELETE FROM audit_log"),
    ("read the anchors of trails", "SELECT 1 FROM control.audit_anchors LIMIT 1"),
];

/// How many attempts [`probe`] makes.
pub const ATTEMPTS_COUNT: usize = ATTEMPTS.len();

/// Makes every attempt as one tenant against another and answers those that were not denied.
///
/// # Errors
/// The database cannot be asked.
pub async fn probe(tenants: &TenantDb, tenant: &Arc<TenantCtx>, other: &SchemaName) -> Result<Vec<Breach>, DbError> {
    let mut breaches = Vec::new();
    for (attempt, sql) in ATTEMPTS {
        let statement = diesel::sql_query(sql.replace("{other}", other.as_str()));
        let session = tenants.session(Arc::clone(tenant));
        let work = async |tx: &mut TenantTx| {
            // The outcome travels as an error, so that even an attempt that succeeds is rolled back.
            Err::<(), _>(Outcome::Tried(tx.execute(statement).await))
        };
        let outcome = match session.write(work).await {
            Ok(()) | Err(Outcome::Tried(Ok(_))) => "it succeeded".to_owned(),
            Err(Outcome::Tried(Err(DbError::Denied(_)))) => continue,
            Err(Outcome::Tried(Err(error))) if !error.is_unavailable() => error.to_string(),
            Err(Outcome::Tried(Err(error)) | Outcome::NotTried(error)) => return Err(error),
        };
        breaches.push(Breach { attempt, outcome });
    }
    Ok(breaches)
}

/// The outcome of an attempt.
enum Outcome {
    /// It was made.
    Tried(Result<usize, DbError>),
    /// It was not: who could not even enter their own schema proves nothing of the wall.
    NotTried(DbError),
}

impl From<DbError> for Outcome {
    fn from(error: DbError) -> Self {
        Self::NotTried(error)
    }
}
