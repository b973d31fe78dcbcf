//! SQL of trusted documents.

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use crate::db::schema::tenant::trusted_documents;
use crate::db::{DbError, TenantRead, TenantTx};

/// The text with a hash.
pub async fn document_by_hash(read: &TenantRead, hash: &str) -> Result<Option<String>, DbError> {
    let query = trusted_documents::table.filter(trusted_documents::hash.eq(hash.to_owned()));
    read.first(query.select(trusted_documents::body)).await
}

/// Adds the documents that are missing and answers how many were.
pub async fn document_insert_all(
    tx: &mut TenantTx,
    documents: &[(String, String)],
    now: DateTime<Utc>,
) -> Result<usize, DbError> {
    let rows: Vec<_> = documents
        .iter()
        .map(|(hash, body)| {
            (
                trusted_documents::hash.eq(hash.clone()),
                trusted_documents::body.eq(body.clone()),
                trusted_documents::created_at.eq(now),
            )
        })
        .collect();
    tx.execute(diesel::insert_into(trusted_documents::table).values(rows).on_conflict_do_nothing()).await
}

/// Removes every document.
pub async fn document_delete_all(tx: &mut TenantTx) -> Result<usize, DbError> {
    tx.execute(diesel::delete(trusted_documents::table)).await
}
