//! What a user can do wrong with settings: one variant for each code of the API.

use crate::failure::{Failure, Refusal};

/// An error of a request about settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, async_graphql::Enum)]
pub enum SettingErrorCode {
    /// The setting is the platform's to change.
    SettingNotChangeable,
    /// The value is none of the setting's: of another type, or out of bounds.
    ValueInvalid,
}

/// Why a call about settings failed.
pub type SettingError = Failure<SettingErrorCode>;

/// A reason that a user can mend.
pub type SettingRefusal = Refusal<SettingErrorCode>;
