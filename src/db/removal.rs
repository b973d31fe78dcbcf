//! Taking a tenant's schema down, in steps that need few locks: a tenant has more relations than the lock table has room for
//! in very many transactions at once.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text};

use super::error::DbError;
use super::migrate::quoted;
use super::owner::OwnerTx;
use super::statement::statement;
use crate::kernel::tenant::SchemaName;

/// How many rows there are.
#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

statement!(
    /// The tables of a schema, those first that no other table refers to; of the same, in the order of their names. A
    /// partition goes with its table.
    Tables { schema: String => Text } -> Text = "
SELECT tables.relname::text FROM pg_catalog.pg_class AS tables
JOIN pg_catalog.pg_namespace ON pg_namespace.oid = tables.relnamespace
WHERE pg_namespace.nspname = {} AND tables.relkind IN ('r', 'p') AND NOT tables.relispartition
ORDER BY (
    SELECT count(*) FROM pg_catalog.pg_constraint
    WHERE pg_constraint.confrelid = tables.oid AND pg_constraint.contype = 'f' AND pg_constraint.conrelid <> tables.oid
), tables.relname"
);

statement!(
    /// Whether there is a schema or a role of a name.
    Stands { name: String => Text } -> Bool = "
SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE pg_namespace.nspname = {})
    OR EXISTS (SELECT FROM pg_catalog.pg_roles WHERE pg_roles.rolname = $1)"
);

impl OwnerTx {
    /// The names of a schema's tables, in an order in which they can be dropped.
    ///
    /// # Errors
    /// The database failed.
    pub async fn tables(&mut self, schema: &SchemaName) -> Result<Vec<String>, DbError> {
        self.load(Tables { schema: schema.as_str().to_owned() }).await
    }

    /// Drops a table of a schema, with what depends on it, and answers how many rows it had.
    ///
    /// # Errors
    /// [`DbError::Cancelled`] where somebody else has the table in use; or the database failed.
    pub async fn table_drop(&mut self, schema: &SchemaName, table: &str) -> Result<i64, DbError> {
        let table = format!("\"{schema}\".{}", quoted(table));
        // Locked before it is counted: nobody adds a row in between.
        self.batch(&format!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")).await?;
        let count = self.count(&table).await?;
        self.batch(&format!("DROP TABLE {table} CASCADE")).await?;
        Ok(count)
    }

    /// How many rows a table of a schema has.
    ///
    /// # Errors
    /// There is no such table; or the database failed.
    pub async fn rows(&mut self, schema: &SchemaName, table: &str) -> Result<i64, DbError> {
        self.count(&format!("\"{schema}\".{}", quoted(table))).await
    }

    async fn count(&mut self, table: &str) -> Result<i64, DbError> {
        let counts: Vec<Count> = self.load(diesel::sql_query(format!("SELECT count(*) AS count FROM {table}"))).await?;
        Ok(counts.first().map_or(0, |row| row.count))
    }

    /// Whether a tenant's schema or its role is there.
    ///
    /// # Errors
    /// The database failed.
    pub async fn has_schema_or_role(&mut self, schema: &SchemaName) -> Result<bool, DbError> {
        Ok(self.load(Stands { name: schema.as_str().to_owned() }).await?.contains(&true))
    }

    /// Drops a schema without tables, with what is left in it, and its role: with them go the role's default privileges and
    /// who was a member of it.
    ///
    /// # Errors
    /// The role has something elsewhere; or the database failed.
    pub async fn schema_drop(&mut self, schema: &SchemaName) -> Result<(), DbError> {
        self.batch(&format!(r#"DROP SCHEMA IF EXISTS "{schema}" CASCADE; DROP ROLE IF EXISTS "{schema}""#)).await
    }
}
