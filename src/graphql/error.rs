//! Errors of the top level: what no input of the user's can mend.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use async_graphql::ErrorExtensionValues;

use crate::db::DbError;
use crate::kernel::actor::Forbidden;
use crate::vault::KeyError;

/// The closed list of codes in `extensions.code`. The README documents each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// The request is not well-formed: unparsable, invalid, wrong types, bad ids or cursors.
    BadRequest,
    /// Only trusted documents are served, and this is none.
    DocumentNotTrusted,
    /// A part of the schema that the document uses is past its removal date, or is on the day that was asked about.
    FieldRemoved,
    /// The actor may not do this.
    Forbidden,
    /// The idempotency key was sent with another request before.
    IdempotencyConflict,
    /// The request that the idempotency key was first sent with is still running; try again.
    IdempotencyInProgress,
    /// A defect or an outage of ours; the request id finds it in the logs.
    InternalError,
    /// A method that the path does not have.
    MethodNotAllowed,
    /// No media type that the client accepts can be answered.
    NotAcceptable,
    /// The body is larger than the limit.
    PayloadTooLarge,
    /// No document with this hash is known; send it once with its text.
    PersistedQueryNotFound,
    /// The document is too deep or asks for too much.
    QueryTooComplex,
    /// The shop, or the API key, has used up what its plan gives; try again when the answer says.
    RateLimited,
    /// The database is unreachable or has no room; try again.
    ServiceUnavailable,
    /// Two sources name different tenants.
    TenantMismatch,
    /// The tenant is closed to its users.
    TenantSuspended,
    /// The operation ran past its deadline and was stopped.
    Timeout,
    /// No valid credential was shown.
    Unauthenticated,
    /// The body is of a media type that is not understood.
    UnsupportedMediaType,
}

impl ErrorCode {
    /// Every code, for documentation and its test.
    pub const ALL: [Self; 19] = [
        Self::BadRequest,
        Self::DocumentNotTrusted,
        Self::FieldRemoved,
        Self::Forbidden,
        Self::IdempotencyConflict,
        Self::IdempotencyInProgress,
        Self::InternalError,
        Self::MethodNotAllowed,
        Self::NotAcceptable,
        Self::PayloadTooLarge,
        Self::PersistedQueryNotFound,
        Self::QueryTooComplex,
        Self::RateLimited,
        Self::ServiceUnavailable,
        Self::TenantMismatch,
        Self::TenantSuspended,
        Self::Timeout,
        Self::Unauthenticated,
        Self::UnsupportedMediaType,
    ];

    /// The text in `extensions.code`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "BAD_REQUEST",
            Self::DocumentNotTrusted => "DOCUMENT_NOT_TRUSTED",
            Self::FieldRemoved => "FIELD_REMOVED",
            Self::Forbidden => "FORBIDDEN",
            Self::IdempotencyConflict => "IDEMPOTENCY_CONFLICT",
            Self::IdempotencyInProgress => "IDEMPOTENCY_IN_PROGRESS",
            Self::InternalError => "INTERNAL_ERROR",
            Self::MethodNotAllowed => "METHOD_NOT_ALLOWED",
            Self::NotAcceptable => "NOT_ACCEPTABLE",
            Self::PayloadTooLarge => "PAYLOAD_TOO_LARGE",
            Self::PersistedQueryNotFound => "PERSISTED_QUERY_NOT_FOUND",
            Self::QueryTooComplex => "QUERY_TOO_COMPLEX",
            Self::RateLimited => "RATE_LIMITED",
            Self::ServiceUnavailable => "SERVICE_UNAVAILABLE",
            Self::TenantMismatch => "TENANT_MISMATCH",
            Self::TenantSuspended => "TENANT_SUSPENDED",
            Self::Timeout => "TIMEOUT",
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::UnsupportedMediaType => "UNSUPPORTED_MEDIA_TYPE",
        }
    }
}

/// After how long a client is told to try again where nobody knows, at most.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);

