//! Decisions about the stock: when there is too little of it, and how it is made.

use serde_json::json;

use super::repo;
use crate::control::jobs::{NewJob, job_enqueue};
use crate::db::migrate::{Plane, newest_version, tenants_script};
use crate::db::{DbError, OwnerDb, OwnerTx};
use crate::kernel::clock::Clock;
use crate::kernel::ids::TenantId;
use crate::kernel::tenant::SchemaName;
use crate::tenant::seed;

/// The kind of the job that fills the stock up.
pub const REFILL: &str = "spares.refill";

/// The key of the job, the one under which it comes by itself: there is one at a time, whoever asks.
const REFILL_KEY: &str = "periodic";

/// The most spares of one transaction: each takes 250 of the cluster's 6,400 locks until it commits.
pub const BATCH_MAX: usize = 6;

/// What a sign-up found in the stock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stock {
    /// The spare that it has taken; none where there was none at the newest version.
    pub taken: Option<TenantId>,
    /// Spares at the newest version that are left.
    pub left: usize,
}

/// Takes a spare in the caller's transaction: the spare is back where that fails. Of two that take at once each gets
/// another.
///
/// # Errors
/// The database failed.
pub async fn spare_take(tx: &mut OwnerTx) -> Result<Stock, DbError> {
    let (taken, count) = repo::spare_take(tx, &newest_version(Plane::Tenant)).await?;
    let left = usize::try_from(count).unwrap_or(0).saturating_sub(usize::from(taken.is_some()));
    Ok(Stock { taken, left })
}

/// Asks for a full stock, in the caller's transaction, where less than half of it is left. Answers whether it did.
///
/// # Errors
/// The database failed.
pub async fn refill_ask(tx: &mut OwnerTx, clock: &dyn Clock, wanted: u16, left: usize) -> Result<bool, DbError> {
    if left * 2 >= usize::from(wanted) {
        return Ok(false);
    }
    let unique_key = Some(REFILL_KEY.to_owned());
    let job = NewJob { id: clock.new_id(), tenant: None, kind: REFILL, payload: json!({}), unique_key, at: None };
    job_enqueue(tx, job).await
}

/// Fills the stock up to what is wanted, and answers how many spares were made. Where somebody else does, it makes none.
///
/// # Errors
/// The database failed; the batches before are kept.
pub async fn refill(owner: &OwnerDb, clock: &dyn Clock, wanted: u16) -> Result<usize, DbError> {
    let mut made = 0;
    // Each round makes some, so the loop ends with the stock full; but for sign-ups that take as fast.
    loop {
        let batch = async |tx: &mut OwnerTx| {
            let Some((fresh, all)) = repo::stock(tx, &newest_version(Plane::Tenant)).await? else { return Ok(0) };
            let count = missing(usize::from(wanted), fresh, all).min(BATCH_MAX);
            spares_make(tx, clock, count).await?;
            Ok::<_, DbError>(count)
        };
        match owner.write(batch).await? {
            0 => return Ok(made),
            count => made += count,
        }
    }
}

/// How many spares are missing. Those of an older version are waited for, until the fleet's migration has been there, but
/// they are not let pile up.
fn missing(wanted: usize, fresh: i64, all: i64) -> usize {
    let (fresh, all) = (usize::try_from(fresh).unwrap_or(0), usize::try_from(all).unwrap_or(0));
    wanted.saturating_sub(fresh).min((wanted * 2).saturating_sub(all))
}

/// Makes spares in the caller's transaction, [`BATCH_MAX`] at most.
///
/// # Errors
/// The database failed.
pub async fn spares_make(tx: &mut OwnerTx, clock: &dyn Clock, count: usize) -> Result<(), DbError> {
    if count == 0 {
        return Ok(());
    }
    let ids: Vec<TenantId> = (0..count.min(BATCH_MAX)).map(|_| TenantId(clock.new_id())).collect();
    schemas_make(tx, &ids).await?;
    defaults_write(tx, clock, &ids).await?;
    repo::spares_insert(tx, &ids, &newest_version(Plane::Tenant), clock.now()).await
}

/// Makes the roles, schemas and tables of these tenants to be.
///
/// # Errors
/// The database failed.
pub async fn schemas_make(tx: &mut OwnerTx, ids: &[TenantId]) -> Result<(), DbError> {
    let schemas: Vec<SchemaName> = ids.iter().copied().map(SchemaName::from).collect();
    let script = tenants_script(&schemas, tx.runtime_login());
    tx.batch(&script).await
}

/// Writes into the schemas of these tenants to be what does not depend on whose they are.
///
/// # Errors
/// The database failed.
pub async fn defaults_write(tx: &mut OwnerTx, clock: &dyn Clock, ids: &[TenantId]) -> Result<(), DbError> {
    for id in ids {
        seed::defaults(&mut tx.as_tenant(*id).await?, clock, *id).await?;
    }
    Ok(())
}

/// How many spares at the newest version there are.
///
/// # Errors
/// The database failed.
pub async fn spare_count(tx: &mut OwnerTx) -> Result<usize, DbError> {
    Ok(usize::try_from(repo::spare_count(tx, &newest_version(Plane::Tenant)).await?).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_spares_are_waited_for_and_do_not_pile_up() {
        assert_eq!(missing(20, 20, 20), 0);
        assert_eq!(missing(20, 5, 5), 15);
        assert_eq!(missing(20, 0, 20), 20, "a release has come: the stock is behind");
        assert_eq!(missing(20, 0, 40), 0, "another one has come");
        assert_eq!(missing(20, 30, 30), 0);
        assert_eq!(missing(0, 0, 0), 0);
    }
}
