//! Payloads of mutations: the entity, or the reasons why not.

use std::time::Duration;

use crate::failure::{Failure, KeyProblem, Refusal};
use crate::graphql::{ApiError, ApiResult, ErrorCode};
use crate::kernel::actor::Actor;

/// Parts a service's result into what a payload carries; what no input can mend becomes the error of the field.
///
/// # Errors
/// The actor may not do this, or the database failed.
pub fn into_payload<T, C>(result: Result<T, Failure<C>>, actor: &Actor) -> ApiResult<(Option<T>, Vec<Refusal<C>>)> {
    match result {
        Ok(entity) => Ok((Some(entity), Vec::new())),
        Err(Failure::Refused(refusals)) => Ok((None, refusals)),
        Err(Failure::Gone) => Ok((None, Vec::new())),
        Err(failure) => Err(into_error(failure, actor)),
    }
}

/// The error of a call that has no payload to carry reasons.
#[must_use]
pub fn into_error<C>(failure: Failure<C>, actor: &Actor) -> ApiError {
    match failure {
        // A stranger is asked who it is before being told what it may not do.
        Failure::Forbidden(_) if *actor == Actor::Anonymous => ApiError::unauthenticated(),
        Failure::Forbidden(forbidden) => forbidden.into(),
        Failure::Db(error) => error.into(),
        Failure::Key(error) => error.into(),
        Failure::Busy => ApiError::busy(Duration::ZERO),
        Failure::Repeated(KeyProblem::OtherRequest) => {
            ApiError::new(ErrorCode::IdempotencyConflict, "The idempotency key was sent with another request before.")
        }
        Failure::Repeated(KeyProblem::InProgress) => ApiError::new(
            ErrorCode::IdempotencyInProgress,
            "The request that the idempotency key was first sent with is still running; try again shortly.",
        ),
        Failure::Gone => ApiError::bad_request("What the earlier request made is gone."),
        Failure::Refused(refusals) => {
            let message = refusals.into_iter().next().map(|refusal| refusal.message).unwrap_or_default();
            ApiError::bad_request(message)
        }
    }
}

/// Declares a mutation's payload: its entity, if it has one, and the user errors of its domain.
macro_rules! payload {
    ($(#[$doc:meta])* $name:ident, $error:ident($code:ty)) => {
        $(#[$doc])*
        #[derive(async_graphql::SimpleObject)]
        pub struct $name {
            /// The reasons why nothing was done; empty on success.
            user_errors: Vec<$error>,
        }

        impl $name {
            fn new(
                result: Result<(), $crate::failure::Failure<$code>>,
                actor: &$crate::kernel::actor::Actor,
            ) -> $crate::graphql::ApiResult<Self> {
                let (_, refusals) = $crate::graphql::payload::into_payload(result, actor)?;
                Ok(Self { user_errors: refusals.into_iter().map($error::from).collect() })
            }
        }
    };
    ($(#[$doc:meta])* $name:ident { $(#[$field_doc:meta])* $field:ident: $node:ident($entity:ty) }, $error:ident($code:ty)) => {
        $(#[$doc])*
        #[derive(async_graphql::SimpleObject)]
        pub struct $name {
            $(#[$field_doc])*
            $field: Option<$node>,
            /// The reasons why nothing was done; empty on success.
            user_errors: Vec<$error>,
        }

        impl $name {
            fn new(
                result: Result<$entity, $crate::failure::Failure<$code>>,
                actor: &$crate::kernel::actor::Actor,
            ) -> $crate::graphql::ApiResult<Self> {
                let (entity, refusals) = $crate::graphql::payload::into_payload(result, actor)?;
                let user_errors = refusals.into_iter().map($error::from).collect();
                Ok(Self { $field: entity.map($node::from), user_errors })
            }
        }
    };
}

pub(crate) use payload;
