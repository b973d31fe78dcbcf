//! Rows of a tenant's tables as JSON, read and written whatever the tables' columns are at the time: for whoever carries a
//! shop elsewhere.
//!
//! Names of tables are the code's, those of columns come from the database's own catalogue, quoted by it: nobody's text is
//! among them.

use diesel::sql_types::{Bool, Nullable, Text};

use super::error::DbError;
use super::statement::statement;
use super::tenant::{TenantRead, TenantTx};

/// Columns of a table that somebody fills, in the order of their bytes.
#[derive(Debug, Clone)]
pub struct Columns(String);

statement!(
    /// The columns of a table that somebody fills, quoted; nothing where there is no such table.
    ColumnList {
        /// The table.
        table: &'static str => Text,
        /// A column that is left out.
        but: Option<&'static str> => Nullable<Text>,
    } -> Nullable<Text> = r#"SELECT string_agg(quote_ident(attname), ', ' ORDER BY attname COLLATE "C")
        FROM pg_catalog.pg_attribute
        WHERE attrelid = to_regclass(quote_ident({})) AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
            AND attname IS DISTINCT FROM {}"#
);

statement!(
    /// Whether the session writes times in UTC and bytes in hexadecimal.
    Settings {} -> Bool = "SELECT current_setting('TimeZone') = 'UTC' AND current_setting('bytea_output') = 'hex'"
);

#[derive(diesel::QueryableByName)]
struct RowText {
    #[diesel(sql_type = Text)]
    row: String,
}

/// Has this transaction write values in one form alone, and wait as long as whoever takes them.
///
/// # Errors
/// The database failed.
pub async fn settings_fix(read: &TenantRead) -> Result<(), DbError> {
    for setting in [
        "SET LOCAL timezone TO 'UTC'",
        "SET LOCAL bytea_output TO 'hex'",
        "SET LOCAL statement_timeout TO 0",
        "SET LOCAL idle_in_transaction_session_timeout TO 0",
    ] {
        read.load::<_, RowText, _>(diesel::sql_query(setting)).await?;
    }
    if read.one(Settings {}).await? { Ok(()) } else { Err(DbError::Other("the session's form is another".to_owned())) }
}

/// The columns of a table but for one; nothing where the schema has no such table.
///
/// # Errors
/// The database failed.
pub async fn column_list(
    read: &TenantRead,
    table: &'static str,
    but: Option<&'static str>,
) -> Result<Option<Columns>, DbError> {
    Ok(read.one::<_, Option<String>, _>(ColumnList { table, but }).await?.map(Columns))
}

/// Opens the transaction's one cursor over a table's rows, in an order.
///
/// # Errors
/// The database failed.
pub async fn cursor_open(
    read: &TenantRead,
    (table, order): (&'static str, &'static str),
    Columns(columns): &Columns,
) -> Result<(), DbError> {
    let declare = format!(
        "DECLARE archive_rows NO SCROLL CURSOR FOR
         SELECT row_to_json(r)::text AS row FROM (SELECT {columns} FROM {table} ORDER BY {order}) AS r"
    );
    read.load::<_, RowText, _>(diesel::sql_query(declare)).await.map(drop)
}

/// The next rows of the cursor, each a line of JSON.
///
/// # Errors
/// The database failed.
pub async fn cursor_next(read: &TenantRead, count: usize) -> Result<Vec<String>, DbError> {
    let rows = read.load::<_, RowText, _>(diesel::sql_query(format!("FETCH {count} FROM archive_rows"))).await?;
    Ok(rows.into_iter().map(|row| row.row).collect())
}

/// Closes the cursor.
///
/// # Errors
/// The database failed.
pub async fn cursor_close(read: &TenantRead) -> Result<(), DbError> {
    read.load::<_, RowText, _>(diesel::sql_query("CLOSE archive_rows")).await.map(drop)
}

/// Removes all rows of a table.
///
/// # Errors
/// The database failed.
pub async fn rows_clear(tx: &mut TenantTx, table: &'static str) -> Result<(), DbError> {
    tx.execute(diesel::sql_query(format!("DELETE FROM {table}"))).await.map(drop)
}

/// Adds rows, a JSON array of objects, to a table, and answers how many.
///
/// # Errors
/// The database failed, or a row is none of the table's.
pub async fn rows_insert(
    tx: &mut TenantTx,
    table: &'static str,
    Columns(columns): &Columns,
    rows: String,
) -> Result<usize, DbError> {
    let insert = format!(
        "INSERT INTO {table} ({columns}) SELECT {columns} FROM json_populate_recordset(NULL::{table}, $1::json)"
    );
    tx.execute(diesel::sql_query(insert).bind::<Text, _>(rows)).await
}

/// Stamps a schema with its head's tenant, where no migration has.
///
/// # Errors
/// The database failed.
pub async fn stamp_insert(tx: &mut TenantTx) -> Result<(), DbError> {
    let insert = "INSERT INTO tenant_stamp (tenant_id) SELECT tenant_id FROM tenant_head ON CONFLICT DO NOTHING";
    tx.execute(diesel::sql_query(insert)).await.map(drop)
}
