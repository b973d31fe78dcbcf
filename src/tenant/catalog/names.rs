//! Names of authors and categories: as they are stored, and folded.

use super::error::{CatalogErrorCode, CatalogRefusal};
use crate::kernel::text::{fold, tidy};

/// A tidied name and its folded form.
///
/// # Errors
/// The name has more characters than `len_max`, or no letter or digit.
pub fn valid_name(name: &str, len_max: usize) -> Result<(String, String), CatalogRefusal> {
    let name = tidy(name);
    let name_key = fold(&name);
    if name_key.is_empty() || name.chars().count() > len_max {
        let message = format!("A name has 1 to {len_max} characters, a letter or digit among them.");
        return Err(CatalogRefusal::new(CatalogErrorCode::NameInvalid, message, &["input", "name"]));
    }
    Ok((name, name_key))
}
