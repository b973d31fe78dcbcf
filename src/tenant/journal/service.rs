//! Runs what changes a shop, and writes down what it noted.

use super::act::Act;
use super::repo::{self, NewEntry};
use crate::db::{DbError, TenantSession, TenantTx};
use crate::kernel::journal::Change;
use crate::tenant::audit::chain::{Fields, digest};

/// Runs `work` in a writing transaction of its own and writes down what it noted: committed when it answers `Ok`, rolled
/// back when it answers `Err`.
///
/// # Errors
/// What `work` answers, or the failure of the transaction itself.
pub async fn write<T, E: From<DbError>>(
    session: &TenantSession,
    act: Act<'_>,
    work: impl AsyncFnOnce(&mut TenantTx) -> Result<T, E>,
) -> Result<T, E> {
    session
        .write(async |tx: &mut TenantTx| {
            let value = work(tx).await?;
            write_down(tx, act).await?;
            Ok(value)
        })
        .await
}

/// Writes down what the transaction has noted: nothing where it has changed nothing.
///
/// The last statement of a transaction
/// but for its COMMIT, because it takes the lock that every writer of the shop waits for.
///
/// # Errors
/// The database failed.
pub async fn write_down(tx: &mut TenantTx, act: Act<'_>) -> Result<(), DbError> {
    let (change, events) = tx.take_journal();
    let Some(change) = change else {
        return match events.first() {
            None => Ok(()),
            Some(event) => Err(DbError::Other(format!("`{}` was published without a change", event.kind))),
        };
    };
    repo::journal_insert(tx, entry(act, change), events).await
}

fn entry(act: Act<'_>, change: Change) -> NewEntry {
    let (actor, via) = act.names();
    let mut entry = NewEntry {
        at: act.now(),
        actor,
        via,
        action: act.action,
        entity: change.entity,
        before: change.before.map(|before| before.to_string()),
        after: change.after.map(|after| after.to_string()),
        sealed: None,
        request_id: act.request_id.map(str::to_owned),
        address: act.address.map(|address| address.to_string()),
        digest: [0; 32],
    };
    entry.digest = digest(&Fields {
        at: entry.at,
        actor: &entry.actor,
        via: entry.via.as_deref(),
        action: entry.action,
        entity: &entry.entity,
        before: entry.before.as_deref(),
        after: entry.after.as_deref(),
        sealed: entry.sealed.as_deref(),
        request_id: entry.request_id.as_deref(),
        address: entry.address.as_deref(),
    });
    entry
}
