//! Statements of a fixed text that are prepared once for each connection.
//!
//! Diesel's `sql_query` and its updates are prepared anew each time, which costs a second round trip that no meter counts.
//! What the query builder cannot say, and is asked often, is declared by [`statement!`]; an update is passed through
//! [`kept`].

use diesel::pg::Pg;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::serialize::ToSql;
use diesel::sql_types::HasSqlType;

/// A statement that its connection keeps prepared, though diesel would not.
#[derive(Debug, Clone)]
pub struct Kept<Q>(Q);

/// Has a statement kept prepared. It must have few texts: an update has one for each place in the code, because values are
/// bound; an insert of many rows has one for each number of them, and is not for this.
pub fn kept<Q>(statement: Q) -> Kept<Q> {
    Kept(statement)
}

impl<Q: QueryFragment<Pg>> QueryFragment<Pg> for Kept<Q> {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        self.0.walk_ast(out)
    }

    fn is_safe_to_cache_prepared(&self, _: &Pg) -> QueryResult<bool> {
        Ok(true)
    }
}

impl<Q> QueryId for Kept<Q> {
    type QueryId = ();
    // It is known by its text.
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<Q: Query> Query for Kept<Q> {
    type SqlType = Q::SqlType;
}

/// Writes a statement's text: a pair of braces is the place of each value, in their order. Further places of the first
/// value are `$1`, and so on.
pub struct Writer<'a, 'b> {
    out: AstPass<'a, 'b, Pg>,
    rest: &'static str,
}

impl<'a, 'b> Writer<'a, 'b> {
    /// Begins a text.
    #[must_use]
    pub fn new(out: AstPass<'a, 'b, Pg>, text: &'static str) -> Self {
        Self { out, rest: text }
    }

    /// Writes up to the next place, and the value there.
    ///
    /// # Errors
    /// The value cannot be written.
    pub fn bind<ST, T>(mut self, value: &'b T) -> QueryResult<Self>
    where
        Pg: HasSqlType<ST>,
        T: ToSql<ST, Pg> + ?Sized,
    {
        let (text, rest) = self.rest.split_once("{}").unwrap_or((self.rest, ""));
        self.rest = rest;
        self.out.push_sql(text);
        self.out.push_bind_param::<ST, T>(value)?;
        Ok(self)
    }

    /// Writes what is left.
    pub fn end(mut self) {
        self.out.push_sql(self.rest);
    }
}

/// Declares a statement: its values with their types in SQL, the types of its columns, and its text.
macro_rules! statement {
    (
        $(#[$doc:meta])*
        $vis:vis $name:ident { $($(#[$field_doc:meta])* $field:ident: $rust:ty => $sql:ty),* $(,)? } -> $columns:ty = $text:expr
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        $vis struct $name {
            $($(#[$field_doc])* $vis $field: $rust,)*
        }

        impl diesel::query_builder::QueryId for $name {
            type QueryId = Self;
            // The text is fixed and the values are bound.
            const HAS_STATIC_QUERY_ID: bool = true;
        }

        impl diesel::query_builder::Query for $name {
            type SqlType = $columns;
        }

        impl diesel::query_builder::QueryFragment<diesel::pg::Pg> for $name {
            fn walk_ast<'b>(
                &'b self,
                out: diesel::query_builder::AstPass<'_, 'b, diesel::pg::Pg>,
            ) -> diesel::result::QueryResult<()> {
                let writer = $crate::db::statement::Writer::new(out, $text);
                $(let writer = writer.bind::<$sql, _>(&self.$field)?;)*
                writer.end();
                Ok(())
            }
        }
    };
}

pub(crate) use statement;

#[cfg(test)]
mod tests {
    use diesel::prelude::*;

    use super::*;
    use crate::db::schema::tenant::tenant_head;

    #[test]
    fn an_update_is_prepared_once_if_it_is_kept() {
        let update = || diesel::update(tenant_head::table).set(tenant_head::order_number.eq(1));
        // The day that diesel does so by itself, this can go.
        assert!(!update().is_safe_to_cache_prepared(&Pg).unwrap());
        assert!(kept(update()).is_safe_to_cache_prepared(&Pg).unwrap());
        assert_eq!(
            diesel::debug_query::<Pg, _>(&kept(update())).to_string(),
            diesel::debug_query::<Pg, _>(&update()).to_string()
        );
    }
}
