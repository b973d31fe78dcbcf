//! Squashing: one script that makes what all migrations make, printed from a schema that they have made.
//!
//! Each table is made as it is in the end, in the order of references, so that nothing is altered afterwards: a new
//! tenant costs a third of the time. `{tenant}` stands for the role, which is named as the schema.

use diesel::sql_types::{Nullable, Text};

use super::super::error::DbError;
use super::super::migrate::{Plane, newest_version, replayed_script};
use super::super::owner::{OwnerDb, OwnerTx};
use crate::kernel::tenant::SchemaName;

/// A table's own statements, an index's or a grant's.
#[derive(diesel::QueryableByName)]
struct Statement {
    #[diesel(sql_type = Text)]
    text: String,
}

/// A table that the migrations have put rows into.
#[derive(diesel::QueryableByName)]
struct Filled {
    #[diesel(sql_type = Text)]
    name: String,
    /// Its columns, but those that PostgreSQL fills.
    #[diesel(sql_type = Text)]
    columns: String,
    /// SQL that prints a row as values: ids and times are made anew in each schema.
    #[diesel(sql_type = Text)]
    print: String,
}

#[derive(diesel::QueryableByName)]
struct Values {
    #[diesel(sql_type = Nullable<Text>)]
    rows: Option<String>,
}

/// Tables, each with its columns and constraints, whatever is referred to first.
const TABLES: &str = r"
WITH RECURSIVE relation AS (
    SELECT oid, relname FROM pg_class
    WHERE relnamespace = $1::regnamespace AND relkind = 'r' AND relname <> '__diesel_schema_migrations'
),
reference AS (
    SELECT DISTINCT conrelid, confrelid FROM pg_constraint JOIN relation ON relation.oid = conrelid
    WHERE contype = 'f' AND conrelid <> confrelid
),
depth (oid, depth) AS (
    SELECT oid, 0 FROM relation
    UNION
    SELECT conrelid, depth + 1 FROM depth JOIN reference ON confrelid = depth.oid
),
part (oid, place, number, text) AS (
    SELECT relation.oid, 1, attnum, concat_ws(' ', quote_ident(attname), format_type(atttypid, atttypmod),
        CASE WHEN attgenerated = 's' THEN 'GENERATED ALWAYS AS (' || pg_get_expr(adbin, adrelid) || ') STORED'
            WHEN adbin IS NOT NULL THEN 'DEFAULT ' || pg_get_expr(adbin, adrelid) END,
        CASE WHEN attnotnull THEN 'NOT NULL' END)
    FROM relation JOIN pg_attribute ON attrelid = relation.oid AND attnum > 0 AND NOT attisdropped
    LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    UNION ALL
    SELECT relation.oid, 2, row_number() OVER (ORDER BY position(contype::text IN 'puf'), conname),
        'CONSTRAINT ' || quote_ident(conname) || ' ' || pg_get_constraintdef(c.oid)
    FROM relation JOIN pg_constraint c ON conrelid = relation.oid WHERE contype <> 't'
)
SELECT 'CREATE TABLE ' || quote_ident(relname) || E' (\n    '
    || (SELECT string_agg(text, E',\n    ' ORDER BY place, number) FROM part WHERE part.oid = relation.oid)
    || E'\n);' AS text
FROM relation ORDER BY (SELECT max(depth) FROM depth WHERE depth.oid = relation.oid), relname";

/// Indexes that are no constraint's.
const INDEXES: &str = "
SELECT pg_get_indexdef(indexrelid, 0, true) || ';' AS text
FROM pg_index JOIN pg_class i ON i.oid = indexrelid
WHERE i.relnamespace = $1::regnamespace AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid AND contype IN ('p', 'u', 'x'))
ORDER BY indrelid::regclass::text, i.relname";

