//! Full-text search over titles and authors' names.

use diesel::expression::{AppearsOnTable, Expression, SelectableExpression, ValidGrouping, is_aggregate};
use diesel::pg::Pg;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::sql_types::{Bool, Float, Text};

use crate::db::schema::tenant::books;
use crate::kernel::text::fold;

/// The most words of a search; more narrow nothing down and cost time.
const WORDS_MAX: usize = 16;

/// A search as PostgreSQL's `tsquery`: all words must match, the last one as a prefix, for it may still be typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words(String);

impl Words {
    /// The words of a text; `None` where it has none.
    ///
    /// Folded words are letters and digits alone, so none of them can be read as an operator.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let folded = fold(text);
        let words: Vec<&str> = folded.split(' ').filter(|word| !word.is_empty()).take(WORDS_MAX).collect();
        if words.is_empty() { None } else { Some(Self(format!("{}:*", words.join(" & ")))) }
    }
}

/// Whether a book matches: `books.search @@ to_tsquery(…)`.
#[derive(Debug, Clone, QueryId)]
pub struct Matches(pub Words);

/// How well a book matches, a title's word weighing more than a name's: `ts_rank(…)`.
#[derive(Debug, Clone, QueryId)]
pub struct Rank(pub Words);

impl QueryId for Words {
    type QueryId = Self;
    // The text is bound, so all searches share one statement.
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl Expression for Matches {
    type SqlType = Bool;
}

impl Expression for Rank {
    type SqlType = Float;
}

impl QueryFragment<Pg> for Matches {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("books.search @@ to_tsquery('simple', ");
        out.push_bind_param::<Text, _>(&self.0.0)?;
        out.push_sql(")");
        Ok(())
    }
}

impl QueryFragment<Pg> for Rank {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("ts_rank(books.search, to_tsquery('simple', ");
        out.push_bind_param::<Text, _>(&self.0.0)?;
        out.push_sql("))");
        Ok(())
    }
}

impl AppearsOnTable<books::table> for Matches {}
impl SelectableExpression<books::table> for Matches {}
impl AppearsOnTable<books::table> for Rank {}
impl SelectableExpression<books::table> for Rank {}

impl<G> ValidGrouping<G> for Matches {
    type IsAggregate = is_aggregate::No;
}

impl<G> ValidGrouping<G> for Rank {
    type IsAggregate = is_aggregate::No;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_becomes_words_or_nothing() {
        let check = |text: &str, query: Option<&str>| {
            assert_eq!(Words::parse(text).as_ref().map(|words| words.0.as_str()), query, "{text:?}");
        };
        check("Harry Pott", Some("harry & pott:*"));
        check("  l'Étranger! ", Some("letranger:*"));
        check("a | !b & (c:*) <-> 'd'", Some("a & b & c & d:*"));
        check("&|!()", None);
        check("", None);
    }
}
