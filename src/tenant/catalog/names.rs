//! Names of authors and categories: as they are stored, and folded.

use super::error::{CatalogErrorCode, CatalogRefusal};
use crate::kernel::text::{fold, tidy};

/// Bytes of a folded name or title at most: what PostgreSQL takes into an index, less some.
pub const KEY_BYTES_MAX: usize = 2_400;

/// A tidied name and its folded form.
///
/// # Errors
/// The name has more characters than `len_max`, or no letter or digit.
pub fn valid_name(name: &str, len_max: usize) -> Result<(String, String), CatalogRefusal> {
    let name = tidy(name);
    let name_key = fold(&name);
    // Letters that fold into several make a key longer than its name; an index takes no more than this.
    if name_key.is_empty() || name.chars().count() > len_max || name_key.len() > KEY_BYTES_MAX {
        let message = format!("A name has 1 to {len_max} characters, a letter or digit among them.");
        return Err(CatalogRefusal::new(CatalogErrorCode::NameInvalid, message, &["input", "name"]));
    }
    Ok((name, name_key))
}