/// What the tenant's role may do less than by default, and what it may do to single columns.
const GRANTS: &str = "
WITH relation AS (
    SELECT oid, relname, relacl FROM pg_class
    WHERE relnamespace = $1::regnamespace AND relkind = 'r' AND relname <> '__diesel_schema_migrations'
),
missing AS (
    SELECT relname, privilege, number FROM relation
    CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) WITH ORDINALITY AS wanted (privilege, number)
    WHERE NOT EXISTS (
        SELECT FROM aclexplode(relacl) WHERE privilege_type = privilege AND grantee = $1::regrole)
)
SELECT 'REVOKE ' || string_agg(privilege, ', ' ORDER BY number) || ' ON ' || quote_ident(relname) || ' FROM \"{tenant}\";' AS text
FROM missing GROUP BY relname
UNION ALL
SELECT 'GRANT ' || privilege_type || ' (' || string_agg(quote_ident(attname), ', ' ORDER BY attnum) || ') ON ' || quote_ident(relname)
    || ' TO \"{tenant}\";'
FROM relation JOIN pg_attribute ON attrelid = relation.oid AND attnum > 0, aclexplode(attacl) WHERE grantee = $1::regrole
GROUP BY relname, privilege_type
ORDER BY 1 DESC";

/// Tables that have rows although nobody has worked in the shop.
const FILLED: &str = "
SELECT relname::text AS name, string_agg(quote_ident(attname), ', ' ORDER BY attnum) AS columns,
    string_agg(CASE atttypid WHEN 'uuid'::regtype THEN quote_literal('gen_random_uuid()')
        WHEN 'timestamptz'::regtype THEN quote_literal('now()')
        ELSE 'quote_nullable(' || quote_ident(attname) || ')' END, ' || '', '' || ' ORDER BY attnum) AS print
FROM pg_class c JOIN pg_attribute ON attrelid = c.oid AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
WHERE relnamespace = $1::regnamespace AND relkind = 'r' AND relname <> '__diesel_schema_migrations'
    AND pg_relation_size(c.oid) > 0
GROUP BY relname ORDER BY relname";

/// The script of all migrations, with their newest version in its first line.
///
/// # Errors
/// A migration's failure.
pub async fn squash(owner: &OwnerDb, scratch: &SchemaName) -> Result<String, DbError> {
    let newest = newest_version(Plane::Tenant);
    let script = replayed_script(scratch, owner.runtime_login(), &newest);
    owner
        .rehearse(async |tx: &mut OwnerTx| {
            tx.batch(&script).await?;
            tx.enter_schema(scratch).await?;
            let mut text = format!(
                "-- version {newest}\n-- What the migrations up to this version make, at once: printed by `shelfwise schema baseline`.\n"
            );
            for query in [TABLES, INDEXES, GRANTS] {
                text.push('\n');
                let query = diesel::sql_query(query).bind::<Text, _>(scratch.as_str().to_owned());
                for Statement { text: statement } in tx.load(query).await? {
                    text.push_str(&statement);
                    text.push('\n');
                }
            }
            text.push_str(&rows(tx, scratch).await?);
            // PostgreSQL prints this one as it is, and an editor would not show it.
            Ok(text.replace("'\u{1f}'", r"E'\x1f'"))
        })
        .await
}

/// The rows that the migrations have put in.
async fn rows(tx: &mut OwnerTx, schema: &SchemaName) -> Result<String, DbError> {
    let mut text = String::new();
    let query = diesel::sql_query(FILLED).bind::<Text, _>(schema.as_str().to_owned());
    let filled: Vec<Filled> = tx.load(query).await?;
    for Filled { name, columns, print } in filled {
        let query = format!(r"SELECT string_agg('    (' || {print} || ')', E',\n' ORDER BY ctid) AS rows FROM {name}");
        let rows: Vec<Values> = tx.load(diesel::sql_query(query)).await?;
        if let Some(Values { rows: Some(rows) }) = rows.into_iter().next() {
            text.push_str(&format!("\nINSERT INTO {name} ({columns}) VALUES\n{rows};\n"));
        }
    }
    Ok(text)
}
