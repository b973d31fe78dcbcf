//! Decisions about trusted documents. Only operators add to them: who could trust a document of one's own could send any.

use sha2::{Digest as _, Sha256};

use super::repo;
use crate::db::{DbError, TenantRead, TenantTx};
use crate::kernel::clock::Clock;

/// The hash of a document's text: SHA-256 in hexadecimal, as persisted queries have it.
#[must_use]
pub fn document_hash(body: &str) -> String {
    Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The text of a trusted document.
///
/// # Errors
/// The database failed.
pub async fn document_by_hash(read: &TenantRead, hash: &str) -> Result<Option<String>, DbError> {
    repo::document_by_hash(read, hash).await
}

/// Trusts documents, beside those that are trusted already or in their place, and answers how many are new.
///
/// # Errors
/// The database failed.
pub async fn documents_trust(
    tx: &mut TenantTx,
    clock: &dyn Clock,
    bodies: &[String],
    replaces: bool,
) -> Result<usize, DbError> {
    if replaces {
        repo::document_delete_all(tx).await?;
    }
    let mut documents: Vec<_> = bodies.iter().map(|body| (document_hash(body), body.clone())).collect();
    documents.sort();
    documents.dedup();
    if documents.is_empty() { Ok(0) } else { repo::document_insert_all(tx, &documents, clock.now()).await }
}
