//! Why an archive was not made, read or restored.

use super::contents::row::RowError;
use crate::control::error::{ControlError, ControlRefusal};
use crate::db::DbError;
use crate::kernel::seal::SealError;
use crate::objects::ObjectError;
use crate::vault::KeyError;

/// Why an archive was not made, read or restored. Nothing of it was kept.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ArchiveError {
    /// The operator can mend it.
    #[error("{}", messages(.0))]
    Refused(Vec<ControlRefusal>),
    /// It is not what was written: what is wrong, and where.
    #[error("the archive is damaged: {0}")]
    Damaged(String),
    /// A file cannot be read or written.
    #[error("{0}")]
    File(String),
    /// The object store failed.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// A key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl ArchiveError {
    /// Damage in an entry.
    #[must_use]
    pub fn damaged(entry: &str, what: impl std::fmt::Display) -> Self {
        Self::Damaged(format!("{entry}: {what}"))
    }
}

impl From<RowError> for ArchiveError {
    fn from(error: RowError) -> Self {
        Self::Damaged(error.to_string())
    }
}

impl From<SealError> for ArchiveError {
    fn from(_: SealError) -> Self {
        Self::Damaged("it is not what was sealed".to_owned())
    }
}

impl From<ControlError> for ArchiveError {
    fn from(error: ControlError) -> Self {
        match error {
            ControlError::Refused(refusals) => Self::Refused(refusals),
            ControlError::Db(error) => Self::Db(error),
            ControlError::Key(error) => Self::Key(error),
            other => Self::Db(DbError::Other(format!("{other:?}"))),
        }
    }
}

fn messages(refusals: &[ControlRefusal]) -> String {
    refusals.iter().map(|refusal| refusal.message.as_str()).collect::<Vec<_>>().join(" ")
}
