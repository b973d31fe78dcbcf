//! What PostgreSQL's catalogue knows of a tenant's schema, object by object: to tell whether it is what its migrations
//! make, and to squash them.
//!
//! A definition is as PostgreSQL prints it, with the schema's own name taken out, so that two tenants' objects can be
//! compared. Names are unqualified because the search path is the schema's while it is asked.

pub mod squash;

use std::collections::BTreeMap;

use diesel::sql_types::Text;
use sha2::{Digest as _, Sha256};

use super::error::DbError;
use super::migrate::replayed_script;
use super::owner::{OwnerDb, OwnerTx};
use crate::kernel::tenant::SchemaName;

/// An object of a schema.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, diesel::QueryableByName)]
pub struct Object {
    /// What it is, as `column`.
    #[diesel(sql_type = Text)]
    pub kind: String,
    /// Its name within the schema, as `books.title`.
    #[diesel(sql_type = Text)]
    pub name: String,
    /// How it is made.
    #[diesel(sql_type = Text)]
    pub definition: String,
}

/// How a schema differs from what its migrations make, in one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What it is, as `column`.
    pub kind: String,
    /// Its name within the schema.
    pub name: String,
    /// What the migrations make; `None` where they make no such object.
    pub expected: Option<String>,
    /// What is there; `None` where it is missing.
    pub found: Option<String>,
}

/// Everything that counts: relations with owner and row security, columns in their order, constraints, indexes and
/// whether they are valid, triggers, functions, types, and who may do what.
const OBJECTS: &str = r"
WITH schema AS (SELECT oid, nspname, nspowner, nspacl FROM pg_namespace WHERE nspname = $1),
relation AS (
    SELECT c.* FROM pg_class c JOIN schema ON c.relnamespace = schema.oid WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
),
object (kind, name, definition) AS (
    SELECT 'schema', '', concat_ws(' ', 'owner', pg_get_userbyid(nspowner), nspacl::text) FROM schema
    UNION ALL
    SELECT 'relation', relname, concat_ws(' ', relkind, relpersistence, 'owner', pg_get_userbyid(relowner),
        CASE WHEN relrowsecurity THEN 'row security' END, reloptions::text) FROM relation
    UNION ALL
    SELECT 'column', relname || '.' || a.attname, concat_ws(' ',
        row_number() OVER (PARTITION BY a.attrelid ORDER BY a.attnum), format_type(a.atttypid, a.atttypmod),
        CASE WHEN a.attcollation <> t.typcollation THEN 'COLLATE ' || a.attcollation::regcollation END,
        CASE WHEN a.attnotnull THEN 'NOT NULL' END,
        CASE WHEN a.attgenerated = 's' THEN 'GENERATED' WHEN d.oid IS NOT NULL THEN 'DEFAULT' END,
        pg_get_expr(d.adbin, d.adrelid))
    FROM relation
    JOIN pg_attribute a ON a.attrelid = relation.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN pg_type t ON t.oid = a.atttypid
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE relation.relkind <> 'S'
    UNION ALL
    SELECT 'constraint', relname || '.' || conname, pg_get_constraintdef(pg_constraint.oid)
    FROM pg_constraint JOIN relation ON relation.oid = conrelid
    UNION ALL
    SELECT 'index', i.relname, concat_ws(' ', pg_get_indexdef(i.oid, 0, true), CASE WHEN NOT indisvalid THEN 'INVALID' END)
    FROM pg_index JOIN relation ON relation.oid = indrelid JOIN pg_class i ON i.oid = indexrelid
    UNION ALL
    SELECT 'trigger', relname || '.' || tgname, concat_ws(' ', pg_get_triggerdef(t.oid, true), tgenabled)
    FROM pg_trigger t JOIN relation ON relation.oid = tgrelid WHERE NOT tgisinternal
    UNION ALL
    SELECT 'policy', relname || '.' || polname, concat_ws(' ', polcmd, polpermissive, polroles::regrole[]::text,
        pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid))
    FROM pg_policy JOIN relation ON relation.oid = polrelid
    UNION ALL
    SELECT 'view', relname, pg_get_viewdef(oid) FROM relation WHERE relkind IN ('v', 'm')
    UNION ALL
    SELECT 'function', p.oid::regprocedure::text, concat_ws(' ', CASE WHEN prokind IN ('f', 'p') THEN md5(pg_get_functiondef(p.oid)) END, proacl::text)
    FROM pg_proc p JOIN schema ON pronamespace = schema.oid
    UNION ALL
    SELECT 'type', typname, typtype::text FROM pg_type t JOIN schema ON typnamespace = schema.oid
    WHERE typtype IN ('d', 'e', 'r', 'm') OR typtype = 'c' AND (SELECT relkind FROM pg_class c WHERE c.oid = typrelid) = 'c'
    UNION ALL
    SELECT 'grant', relname, relacl::text FROM relation WHERE relacl IS NOT NULL
    UNION ALL
    SELECT 'grant', relname || '.' || attname, attacl::text
    FROM relation JOIN pg_attribute ON attrelid = relation.oid AND attnum > 0 AND NOT attisdropped WHERE attacl IS NOT NULL
    UNION ALL
    SELECT 'default grant', defaclobjtype::text, defaclacl::text FROM pg_default_acl JOIN schema ON defaclnamespace = schema.oid
)
SELECT kind::text, replace(name::text, $1, '{tenant}') AS name, replace(definition::text, $1, '{tenant}') AS definition
FROM object";

