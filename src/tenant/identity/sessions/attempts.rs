//! Counting attempts to get in, and refusing more of them for a while.

use super::repo;
use crate::db::{DbError, TenantTx};
use crate::kernel::attempts::AttemptKeys;
use crate::kernel::clock::Clock;
use crate::tenant::identity::error::{IdentityError, IdentityErrorCode};

/// Counts an attempt, or refuses it unread.
///
/// # Errors
/// There were too many, or the database failed.
pub async fn attempt(tx: &mut TenantTx, clock: &dyn Clock, keys: &AttemptKeys) -> Result<(), IdentityError> {
    let now = clock.now();
    let known = repo::attempts_lock(tx, &keys.sorted(), now).await?;
    let counted = keys.admit(&known, now).map_err(|seconds| {
        let message = format!("Too many attempts; try again in {seconds} seconds.");
        IdentityError::refused(IdentityErrorCode::TooManyAttempts, message, &["input"])
    })?;
    for (key, blocked_until) in counted {
        repo::attempt_count(tx, key, blocked_until, now).await?;
    }
    Ok(())
}

/// Forgets the account's attempts, for this one was good, and takes it back from the address's.
///
/// # Errors
/// The database failed.
pub async fn forget(tx: &mut TenantTx, keys: &AttemptKeys) -> Result<(), DbError> {
    for key in keys.sorted() {
        if keys.is_forgotten(&key) {
            repo::attempts_delete(tx, &key).await?;
        } else {
            repo::attempt_uncount(tx, &key).await?;
        }
    }
    Ok(())
}
