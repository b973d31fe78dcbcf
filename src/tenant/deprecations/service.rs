//! Writing down what was counted, and who may see it.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::model::{Tally, Usage, UsageFilter, UsageKey};
use super::{REPORT, repo};
use crate::db::{DbError, TenantRead, TenantTx};
use crate::failure::Failure;
use crate::kernel::actor::{Actor, Permission};
use crate::kernel::clock::{Clock, storable};
use crate::kernel::journal::Change;
use crate::kernel::page::{Page, PageRequest};
use crate::tenant::events::{self, DomainEvent};

/// Rows of a shop, but for those that hold what there is no row left for.
pub const ROWS_MAX: usize = 1_000;

/// How long a row is kept that is not added to.
const KEPT_FOR: TimeDelta = TimeDelta::days(400);

/// The control plane is told at most once in so long, in seconds.
const REPORT_EVERY_S: i64 = 60;

/// How a reading of it fails: there is nothing that other input would mend.
pub type UsageError = Failure<Infallible>;

/// Adds what was counted, and has the control plane told of it. What clients choose freely gets no more rows than there may
/// be; what is beyond them is counted together.
///
/// # Errors
/// The database failed.
pub async fn usage_record(
    tx: &mut TenantTx,
    clock: &dyn Clock,
    counted: BTreeMap<UsageKey, Tally>,
) -> Result<(), DbError> {
    let there = usize::try_from(repo::usage_count(tx).await?).unwrap_or(usize::MAX);
    let rows = if there.saturating_add(counted.len()) <= ROWS_MAX {
        counted
    } else {
        fold(counted, &repo::usage_keys(tx).await?.into_iter().collect())
    };
    repo::usage_add(tx, rows).await?;
    let now = clock.now();
    // The job comes when the time is over that its key names, so that it sees all that was written in it.
    let turn = now.timestamp().div_euclid(REPORT_EVERY_S) + 1;
    let at = DateTime::from_timestamp(turn.saturating_mul(REPORT_EVERY_S), 0).unwrap_or(now) + TimeDelta::seconds(5);
    tx.enqueue_at(clock.new_id(), REPORT, json!({}), Some(turn.to_string()), Some(at)).await.map(drop)
}

/// What was counted, new keys folded as soon as there is no row left for them.
fn fold(counted: BTreeMap<UsageKey, Tally>, known: &BTreeSet<UsageKey>) -> BTreeMap<UsageKey, Tally> {
    let mut left = ROWS_MAX.saturating_sub(known.len());
    let mut rows: BTreeMap<UsageKey, Tally> = BTreeMap::new();
    for (key, tally) in counted {
        let key = match (known.contains(&key), left) {
            (true, _) => key,
            (false, 0) => key.folded(),
            (false, _) => {
                left -= 1;
                key
            }
        };
        rows.entry(key).and_modify(|known| known.add(tally)).or_insert(tally);
    }
    rows
}

/// All that is written down, after what is old was deleted.
///
/// # Errors
/// The database failed.
pub async fn usage_all(tx: &mut TenantTx, now: DateTime<Utc>) -> Result<Vec<Usage>, DbError> {
    repo::usage_prune(tx, kept_from(now)).await?;
    repo::usage_all(tx).await
}

/// From when on use is kept.
#[must_use]
pub fn kept_from(now: DateTime<Utc>) -> DateTime<Utc> {
    now - KEPT_FOR
}

/// One page of it, in the order of parts.
///
/// # Errors
/// The actor may not see it, or the database failed.
pub async fn usage_list(
    read: &TenantRead,
    actor: &Actor,
    filter: UsageFilter,
    page: PageRequest<UsageKey>,
) -> Result<Page<Usage>, UsageError> {
    actor.require(Permission::EventsRead)?;
    let filter = UsageFilter { used_since: filter.used_since.map(storable), ..filter };
    Ok(page.cut(repo::usage_list(read, filter, &page).await?))
}

/// What a shop is told of a part's end, as the job's payload has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Announcement {
    /// The part's schema coordinate.
    pub part: String,
    /// What to use in its place.
    pub instead: String,
    /// When its end was announced.
    pub deprecated_on: NaiveDate,
    /// The first day, in UTC, on which it is gone for the shop.
    pub removal_on: NaiveDate,
    /// Days up to then, counted when the notice was due.
    pub days_left: i64,
    /// How many operations have used it, about.
    pub operation_count: i64,
    /// When the last of them was.
    pub last_used_at: DateTime<Utc>,
    /// Names of some of them.
    pub operation_names: Vec<String>,
}

/// Tells a shop that a part goes away which it uses: by an event, and by a mail to its owners.
///
/// # Errors
/// The database failed.
pub async fn announcement_publish(
    tx: &mut TenantTx,
    clock: &dyn Clock,
    announcement: &Announcement,
) -> Result<(), DbError> {
    tx.note(Change::done(&announcement.part));
    events::publish(tx, clock, DomainEvent::ApiDeprecationUpcoming(announcement.clone()));
    let mail = json!({
        "field": announcement.part,
        "replacement": announcement.instead,
        "removalOn": announcement.removal_on,
        "operations": announcement.operation_names,
    });
    tx.enqueue(clock.new_id(), "mail.deprecation_notice", mail, None).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(operation: &str) -> UsageKey {
        let part = "Book.priceCents".to_owned();
        UsageKey { part, operation: operation.to_owned(), credential: "session".to_owned(), client: "till".to_owned() }
    }

    #[test]
    fn nothing_that_was_counted_is_lost_when_rows_run_out() {
        let at = DateTime::UNIX_EPOCH;
        let known: BTreeSet<UsageKey> = (0..ROWS_MAX - 1).map(|number| key(&format!("Known{number}"))).collect();
        let counted = ["Known1", "New1", "New2", "New3"];
        let counted: BTreeMap<UsageKey, Tally> =
            counted.iter().map(|name| (key(name), Tally { count: 5, ..Tally::once(at) })).collect();
        let rows = fold(counted, &known);
        let counts: Vec<(&str, &str, i64)> =
            rows.iter().map(|(key, tally)| (key.operation.as_str(), key.client.as_str(), tally.count)).collect();
        assert_eq!(counts, [("(other)", "(other)", 10), ("Known1", "till", 5), ("New1", "till", 5)]);
    }
}
