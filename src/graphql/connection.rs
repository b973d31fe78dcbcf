//! Relay connections: from arguments to a page request, from a page to edges.

use async_graphql::connection::{CursorType, Edge, EmptyFields};
use async_graphql::{Enum, InputObject, ObjectType, OutputType};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;

use super::error::{ApiError, ApiResult};
use super::prompt::Prompt;
use crate::kernel::page::{Direction, Page, PageRequest};

/// Items of a page where the client does not say.
pub const PAGE_SIZE_DEFAULT: usize = 20;

/// Items of a page at most.
pub const PAGE_SIZE_MAX: usize = 100;

/// Rows of a report where the client does not say.
pub const ROWS_DEFAULT: i32 = 100;

/// Rows of a report at most: a day each of a year. No plan has fewer.
pub const ROWS_MAX: i32 = 366;

/// The direction in which a list is sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum, Default)]
pub enum SortDirection {
    /// Ascending: from the least to the greatest.
    #[default]
    Asc,
    /// Descending: from the greatest to the least.
    Desc,
}

/// The four arguments of a connection, as the client gave them.
#[derive(Debug, Clone, Default, InputObject)]
pub struct PageArgs {
    /// Start after the item with this cursor.
    pub after: Option<String>,
    /// End before the item with this cursor.
    pub before: Option<String>,
    /// The number of items from the start, 1 to 100; 20 where neither end is given.
    pub first: Option<i32>,
    /// The number of items from the end, 1 to 100.
    pub last: Option<i32>,
}

impl PageArgs {
    /// The arguments in the order in which fields take them.
    #[must_use]
    pub fn new(after: Option<String>, before: Option<String>, first: Option<i32>, last: Option<i32>) -> Self {
        Self { after, before, first, last }
    }

    /// The page that the arguments ask for.
    ///
    /// # Errors
    /// `BAD_REQUEST` for a size out of bounds, both ends at once, or a cursor of another list.
    pub fn parse<C: CursorType>(self) -> ApiResult<PageRequest<C>> {
        let (direction, count, cursor, other) = match (self.first, self.last) {
            (Some(_), Some(_)) => return Err(ApiError::bad_request("Use `first` or `last`, not both.")),
            (first, None) => (Direction::Forward, first, self.after, self.before),
            (None, last) => (Direction::Backward, last, self.before, self.after),
        };
        if other.is_some() {
            return Err(ApiError::bad_request("Use `first` with `after`, or `last` with `before`."));
        }
        let limit = match count.map(usize::try_from) {
            None => PAGE_SIZE_DEFAULT,
            Some(Ok(count)) if (1..=PAGE_SIZE_MAX).contains(&count) => count,
            Some(_) => return Err(ApiError::bad_request(format!("A page has 1 to {PAGE_SIZE_MAX} items."))),
        };
        let from = cursor
            .map(|text| {
                C::decode_cursor(&text).map_err(|_| ApiError::bad_request("The cursor is not one of this list."))
            })
            .transpose()?;
        Ok(PageRequest { limit, direction, from })
    }
}

/// A page of a list.
pub type Connection<C, N, F = EmptyFields> = Prompt<async_graphql::connection::Connection<C, Prompt<N>, F>>;

/// A connection of a page's items. `edge` gives each its cursor and its node.
pub fn connection<T, C, N, F>(page: Page<T>, fields: F, edge: impl Fn(T) -> (C, N)) -> Connection<C, N, F>
where
    C: CursorType + Send + Sync,
    N: OutputType + ObjectType,
    F: ObjectType,
{
    let mut connection =
        async_graphql::connection::Connection::with_additional_fields(page.has_previous, page.has_next, fields);
    connection.edges = page
        .items
        .into_iter()
        .map(|item| {
            let (cursor, node) = edge(item);
            Edge::with_additional_fields(cursor, Prompt(node), EmptyFields)
        })
        .collect();
    Prompt(connection)
}

/// A cursor's text: the parts, opaque to clients.
#[must_use]
pub fn encode_parts(parts: &[&str]) -> String {
    BASE64.encode(parts.join("\u{1f}"))
}

/// The parts of a cursor's text, if it is one with as many parts.
#[must_use]
pub fn decode_parts<const N: usize>(text: &str) -> Option<[String; N]> {
    let text = String::from_utf8(BASE64.decode(text).ok()?).ok()?;
    // What we encoded has no other control character, and PostgreSQL takes no NUL.
    if text.contains(|c: char| c.is_control() && c != '\u{1f}') {
        return None;
    }
    let parts: Vec<String> = text.split('\u{1f}').map(str::to_owned).collect();
    parts.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(
        after: Option<&str>,
        before: Option<&str>,
        first: Option<i32>,
        last: Option<i32>,
    ) -> Result<PageRequest<i32>, String> {
        let args = PageArgs::new(after.map(str::to_owned), before.map(str::to_owned), first, last);
        args.parse().map_err(|error| error.message.into_owned())
    }

    #[test]
    fn arguments_become_a_page() {
        let page = |limit, direction, from| Ok(PageRequest { limit, direction, from });
        assert_eq!(parse(None, None, None, None), page(20, Direction::Forward, None));
        assert_eq!(parse(Some("3"), None, Some(5), None), page(5, Direction::Forward, Some(3)));
        assert_eq!(parse(None, Some("3"), None, Some(100)), page(100, Direction::Backward, Some(3)));
    }

    #[test]
    fn contradictions_and_bounds_are_refused() {
        for args in [
            (None, None, Some(1), Some(1)),
            (None, Some("3"), Some(1), None),
            (Some("3"), None, None, Some(1)),
            (None, None, Some(0), None),
            (None, None, Some(101), None),
            (None, None, None, Some(-1)),
            (Some("x"), None, None, None),
        ] {
            assert!(parse(args.0, args.1, args.2, args.3).is_err(), "{args:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn parts_round_trip_and_nonsense_is_refused(a in "[^\\pC]*", b in "[^\\pC]*", junk: String) {
            proptest::prop_assert_eq!(decode_parts(&encode_parts(&[&a, &b])), Some([a, b]));
            let _ = decode_parts::<2>(&junk);
        }
    }
}
