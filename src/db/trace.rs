//! Spans of what PostgreSQL is asked: the text of a statement, and none of its values. Nothing is made of it where nothing is traced.

use diesel::pg::{Pg, PgQueryBuilder};
use diesel::query_builder::{QueryBuilder as _, QueryFragment};
use tracing::Span;
use tracing::field::Empty;

use super::error::DbError;
use crate::detail;
use crate::telemetry::traces;

/// The most characters of a statement's text that are told.
const TEXT_LEN_MAX: usize = 4_000;

/// The span of a statement. Its values are bound, so its text has none.
pub(super) fn statement<Q: QueryFragment<Pg>>(statement: &Q) -> Span {
    let span = span();
    if !span.is_disabled() {
        let mut text = PgQueryBuilder::default();
        if statement.to_sql(&mut text, &Pg).is_ok() {
            tell(&span, &text.finish());
        }
    }
    span
}

/// The span of what opens or ends a transaction: its text is our own, and has at most the name of a schema.
pub(super) fn transaction(text: &str) -> Span {
    let span = span();
    if !span.is_disabled() {
        tell(&span, text);
    }
    span
}

/// The span of statements that have no parameters. What they have instead may be in their text, so that is not told.
pub(super) fn batch(text: &str) -> Span {
    let span = span();
    if !span.is_disabled() {
        let verb = verb(text);
        span.record("otel.name", &verb).record("db.operation.name", &verb);
    }
    span
}

/// The span of the wait for a connection.
pub(super) fn checkout() -> Span {
    detail!("checkout", otel.name = "pool checkout", otel.kind = "internal")
}

/// Tells the current span how what it is about has ended.
pub(super) fn ended<T>(result: &Result<T, DbError>) {
    if let Err(error) = result {
        traces::note_failure(&Span::current(), error.word());
    }
}

fn span() -> Span {
    detail!(
        "sql",
        otel.name = Empty,
        otel.kind = "client",
        db.system.name = "postgresql",
        db.operation.name = Empty,
        db.query.text = Empty,
    )
}

fn tell(span: &Span, text: &str) {
    let end = text.char_indices().nth(TEXT_LEN_MAX).map_or(text.len(), |(at, _)| at);
    span.record("otel.name", summary(text)).record("db.operation.name", verb(text));
    span.record("db.query.text", &text[..end]);
}

/// What a statement does, in a word.
fn verb(text: &str) -> String {
    let word = text.split(|letter: char| !letter.is_ascii_alphabetic()).find(|word| !word.is_empty());
    word.unwrap_or("SQL").to_ascii_uppercase()
}

/// What a statement does, and to which table or by which function: what its span is called.
fn summary(text: &str) -> String {
    let verb = verb(text);
    let mut words = text.split(|letter: char| !(letter.is_ascii_alphanumeric() || "_.\"".contains(letter)));
    let is_before = |word: &&str| matches!(*word, "FROM" | "INTO" | "UPDATE" | "JOIN");
    let named = words.by_ref().find(is_before).and_then(|_| words.find(|word| !word.is_empty()));
    match named {
        Some(table) => format!("{verb} {}", table.replace('"', "")),
        None => verb,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_called_by_what_it_does_and_to_what() {
        let check = |text: &str, expected: &str| assert_eq!(summary(text), expected, "{text}");
        check(r#"SELECT "books"."id" FROM "books" WHERE "books"."id" = $1"#, "SELECT books");
        check(r#"INSERT INTO "control"."jobs" ("id") VALUES ($1)"#, "INSERT control.jobs");
        check("UPDATE tenant_head SET order_number = $1", "UPDATE tenant_head");
        check("\nWITH RECURSIVE ahead AS (SELECT 1 FROM control.jobs) SELECT", "WITH control.jobs");
        check("SELECT control.job_enqueue($1, $2)", "SELECT");
        check("COMMIT", "COMMIT");
        check("BEGIN; SET LOCAL ROLE \"t_1\"", "BEGIN");
        check("", "SQL");
    }
}