/// Each migration that ran.
const LEDGER: &str =
    "SELECT 'migration' AS kind, version::text AS name, '' AS definition FROM __diesel_schema_migrations";

/// All objects of a schema, in the order of kind and name. The transaction's search path is the schema afterwards.
///
/// # Errors
/// The statement's failure; a schema that does not exist has no objects.
pub async fn objects(tx: &mut OwnerTx, schema: &SchemaName) -> Result<Vec<Object>, DbError> {
    tx.enter_schema(schema).await?;
    let query = diesel::sql_query(OBJECTS).bind::<Text, _>(schema.as_str().to_owned());
    let mut objects: Vec<Object> = tx.load(query).await?;
    // Which migrations ran is told by the ledger, if it is there.
    if objects.iter().any(|object| object.kind == "relation" && object.name == "__diesel_schema_migrations") {
        objects.extend(tx.load::<_, Object, _>(diesel::sql_query(LEDGER)).await?);
    }
    objects.sort();
    Ok(objects)
}

/// What migrations up to a version make of an empty schema: made, read and taken back.
///
/// # Errors
/// A migration's failure.
pub async fn expected(owner: &OwnerDb, version: &str, scratch: &SchemaName) -> Result<Vec<Object>, DbError> {
    let script = replayed_script(scratch, owner.runtime_login(), version);
    owner
        .rehearse(async |tx: &mut OwnerTx| {
            tx.batch(&script).await?;
            objects(tx, scratch).await
        })
        .await
}

/// SHA-256 over all objects, as hexadecimal: equal schemas have equal fingerprints.
#[must_use]
pub fn fingerprint(objects: &[Object]) -> String {
    let mut hash = Sha256::new();
    for Object { kind, name, definition } in objects {
        for part in [kind, name, definition] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
    }
    format!("{:x}", hash.finalize())
}

/// In which objects a schema differs from what was expected of it.
#[must_use]
pub fn differences(expected: &[Object], found: &[Object]) -> Vec<Difference> {
    let by_name = |objects: &[Object]| -> BTreeMap<(String, String), String> {
        let entry = |object: &Object| ((object.kind.clone(), object.name.clone()), object.definition.clone());
        objects.iter().map(entry).collect()
    };
    let (expected, found) = (by_name(expected), by_name(found));
    let names: std::collections::BTreeSet<_> = expected.keys().chain(found.keys()).collect();
    let differs = |key: &&&(String, String)| expected.get(**key) != found.get(**key);
    let difference = |key: &(String, String)| Difference {
        kind: key.0.clone(),
        name: key.1.clone(),
        expected: expected.get(key).cloned(),
        found: found.get(key).cloned(),
    };
    names.iter().filter(differs).map(|key| difference(key)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(kind: &str, name: &str, definition: &str) -> Object {
        Object { kind: kind.to_owned(), name: name.to_owned(), definition: definition.to_owned() }
    }

    #[test]
    fn what_is_missing_other_or_too_much_is_told_by_name() {
        let expected = [object("column", "a.b", "1 text"), object("index", "x", "gin"), object("index", "y", "btree")];
        let found = [object("column", "a.b", "1 text"), object("index", "x", "btree"), object("view", "y", "SELECT 1")];
        let told: Vec<_> = differences(&expected, &found)
            .into_iter()
            .map(|d| (d.kind, d.name, d.expected.is_some(), d.found.is_some()))
            .collect();
        let other = |kind: &str, name: &str, expected, found| (kind.to_owned(), name.to_owned(), expected, found);
        let all = [other("index", "x", true, true), other("index", "y", true, false), other("view", "y", false, true)];
        assert_eq!(told, all);
        assert_eq!(differences(&expected, &expected), []);
    }

    #[test]
    fn a_fingerprint_knows_where_a_name_ends() {
        let a = fingerprint(&[object("column", "ab", "c")]);
        assert_ne!(a, fingerprint(&[object("column", "a", "bc")]));
        assert_eq!(a, fingerprint(&[object("column", "ab", "c")]));
    }
}
