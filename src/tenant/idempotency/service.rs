//! Runs a mutation once for each key.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::key::Key;
use super::recall::{Code, Recall, Stored, StoredRefusal};
use super::repo::{self, KeyRow};
use crate::db::{DbError, TenantRead, TenantSession, TenantTx};
use crate::failure::{Failure, KeyProblem};
use crate::tenant::journal::Act;
use crate::tenant::journal::service::write_down;

/// A mutation's result, and whether it is an earlier request's.
pub struct Answer<T, C> {
    /// What it answers.
    pub result: Result<T, Failure<C>>,
    /// Whether it was done by an earlier request with the same key.
    pub is_replayed: bool,
}

/// Runs `work` in a writing transaction, unless an earlier request with the same key has: then it answers as that did.
///
/// A refusal is kept as well; it is undone and remembered. An outage is neither: trying again tries anew.
pub async fn write<T: Recall, C: Code>(
    session: &TenantSession,
    act: Act<'_>,
    key: &Key,
    work: impl AsyncFnOnce(&mut TenantTx) -> Result<T, Failure<C>>,
) -> Answer<T, C> {
    let fresh = |result| Answer { result, is_replayed: false };
    let claim = async |read: &TenantRead| repo::key_claim(read, key, act.clock.now()).await;
    let first = session
        .write_after(claim, async |tx: &mut TenantTx, row| {
            let row = row.ok_or(Failure::Repeated(KeyProblem::InProgress))?;
            let is_first = row.is_none();
            if let Some(stored) = row.map(|row| earlier(row, key)).transpose()?.flatten() {
                return Ok(First::Earlier(stored));
            }
            Ok(First::Now(run(tx, act, (key, is_first), work).await?))
        })
        .await;
    match first {
        Ok(First::Now(result)) => fresh(result),
        Ok(First::Earlier(stored)) => Answer { result: again(session, stored).await, is_replayed: true },
        Err(failure) => fresh(Err(failure)),
    }
}

/// What the transaction came to.
enum First<T, C> {
    /// The work was done or refused now, and that is kept.
    Now(Result<T, Failure<C>>),
    /// It was so earlier.
    Earlier(Stored),
}

/// What became of the mutation earlier; nothing where its request was broken off before it.
fn earlier<C>(row: KeyRow, key: &Key) -> Result<Option<Stored>, Failure<C>> {
    if ![key.fingerprint, key.unkeyed].iter().any(|fingerprint| row.fingerprint == fingerprint) {
        return Err(Failure::Repeated(KeyProblem::OtherRequest));
    }
    let Some(outcome) = row.outcomes.get(&key.place) else { return Ok(None) };
    let unreadable = |error| DbError::Other(format!("an outcome cannot be read: {error}"));
    Ok(Some(serde_json::from_value(outcome.clone()).map_err(unreadable)?))
}

/// Does the work and keeps what becomes of it.
async fn run<T: Recall, C: Code>(
    tx: &mut TenantTx,
    act: Act<'_>,
    (key, is_first): (&Key, bool),
    work: impl AsyncFnOnce(&mut TenantTx) -> Result<T, Failure<C>>,
) -> Result<Result<T, Failure<C>>, Failure<C>> {
    let now = act.clock.now();
    let result = work(tx).await;
    let stored = match &result {
        Ok(value) => Stored::Done(value.id()),
        Err(Failure::Refused(refusals)) if !refusals.iter().any(|refusal| refusal.is_passing) => {
            tx.undo().await?;
            Stored::Refused(refusals.iter().map(StoredRefusal::from).collect())
        }
        // Nothing is kept, the key neither.
        Err(_) => return result.map(Ok),
    };
    let outcome: Value = json!(stored);
    let keep = async |tx: &TenantRead| {
        let is_kept = repo::outcome_keep(tx, key, outcome, (now, now + key.kept), is_first).await?;
        is_kept.then_some(()).ok_or_else(|| DbError::Other("a key was taken while it was held".to_owned()))
    };
    write_down::<Failure<C>>(tx, act, keep).await?;
    Ok(result)
}

/// The outcome of an earlier request, as things are now.
async fn again<T: Recall, C: Code>(session: &TenantSession, stored: Stored) -> Result<T, Failure<C>> {
    match stored {
        Stored::Done(id) => T::recall(&session.read().await?, id).await?.ok_or(Failure::Gone),
        Stored::Refused(refusals) => {
            let refusals: Option<Vec<_>> = refusals.into_iter().map(StoredRefusal::refusal).collect();
            let unknown = || DbError::Other("an outcome has a code of another release".to_owned());
            Err(Failure::Refused(refusals.ok_or_else(unknown)?))
        }
    }
}

/// Removes keys that have expired, and answers whether others are left.
///
/// # Errors
/// The database failed.
pub async fn sweep(tx: &mut TenantTx, now: DateTime<Utc>) -> Result<bool, DbError> {
    repo::keys_sweep(tx, now).await
}
