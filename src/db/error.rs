//! What can go wrong with a statement, in the words that callers decide by.

use std::time::Duration;

use diesel::result::{DatabaseErrorKind, Error as DieselError};

/// A failed statement, checkout or connection. Never shown to a client.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DbError {
    /// A unique constraint or index refused the row; its name tells which.
    #[error("unique constraint {0} is violated")]
    Unique(String),
    /// A foreign key refused the row.
    #[error("foreign key {0} is violated")]
    ForeignKey(String),
    /// A CHECK refused the row.
    #[error("check {0} is violated")]
    Check(String),
    /// Others were changing the same rows in another order, or at the same moment. Trying again helps.
    #[error("the transaction was given up for another: {0}")]
    Conflict(String),
    /// A text holds what PostgreSQL does not take: a NUL, in practice.
    #[error("a text cannot be stored: {0}")]
    Text(String),
    /// The role may not do this.
    #[error("{0}")]
    Denied(String),
    /// The backend did not let the login enter the tenant's role. Its connection is gone.
    #[error("the tenant's role cannot be entered: {0}")]
    Barred(String),
    /// The transaction stood in another schema than it was opened for. Its connection is gone.
    #[error("the transaction stood in another schema than it was opened for")]
    Misplaced,
    /// No connection was free within the time to wait.
    #[error("no database connection was free in time")]
    Busy,
    /// Too many wait for a connection already, or the wait would be longer than anybody waits.
    #[error("too many operations wait for a database connection")]
    Overloaded {
        /// When there may be room again.
        retry_after: Duration,
    },
    /// The connection is gone, or none could be made.
    #[error("the database is unreachable: {0}")]
    Unreachable(String),
    /// The connection was lost when the transaction was to be kept: it may have been.
    #[error("the database is unreachable: {0}; that was at the COMMIT, which may have been kept")]
    InDoubt(String),
    /// The statement ran into a timeout or was cancelled.
    #[error("the statement was cancelled: {0}")]
    Cancelled(String),
    /// Anything else: a defect of ours.
    #[error("database error: {0}")]
    Other(String),
}

impl DbError {
    /// Whether the database, rather than the request, is to blame, and trying later may help.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Busy | Self::Overloaded { .. } | Self::Conflict(_) | Self::Barred(_) => true,
            Self::Unreachable(_) | Self::InDoubt(_) => true,
            Self::Unique(_) | Self::ForeignKey(_) | Self::Check(_) | Self::Text(_) | Self::Denied(_) => false,
            Self::Misplaced | Self::Cancelled(_) | Self::Other(_) => false,
        }
    }

    /// The kind of failure in a word, for traces: no message is told there, which may quote a value.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Unique(_) => "unique",
            Self::ForeignKey(_) => "foreign_key",
            Self::Check(_) => "check",
            Self::Conflict(_) => "conflict",
            Self::Text(_) => "text",
            Self::Denied(_) => "denied",
            Self::Barred(_) => "barred",
            Self::Misplaced => "misplaced",
            Self::Busy => "busy",
            Self::Overloaded { .. } => "overloaded",
            Self::Unreachable(_) => "unreachable",
            Self::InDoubt(_) => "in_doubt",
            Self::Cancelled(_) => "cancelled",
            Self::Other(_) => "other",
        }
    }
}

/// What PgBouncer says before it closes a connection, for want of a backend or because one was lost.
const POOLERS: &[&str] = &[
    "query_wait_timeout",
    "server conn crashed?",
    "server login has been failing, try again later (server_login_retry)",
    "client_login_timeout (server down)",
    "idle transaction timeout",
    "query timeout",
];

impl From<DieselError> for DbError {
    fn from(error: DieselError) -> Self {
        let DieselError::DatabaseError(kind, info) = &error else {
            return Self::Other(error.to_string());
        };
        let constraint = || info.constraint_name().unwrap_or("?").to_owned();
        let message = info.message();
        match kind {
            DatabaseErrorKind::UniqueViolation => Self::Unique(constraint()),
            DatabaseErrorKind::ForeignKeyViolation => Self::ForeignKey(constraint()),
            DatabaseErrorKind::CheckViolation => Self::Check(constraint()),
            DatabaseErrorKind::SerializationFailure => Self::Conflict(message.to_owned()),
            _ if message == "deadlock detected" => Self::Conflict(message.to_owned()),
            DatabaseErrorKind::ClosedConnection => Self::Unreachable(message.to_owned()),
            // The driver has no kinds for these; the texts are PostgreSQL's own, in the C locale of its messages.
            _ if message.starts_with("canceling statement") => Self::Cancelled(message.to_owned()),
            _ if message.starts_with("invalid byte sequence") => Self::Text(message.to_owned()),
            _ if message.starts_with("permission denied") => Self::Denied(message.to_owned()),
            // What the driver makes of a socket that broke.
            DatabaseErrorKind::UnableToSendCommand if message.starts_with("error communicating") => {
                Self::Unreachable(message.to_owned())
            }
            _ if POOLERS.contains(&message) => Self::Unreachable(message.to_owned()),
            _ if message == "connection closed" || message.starts_with("terminating connection") => {
                Self::Unreachable(message.to_owned())
            }
            // What is quoted behind the colon is a value: `invalid input syntax for type uuid: "…"`.
            _ => Self::Other(message.split_once(": \"").map_or(message, |(head, _)| head).to_owned()),
        }
    }
}
