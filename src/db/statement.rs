//! Statements of a fixed text that are prepared once for each connection.
//!
//! Diesel's `sql_query` is prepared anew each time, which costs a second round trip. What the query builder cannot say,
//! and is asked often, is declared by [`statement!`].

use diesel::pg::Pg;
use diesel::query_builder::AstPass;
use diesel::result::QueryResult;
use diesel::serialize::ToSql;
use diesel::sql_types::HasSqlType;

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
