//! Lists of things that have a name, authors and categories: how they are sorted, and what a place in them is.

pub mod graphql;

use uuid::Uuid;

use crate::kernel::page::{Direction, PageRequest};

/// What a list of named things is ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NamedOrder {
    /// When it was entered; ids are made in that order.
    CreatedAt,
    /// The folded name.
    #[default]
    Name,
}

/// How a list of named things is sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NamedSort {
    /// The field to sort by.
    pub order: NamedOrder,
    /// Descending: from the greatest to the least.
    pub descending: bool,
}

impl NamedSort {
    /// Whether a page of this list is read from the least to the greatest.
    #[must_use]
    pub fn ascends<K>(&self, page: &PageRequest<K>) -> bool {
        self.descending == (page.direction == Direction::Backward)
    }
}

/// A place in a list of named things.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedPosition {
    /// The folded name, in a list that is ordered by it.
    pub name_key: Option<String>,
    /// The thing.
    pub id: Uuid,
}

/// Orders a boxed query by a sort and starts it after a page's position; `$table` has the columns `name_key` and `id`.
macro_rules! named_page {
    ($query:expr, $sort:expr, $page:expr, $table:ident) => {{
        let (query, ascending, from) = ($query.limit($page.rows()), $sort.ascends($page), $page.from.clone());
        match $sort.order {
            $crate::tenant::catalog::named::NamedOrder::Name => {
                let from = from.and_then(|from| Some((from.name_key?, from.id)));
                $crate::db::keyset::keyset!(query, ascending: ascending, from: from, $table::name_key, $table::id)
            }
            $crate::tenant::catalog::named::NamedOrder::CreatedAt => {
                let query = match (from, ascending) {
                    (None, _) => query,
                    (Some(from), true) => query.filter($table::id.gt(from.id)),
                    (Some(from), false) => query.filter($table::id.lt(from.id)),
                };
                if ascending { query.order($table::id.asc()) } else { query.order($table::id.desc()) }
            }
        }
    }};
}

pub(in crate::tenant::catalog) use named_page;
