//! Where the trail ends. It is what an anchor outside of the shop's schema keeps.

use super::repo;
use crate::db::{DbError, TenantRead, TenantTx};

/// A place in the trail, with all that comes before it: the hash tells whether it is the same trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The number of the entry; 0 where there is none.
    pub sequence: i64,
    /// The hash of the entry; empty where there is none.
    pub hash: Vec<u8>,
}

/// The kind of the job that keeps where the trail ends.
pub const ANCHOR: &str = "audit.anchor";

/// Where the trail ends, noted as being anchored: the next entry asks for the next anchor.
///
/// # Errors
/// The database failed.
pub async fn head_anchor(tx: &mut TenantTx) -> Result<Head, DbError> {
    repo::head_anchor(tx).await
}

/// The hash of an entry; nothing where there is no such entry.
///
/// # Errors
/// The database failed.
pub async fn entry_hash(read: &TenantRead, sequence: i64) -> Result<Option<Vec<u8>>, DbError> {
    repo::entry_hash(read, sequence).await
}

/// Where the trail ends, locked until the transaction ends: whoever is about to add an entry is waited for, and waits.
///
/// # Errors
/// The database failed.
pub async fn head_lock(tx: &mut TenantTx) -> Result<Head, DbError> {
    repo::head_lock(tx).await
}

/// Where the trail ends, as the transaction sees it.
///
/// # Errors
/// The database failed.
pub async fn head(read: &TenantRead) -> Result<Head, DbError> {
    repo::head_first(read).await
}
