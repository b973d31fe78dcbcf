//! Paging by keyset over a boxed query.

/// Orders a boxed query by `(column, id)` and starts it after a position: `from` is an `Option` of the column's value
/// and the id there.
///
/// The comparison of the pair is spelt so that an index on `(column, id)` serves it: the first condition bounds the
/// scan, the second breaks ties. A macro, because the type of a column cannot be named in a function's signature
/// without naming half of diesel.
macro_rules! keyset {
    ($query:expr, ascending: $ascending:expr, from: $from:expr, $column:expr, $id:expr $(,)?) => {{
        let mut query = $query;
        if let Some((key, id)) = $from {
            query = if $ascending {
                query.filter($column.ge(key.clone())).filter($column.gt(key).or($id.gt(id)))
            } else {
                query.filter($column.le(key.clone())).filter($column.lt(key).or($id.lt(id)))
            };
        }
        if $ascending { query.order(($column.asc(), $id.asc())) } else { query.order(($column.desc(), $id.desc())) }
    }};
}

pub(crate) use keyset;
