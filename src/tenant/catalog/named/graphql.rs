//! Sorts and places of named things at the edge.

use async_graphql::connection::CursorType;
use async_graphql::{Enum, InputObject};
use uuid::Uuid;

use super::{NamedOrder, NamedPosition, NamedSort};
use crate::graphql::connection::{PageArgs, SortDirection, decode_parts, encode_parts};
use crate::graphql::{ApiError, ApiResult};
use crate::kernel::page::PageRequest;

/// The field that a list of authors or categories is sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum NamedSortField {
    /// The time of entry.
    CreatedAt,
    /// The name, without regard to case and accents.
    Name,
}

/// The order of a list of authors or categories. Equal ones are in the order of their ids.
#[derive(Debug, Clone, Copy, InputObject)]
pub struct NamedSortInput {
    /// The field to sort by.
    field: NamedSortField,
    /// The direction.
    #[graphql(default)]
    direction: SortDirection,
}

impl From<NamedSortInput> for NamedSort {
    fn from(input: NamedSortInput) -> Self {
        let order = match input.field {
            NamedSortField::CreatedAt => NamedOrder::CreatedAt,
            NamedSortField::Name => NamedOrder::Name,
        };
        Self { order, descending: input.direction == SortDirection::Desc }
    }
}

/// The page that a list's arguments ask for.
///
/// # Errors
/// `BAD_REQUEST`: the arguments contradict each other, or the cursor is of a list with another sort.
pub fn named_request(args: PageArgs, sort: NamedSort) -> ApiResult<PageRequest<NamedPosition>> {
    let request = args.parse::<NamedCursor>()?.map(|cursor| cursor.0);
    let by_name = request.from.as_ref().map(|from| from.name_key.is_some());
    if by_name.is_some_and(|by_name| by_name != (sort.order == NamedOrder::Name)) {
        return Err(ApiError::bad_request("The cursor is of a list with another sort."));
    }
    Ok(request)
}

/// A place as clients hold it. It names the order that it is of, so that it is not used in another.
pub struct NamedCursor(pub NamedPosition);

impl NamedCursor {
    /// The place of a thing in a list.
    #[must_use]
    pub fn new(sort: NamedSort, name_key: &str, id: Uuid) -> Self {
        let name_key = (sort.order == NamedOrder::Name).then(|| name_key.to_owned());
        Self(NamedPosition { name_key, id })
    }
}

impl CursorType for NamedCursor {
    type Error = &'static str;

    fn decode_cursor(text: &str) -> Result<Self, Self::Error> {
        let [order, name_key, id] = decode_parts(text).ok_or("malformed")?;
        let id = id.parse().map_err(|_| "malformed")?;
        match order.as_str() {
            "NAME" => Ok(Self(NamedPosition { name_key: Some(name_key), id })),
            "CREATED_AT" => Ok(Self(NamedPosition { name_key: None, id })),
            _ => Err("another list's"),
        }
    }

    fn encode_cursor(&self) -> String {
        let id = self.0.id.to_string();
        match &self.0.name_key {
            Some(name_key) => encode_parts(&["NAME", name_key, &id]),
            None => encode_parts(&["CREATED_AT", "", &id]),
        }
    }
}
