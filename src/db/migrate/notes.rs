//! What a migration's files say of themselves in comments.
//!
//! - `-- no transaction` in the first line: statements that PostgreSQL does not run in one, `CREATE` and `DROP INDEX
//!   CONCURRENTLY`. Each is run by itself and may be run again.
//! - `-- after backfill: VERSION`: a schema waits with this migration until that one's backfill is done in it.
//! - `-- allow: RULE: why` before a statement: it may break that rule of [`check`](super::check).

use std::borrow::Cow;

use super::Migration;
use super::split::{Statement, statements, without_first};

/// Which way a schema goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To a newer version.
    Up,
    /// Back.
    Down,
}

/// What is done to an index outside of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IndexChange {
    /// It is built.
    Create(String),
    /// It is dropped.
    Drop(String),
}

impl Direction {
    /// The text that the database stores.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

impl Migration {
    /// The statements for a direction.
    #[must_use]
    pub fn sql(&self, direction: Direction) -> &str {
        match direction {
            Direction::Up => &self.up,
            Direction::Down => &self.down,
        }
    }

    /// Whether the statements for a direction run in a transaction.
    #[must_use]
    pub fn is_transactional(&self, direction: Direction) -> bool {
        is_transactional(self.sql(direction))
    }

    /// Whether it validates a constraint: that reads a whole table, so no lock of an earlier migration is held meanwhile.
    #[must_use]
    pub fn validates(&self, direction: Direction) -> bool {
        let sql = self.sql(direction);
        // Few do, and taking a file apart is not free.
        sql.to_ascii_uppercase().contains("VALIDATE") && statements(sql).iter().any(validates)
    }

    /// The version whose backfill must be done before this migration runs.
    #[must_use]
    pub fn after_backfill(&self) -> Option<&str> {
        self.up.lines().find_map(|line| line.trim().strip_prefix("-- after backfill:")).map(str::trim)
    }
}

/// Whether a statement validates a constraint.
pub(super) fn validates(statement: &Statement) -> bool {
    statement.words.windows(2).any(|pair| pair == ["VALIDATE", "CONSTRAINT"])
}

/// Whether a file runs in a transaction.
#[must_use]
pub fn is_transactional(sql: &str) -> bool {
    sql.lines().next().is_none_or(|line| line.trim() != "-- no transaction")
}

/// A file as it runs in a transaction: where nobody else sees the schema yet, an index need not be built beside others'
/// work.
#[must_use]
pub(super) fn within_transaction(sql: &str) -> Cow<'_, str> {
    if is_transactional(sql) {
        return Cow::Borrowed(sql);
    }
    // The last statement may lack its end, and what follows is not ours.
    Cow::Owned(without_first(sql, "CONCURRENTLY") + "\n;\n")
}

/// The statements of a file that runs outside of a transaction, with what each does to which index; `None` for what is
/// neither.
#[must_use]
pub fn index_changes(sql: &str) -> Vec<(String, Option<IndexChange>)> {
    statements(sql)
        .into_iter()
        .map(|statement| (index_change(&statement), statement.text))
        .map(|(a, b)| (b, a))
        .collect()
}

/// What a statement does to which index beside others' work.
pub(super) fn index_change(statement: &Statement) -> Option<IndexChange> {
    let words: Vec<&str> = statement.words.iter().map(String::as_str).collect();
    // A name without quotes is folded to lower case, as PostgreSQL does.
    let name = |word: &str| {
        let is_name = word.starts_with('"') || word.chars().all(|c| c.is_alphanumeric() || c == '_') && word != "ON";
        let plain =
            word.strip_prefix('"').and_then(|word| word.strip_suffix('"')).map(|word| word.replace("\"\"", "\""));
        is_name.then(|| plain.unwrap_or_else(|| word.to_lowercase()))
    };
    match words.as_slice() {
        ["CREATE", "UNIQUE", "INDEX", "CONCURRENTLY", "IF", "NOT", "EXISTS", index, "ON", ..]
        | ["CREATE", "INDEX", "CONCURRENTLY", "IF", "NOT", "EXISTS", index, "ON", ..]
        | ["CREATE", "UNIQUE", "INDEX", "CONCURRENTLY", index, "ON", ..]
        | ["CREATE", "INDEX", "CONCURRENTLY", index, "ON", ..] => name(index).map(IndexChange::Create),
        ["DROP", "INDEX", "CONCURRENTLY", "IF", "EXISTS", index] | ["DROP", "INDEX", "CONCURRENTLY", index] => {
            name(index).map(IndexChange::Drop)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_told_by_its_name() {
        let check = |sql: &str, expected: Option<IndexChange>| {
            assert_eq!(index_change(&statements(sql)[0]), expected, "{sql}");
        };
        let create = |name: &str| Some(IndexChange::Create(name.to_owned()));
        check("CREATE INDEX CONCURRENTLY Books_idx ON books (title)", create("books_idx"));
        check("create unique index concurrently if not exists x on books (title)", create("x"));
        check("CREATE INDEX CONCURRENTLY \"Odd \"\"one\" ON books (title)", create("Odd \"one"));
        check("CREATE INDEX CONCURRENTLY ON books (title)", None);
        check("CREATE INDEX x ON books (title)", None);
        check("DROP INDEX CONCURRENTLY IF EXISTS x", Some(IndexChange::Drop("x".to_owned())));
        check("DROP INDEX CONCURRENTLY x, y", None);
        check("DROP INDEX x", None);
    }

    #[test]
    fn a_new_schema_builds_its_indexes_in_its_own_transaction() {
        let sql = "-- no transaction\n-- Why.\nCREATE INDEX CONCURRENTLY x\n    ON books (title);\n-- More.\nDROP INDEX CONCURRENTLY y;";
        let plain = "-- no transaction\n-- Why.\nCREATE INDEX  x\n    ON books (title);\n-- More.\nDROP INDEX  y;\n;\n";
        assert_eq!(within_transaction(sql), plain);
        let sql = "-- no transaction\nCREATE INDEX CONCURRENTLY x -- not CONCURRENTLY here; for\n    ON books (a, concurrently)\n    WHERE b = '-- CONCURRENTLY';";
        let plain = "-- no transaction\nCREATE INDEX  x -- not CONCURRENTLY here; for\n    ON books (a, concurrently)\n    WHERE b = '-- CONCURRENTLY';\n;\n";
        assert_eq!(within_transaction(sql), plain, "one word goes, and the rest is as it was");
        assert_eq!(within_transaction("CREATE TABLE x ();"), "CREATE TABLE x ();");
    }
}
