//! Names of people, roles and keys.

use super::error::{IdentityErrorCode, IdentityRefusal};
use crate::kernel::text::tidy;

/// The most characters of a name.
const LEN_MAX: usize = 100;

/// A tidied name.
///
/// # Errors
/// The name is blank or too long.
pub fn valid_name(name: &str) -> Result<String, IdentityRefusal> {
    let name = tidy(name);
    if (1..=LEN_MAX).contains(&name.chars().count()) {
        return Ok(name);
    }
    let message = format!("A name has 1 to {LEN_MAX} characters.");
    Err(IdentityRefusal::new(IdentityErrorCode::NameInvalid, message, &["input", "name"]))
}