/// The only error that a resolver answers with. Not `Display`, on purpose: async-graphql makes a public message of
/// anything that is, so a stray `?` on a database error would be published.
#[derive(Debug, Clone)]
pub struct ApiError {
    /// The code of the error, for programs.
    pub code: ErrorCode,
    /// What is wrong, for people; never an internal.
    pub message: Cow<'static, str>,
    /// When trying again may help, where that is known.
    pub retry_after: Option<Duration>,
    /// What the log is told.
    cause: Option<String>,
}

/// A resolver's result.
pub type ApiResult<T> = Result<T, ApiError>;

impl ApiError {
    /// An error with a public message.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), retry_after: None, cause: None }
    }

    /// The request is not well-formed.
    #[must_use]
    pub fn bad_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::BadRequest, message)
    }

    /// A defect of ours.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(ErrorCode::InternalError, "Something went wrong on our side.")
    }

    /// There is no room, but there may be after a while, which is a guess: nobody is told to stay away for long.
    #[must_use]
    pub fn busy(retry_after: Duration) -> Self {
        let busy = Self::new(ErrorCode::ServiceUnavailable, "The service is busy; try again shortly.");
        Self { retry_after: Some(retry_after.min(RETRY_AFTER_MAX)), ..busy }
    }

    /// Whole seconds after which trying again may help, where that is known: one at least.
    #[must_use]
    pub fn retry_after_seconds(&self) -> Option<u64> {
        let millis = self.retry_after?.as_millis();
        Some(u64::try_from(millis.div_ceil(1000)).unwrap_or(u64::MAX).max(1))
    }

    /// No valid credential was shown. One answer for a missing, wrong, expired or foreign credential and for a tenant
    /// that does not exist: nothing is told to a stranger.
    #[must_use]
    pub fn unauthenticated() -> Self {
        Self::new(ErrorCode::Unauthenticated, "A valid credential is required.")
    }
}

impl From<DbError> for ApiError {
    fn from(error: DbError) -> Self {
        let mut api = match &error {
            // There are as many of these as there is load, and they are counted: no line in the log for each.
            DbError::Overloaded { retry_after } => return Self::busy(*retry_after),
            DbError::Cancelled(_) => Self::new(ErrorCode::Timeout, "The operation took too long and was stopped."),
            DbError::Text(_) => Self::bad_request("A text holds a control character that cannot be stored."),
            // Without a time to try again: what was done already would be done twice.
            DbError::InDoubt(_) => Self::new(
                ErrorCode::ServiceUnavailable,
                "The database was lost at the last moment, and this may have been done or not. Look, or send it again under its key.",
            ),
            error if error.is_unavailable() => Self::busy(Duration::ZERO),
            _ => Self::internal(),
        };
        api.cause = Some(error.to_string());
        api
    }
}

impl From<KeyError> for ApiError {
    fn from(error: KeyError) -> Self {
        Self { cause: Some(error.to_string()), ..Self::internal() }
    }
}

impl From<Forbidden> for ApiError {
    fn from(forbidden: Forbidden) -> Self {
        Self::new(ErrorCode::Forbidden, format!("This {forbidden}."))
    }
}

impl From<ApiError> for async_graphql::Error {
    fn from(error: ApiError) -> Self {
        let mut extensions = ErrorExtensionValues::default();
        extensions.set("code", error.code.as_str());
        if let Some(seconds) = error.retry_after_seconds() {
            extensions.set("retryAfterSeconds", seconds);
        }
        Self {
            message: error.message.into_owned(),
            // The handler logs it; it is never serialised.
            source: error.cause.map(|cause| Arc::new(cause) as _),
            extensions: Some(extensions),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_master_key_is_told_to_the_log_and_to_nobody_else() {
        let error = KeyError::MasterMissing { master: "2026-11".to_owned(), key: uuid::Uuid::from_u128(7) };
        let answered = async_graphql::Error::from(ApiError::from(error.clone()));
        assert_eq!(answered.message, "Something went wrong on our side.");
        let logged = answered.source.unwrap();
        assert_eq!(logged.downcast_ref::<String>(), Some(&error.to_string()));
    }
}
