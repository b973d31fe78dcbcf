//! Has tenants told that something they still use goes away: 90, 30 and 7 days before, once each.

use std::sync::Arc;

use chrono::NaiveDate;
use serde_json::json;
use uuid::Uuid;

use super::model::User;
use super::service::STILL;
use super::{ANNOUNCE, repo};
use crate::control::jobs::{NewJob, job_enqueue};
use crate::db::{ControlDb, ControlTx, DbError};
use crate::kernel::clock::Clock;
use crate::kernel::deprecation::{Extensions, Part};

/// How many days before a removal tenants are told, from the last time to the first.
pub const DAYS: [i16; 3] = [7, 30, 90];

/// Tenants that are told in one transaction.
const BATCH: i64 = 200;

/// Operations that a notice names.
const OPERATIONS_MAX: usize = 20;

/// Has all be told that are to be by now, and answers how many notices that are. A tenant that begins to use a part between two
/// of the days is told at once: of how far it is, as every notice does.
///
/// # Errors
/// The database failed. What was done before stays done.
pub async fn announce(control: &ControlDb, clock: &dyn Clock, parts: &[Arc<Part>]) -> Result<usize, DbError> {
    let now = clock.now();
    let mut told = 0;
    for part in parts {
        let mut from = Uuid::nil();
        // Ends: each turn begins behind the last tenant of the one before.
        loop {
            let users = repo::user_list(control, &part.coordinate, now - STILL, from, BATCH).await?;
            let Some(last) = users.last() else { break };
            from = last.tenant.0;
            told += control.write(async |tx: &mut ControlTx| announce_to(tx, clock, part, users).await).await?;
        }
    }
    Ok(told)
}

/// Tells some tenants of one part.
async fn announce_to(tx: &mut ControlTx, clock: &dyn Clock, part: &Part, users: Vec<User>) -> Result<usize, DbError> {
    let (now, mut told) = (clock.now(), 0);
    for user in users {
        let given = user.until.map(|until| (part.coordinate.clone(), until)).into_iter();
        let removal_on = part.removal_on(&Extensions(given.collect()));
        let Some((days_left, days)) = stage(removal_on, now.date_naive()) else { continue };
        if !repo::notice_insert(tx, user.tenant, &part.coordinate, (removal_on, days), now).await? {
            continue;
        }
        let operations: Vec<&String> =
            user.operations.iter().filter(|name| !name.is_empty()).take(OPERATIONS_MAX).collect();
        let payload = json!({
            "part": part.coordinate,
            "instead": part.reason.instead,
            "deprecatedOn": part.reason.deprecated_on,
            "removalOn": removal_on,
            "daysLeft": days_left,
            "operationCount": user.count,
            "lastUsedAt": user.last_used_at,
            "operationNames": operations,
        });
        let job = NewJob {
            id: clock.new_id(),
            tenant: Some(user.tenant),
            kind: ANNOUNCE,
            payload,
            unique_key: None,
            at: None,
        };
        job_enqueue(tx, job).await?;
        told += 1;
    }
    Ok(told)
}

/// How many days are left, and which of [`DAYS`] that is within; nothing where it is far off, and when it is over.
fn stage(removal_on: NaiveDate, today: NaiveDate) -> Option<(i64, i16)> {
    let left = (removal_on - today).num_days();
    let days = DAYS.into_iter().find(|days| left <= i64::from(*days))?;
    (left > 0).then_some((left, days))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stage_begins_so_many_days_before() {
        let removal_on = NaiveDate::from_ymd_opt(2027, 7, 1).unwrap();
        let check = |today: &str, expected| assert_eq!(stage(removal_on, today.parse().unwrap()), expected, "{today}");
        check("2027-04-01", None);
        check("2027-04-02", Some((90, 90)));
        check("2027-05-31", Some((31, 90)));
        check("2027-06-01", Some((30, 30)));
        check("2027-06-24", Some((7, 7)));
        check("2027-06-30", Some((1, 7)));
        check("2027-07-01", None);
        check("2028-01-01", None);
    }
}
