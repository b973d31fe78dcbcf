//! Runs what changes a shop, and writes down what it noted.

use chrono::TimeDelta;
use futures_util::future::try_join;
use serde_json::json;

use super::act::Act;
use super::repo::{self, JournalInsert};
use crate::db::{DbError, TenantRead, TenantSession, TenantTx};
use crate::kernel::journal::Change;
use crate::telemetry::frames;
use crate::tenant::audit::chain::{Fields, digest};
use crate::tenant::audit::head::ANCHOR;
use crate::tenant::audit::personal;
use crate::tenant::events;
use crate::tenant::webhooks::DISPATCH;
use crate::vault::KeyError;

/// How long after a change the trail is anchored: a tail that is cut off sooner is not missed.
const ANCHOR_DELAY: TimeDelta = TimeDelta::minutes(10);

/// Runs `work` in a writing transaction of its own and writes down what it noted: committed when it answers `Ok`, rolled
/// back when it answers `Err`.
///
/// # Errors
/// What `work` answers, the failure of the transaction itself, or the tenant's key cannot be used where something personal
/// is to be written down.
pub async fn write<T, E: From<DbError> + From<KeyError>>(
    session: &TenantSession,
    act: Act<'_>,
    work: impl AsyncFnOnce(&mut TenantTx) -> Result<T, E>,
) -> Result<T, E> {
    session
        .write(async |tx: &mut TenantTx| {
            let value = work(tx).await?;
            write_down::<E>(tx, act, async |_: &TenantRead| Ok(())).await?;
            Ok(value)
        })
        .await
}

/// Writes down what the transaction has noted: nothing where it has changed nothing.
///
/// The last statement of a transaction but for its COMMIT, because it takes the lock that every writer of the shop waits
/// for. `beside` travels in front of it, in the same trip.
///
/// # Errors
/// The database failed, or the tenant's key cannot be used where something personal is to be written down.
pub async fn write_down<E: From<DbError> + From<KeyError>>(
    tx: &mut TenantTx,
    act: Act<'_>,
    beside: impl AsyncFnOnce(&TenantRead) -> Result<(), DbError>,
) -> Result<(), E> {
    let (change, events) = tx.take_journal();
    let Some(change) = change else {
        return match events.first() {
            None => Ok(beside(tx).await?),
            Some(event) => Err(DbError::Other(format!("`{}` was published without a change", event.kind)).into()),
        };
    };
    for event in &events {
        for job in events::reactions(event.kind) {
            tx.enqueue(act.clock.new_id(), job, events::payload(event), None).await?;
        }
    }
    let mut journal = entry(act, change)?.with(events);
    journal.cause = if journal.count > 0 { frames::origin() } else { None };
    let ((), wanted) = try_join(beside(tx), repo::journal_insert(tx, journal)).await?;
    if wanted.anchor {
        let at = act.now() + ANCHOR_DELAY;
        tx.enqueue_at(act.clock.new_id(), ANCHOR, json!({}), None, Some(at)).await?;
    }
    if wanted.dispatch {
        tx.enqueue(act.clock.new_id(), DISPATCH, json!({}), None).await?;
    }
    Ok(())
}

fn entry(act: Act<'_>, change: Change) -> Result<JournalInsert, KeyError> {
    let (actor, via) = act.names();
    let mut entry = JournalInsert {
        at: act.now(),
        count: 0,
        digest: Vec::new(),
        actor,
        via,
        action: act.action,
        entity: change.entity,
        before: change.before.map(|before| before.to_string()),
        after: change.after.map(|after| after.to_string()),
        sealed: None,
        request_id: act.request_id.map(str::to_owned),
        address: act.address.map(|address| address.to_string()),
        cause: None,
        event_ids: Vec::new(),
        event_kinds: Vec::new(),
        event_versions: Vec::new(),
        event_entities: Vec::new(),
        event_data: Vec::new(),
    };
    let seal = |personal| personal::seal(act.vault, act.tenant, &fields(&entry), &personal);
    entry.sealed = change.personal.map(seal).transpose()?;
    entry.digest = digest(&fields(&entry)).to_vec();
    Ok(entry)
}

fn fields(entry: &JournalInsert) -> Fields<'_> {
    Fields {
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
    }
}
