//! Rows of one tenant's table in another's, within PostgreSQL: how a sandbox is filled.
//!
//! The owner's login alone sees two schemas at once. What is spliced into a statement is a schema's name, a name that the
//! catalogue has of a column, or SQL that was written here.

use diesel::sql_types::{Array, Binary, Nullable, Text, Uuid as SqlUuid};
use uuid::Uuid;

use super::error::DbError;
use super::owner::OwnerTx;
use crate::kernel::tenant::SchemaName;

/// A column's other content: its name, and SQL over the row that is copied.
pub type Mask = (&'static str, &'static str);

/// From whom and to whom rows are copied.
#[derive(Debug, Clone, Copy)]
pub struct Between<'a> {
    /// Whose they are.
    pub from: &'a SchemaName,
    /// Who gets them.
    pub to: &'a SchemaName,
}

/// Bytes that are put in the place of what a column has, a row of the table each.
#[derive(Debug)]
pub struct Replaced {
    /// The column.
    pub column: &'static str,
    /// What it gets, in the order of the rows' ids.
    pub values: Vec<Option<Vec<u8>>>,
}

#[derive(diesel::QueryableByName)]
struct Column {
    #[diesel(sql_type = Text)]
    name: String,
}

impl OwnerTx {
    /// Copies a table's rows, but for what is masked, and answers how many there were. What the new schema has in the table
    /// already goes before.
    ///
    /// # Errors
    /// The database failed.
    pub async fn copy_table(
        &mut self,
        between: Between<'_>,
        table: &'static str,
        masks: &[Mask],
    ) -> Result<usize, DbError> {
        let Between { from, to } = between;
        let columns = self.columns(to, table).await?;
        let values: Vec<String> = columns
            .iter()
            .map(|column| match masks.iter().find(|(masked, _)| masked == column) {
                Some((_, sql)) => (*sql).to_owned(),
                None => format!("source.{}", quoted(column)),
            })
            .collect();
        let names: Vec<String> = columns.iter().map(|column| quoted(column)).collect();
        let (names, values) = (names.join(", "), values.join(", "));
        self.batch(&format!(r#"DELETE FROM "{to}"."{table}""#)).await?;
        let copy =
            format!(r#"INSERT INTO "{to}"."{table}" ({names}) SELECT {values} FROM "{from}"."{table}" AS source"#);
        self.execute(diesel::sql_query(copy)).await
    }

    /// Copies some of a table's rows, by their ids, with other bytes in some columns, and answers how many there were.
    ///
    /// # Errors
    /// The database failed.
    pub async fn copy_rows(
        &mut self,
        between: Between<'_>,
        table: &'static str,
        ids: Vec<Uuid>,
        replaced: Vec<Replaced>,
    ) -> Result<usize, DbError> {
        let Between { from, to } = between;
        let columns = self.columns(to, table).await?;
        let values: Vec<String> = columns
            .iter()
            .map(|column| match replaced.iter().position(|one| one.column == column) {
                Some(place) => format!("replaced.value_{place}"),
                None => format!("source.{}", quoted(column)),
            })
            .collect();
        let names: Vec<String> = columns.iter().map(|column| quoted(column)).collect();
        let places: String = (0..replaced.len()).map(|place| format!(", ${}", place + 2)).collect();
        let given: String = (0..replaced.len()).map(|place| format!(", value_{place}")).collect();
        let (names, values) = (names.join(", "), values.join(", "));
        let copy = format!(
            r#"INSERT INTO "{to}"."{table}" ({names}) SELECT {values} FROM "{from}"."{table}" AS source
               JOIN unnest($1{places}) AS replaced (id{given}) ON replaced.id = source.id"#
        );
        let mut copy = diesel::sql_query(copy).into_boxed().bind::<Array<SqlUuid>, _>(ids);
        for one in replaced {
            copy = copy.bind::<Array<Nullable<Binary>>, _>(one.values);
        }
        self.execute(copy).await
    }

    /// Takes over what some columns of a table with one row count.
    ///
    /// # Errors
    /// The database failed.
    pub async fn copy_counts(
        &mut self,
        between: Between<'_>,
        table: &'static str,
        columns: &[&'static str],
    ) -> Result<(), DbError> {
        let Between { from, to } = between;
        let taken: Vec<String> = columns.iter().map(|column| format!("{column} = source.{column}")).collect();
        let taken = taken.join(", ");
        self.batch(&format!(r#"UPDATE "{to}"."{table}" SET {taken} FROM "{from}"."{table}" AS source"#)).await
    }

    /// Keeps these tables from being changed in their form until the transaction ends. Their rows go on changing. To be
    /// called before anything is read: what is read later is of a moment after.
    ///
    /// # Errors
    /// The schema is gone, or its tables are being changed for longer than is waited.
    pub async fn hold_tables(&mut self, schema: &SchemaName, tables: &[&'static str]) -> Result<(), DbError> {
        let tables: Vec<String> = tables.iter().map(|table| format!(r#""{schema}"."{table}""#)).collect();
        self.batch(&format!("LOCK TABLE {} IN ACCESS SHARE MODE", tables.join(", "))).await
    }

    /// The columns of a table that are written, in their order: what is computed from others is not.
    async fn columns(&mut self, schema: &SchemaName, table: &'static str) -> Result<Vec<String>, DbError> {
        let query = diesel::sql_query(
            "SELECT attname::text AS name FROM pg_catalog.pg_attribute
             WHERE attrelid = pg_catalog.to_regclass($1) AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
             ORDER BY attnum",
        )
        .bind::<Text, _>(format!(r#""{schema}"."{table}""#));
        Ok(self.load::<_, Column, _>(query).await?.into_iter().map(|column| column.name).collect())
    }
}

fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}
