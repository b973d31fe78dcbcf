//! What an update says of a field that may be emptied.

use async_graphql::{ID, MaybeUndefined};

use super::error::ApiResult;
use super::scalars::parse_id;
use crate::kernel::ids::IdError;

/// The change of a field: absent, null and a value are three different things.
pub fn patch<T>(field: MaybeUndefined<T>) -> Option<Option<T>> {
    match field {
        MaybeUndefined::Undefined => None,
        MaybeUndefined::Null => Some(None),
        MaybeUndefined::Value(value) => Some(Some(value)),
    }
}

/// The change of a field that refers to another object.
///
/// # Errors
/// As [`parse_id`].
pub fn patch_id<T: std::str::FromStr<Err = IdError>>(field: MaybeUndefined<ID>) -> ApiResult<Option<Option<T>>> {
    patch(field).map(|id| id.as_ref().map(parse_id).transpose()).transpose()
}
