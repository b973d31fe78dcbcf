//! Many tenants at once: a transaction each, over schemas that are made in batches just before.
//!
//! Nothing of it needs to end well for what is done to be whole. Run again, it passes over what is there: a tenant whose
//! slug and owner are those of the line. Schemas that were made for tenants which did not come to be are spares.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::stream::StreamExt as _;

use super::model::{NewTenant, ValidTenant};
use super::repo;
use super::service::{Desk, Provisioned};
use crate::control::error::{ControlError, ControlErrorCode, ControlRefusal};
use crate::control::spares::service::spare_count;
use crate::control::spares::{BATCH_MAX, spares_make};
use crate::db::{DbError, OwnerTx};
use crate::kernel::ids::TenantId;
use crate::tenant::seed;

/// Batches that are made at once where nobody says. Each waits half of its time for the disk, which has to have every new
/// index at once.
pub const CONCURRENCY: usize = 3;

/// The most batches at once: each takes 1,500 of the cluster's 6,400 locks, and others want for some.
pub const CONCURRENCY_MAX: usize = 4;

/// A tenant that is to be made, and where that was asked for.
#[derive(Debug, Clone)]
pub struct Line {
    /// The line of the file.
    pub number: u64,
    /// What it asks for.
    pub new: NewTenant,
}

/// What became of a line.
#[derive(Debug)]
pub enum Outcome {
    /// The tenant was made.
    Made(Box<Provisioned>),
    /// The tenant was there: the slug is taken, by a tenant of the same owner.
    Found,
    /// It cannot be made, for reasons that the line can mend.
    Refused(Vec<ControlRefusal>),
    /// It was not made; trying again may help.
    Failed(ControlError),
}

/// Makes tenants, and calls back with what became of each line, as soon as it is known. Of two lines for one slug one is
/// refused, or found where they name the same owner.
///
/// # Errors
/// The database failed before anything was begun.
pub async fn tenants_provision(
    desk: Desk<'_>,
    lines: Vec<Line>,
    concurrency: usize,
    mut on_done: impl FnMut(Line, Outcome),
) -> Result<(), DbError> {
    let in_stock = desk.owner.write(async |tx: &mut OwnerTx| spare_count(tx).await).await?;
    // More than there should be are left of a run that was broken off: they are used first.
    let left_over = AtomicUsize::new(in_stock.saturating_sub(desk.stock.unwrap_or(0).into()));
    let desk = Desk { stock: Some(0), ..desk };
    let batches: Vec<Vec<Line>> = lines.chunks(BATCH_MAX).map(<[Line]>::to_vec).collect();
    let mut done = futures_util::stream::iter(batches)
        .map(|batch| provision_batch(desk, batch, &left_over))
        .buffer_unordered(concurrency.clamp(1, CONCURRENCY_MAX));
    while let Some(outcomes) = done.next().await {
        for (line, outcome) in outcomes {
            on_done(line, outcome);
        }
    }
    Ok(())
}

/// One batch: what is there is passed over, as many schemas as are needed are made, and each is given away.
async fn provision_batch(desk: Desk<'_>, batch: Vec<Line>, left_over: &AtomicUsize) -> Vec<(Line, Outcome)> {
    let mut outcomes = Vec::with_capacity(batch.len());
    let mut valid = Vec::with_capacity(batch.len());
    for line in batch {
        match line.new.validate() {
            Ok(tenant) => valid.push((line, tenant)),
            Err(refusals) => outcomes.push((line, Outcome::Refused(refusals))),
        }
    }
    let ready = async {
        let taken = find_taken(desk, &valid).await?;
        let missing = valid.iter().filter(|(_, tenant)| !taken.contains_key(tenant.slug.as_str())).count();
        let is_left = |left: usize| Some(left.saturating_sub(missing));
        let left = left_over.fetch_update(Ordering::AcqRel, Ordering::Acquire, is_left).unwrap_or(0);
        let count = missing.saturating_sub(left);
        desk.owner.write::<_, DbError>(async |tx: &mut OwnerTx| spares_make(tx, desk.clock, count).await).await?;
        Ok::<_, DbError>(taken)
    };
    match ready.await {
        Ok(taken) => {
            for (line, tenant) in valid {
                let outcome = match taken.get(tenant.slug.as_str()) {
                    Some(id) => of_taken(desk, *id, &tenant).await,
                    None => provision_one(desk, &line, &tenant).await,
                };
                outcomes.push((line, outcome));
            }
        }
        Err(error) => {
            outcomes.extend(valid.into_iter().map(|(line, _)| (line, Outcome::Failed(error.clone().into()))));
        }
    }
    outcomes
}

async fn provision_one(desk: Desk<'_>, line: &Line, tenant: &ValidTenant) -> Outcome {
    match desk.tenant_provision(&line.new).await {
        Ok(provisioned) => Outcome::Made(Box::new(provisioned)),
        // Taken since this batch has looked: by another line, or another run.
        Err(ControlError::Refused(refusals)) if refusals.iter().any(|r| r.code == ControlErrorCode::SlugTaken) => {
            match find_taken(desk, &[(line.clone(), tenant.clone())]).await {
                Ok(taken) => of_taken(desk, taken.into_values().next().flatten(), tenant).await,
                Err(error) => Outcome::Failed(error.into()),
            }
        }
        Err(ControlError::Refused(refusals)) => Outcome::Refused(refusals),
        Err(failure) => Outcome::Failed(failure),
    }
}

/// Which of these slugs are taken, and by whose shop, if it is there.
async fn find_taken(
    desk: Desk<'_>,
    lines: &[(Line, ValidTenant)],
) -> Result<HashMap<String, Option<TenantId>>, DbError> {
    let slugs = lines.iter().map(|(_, tenant)| tenant.slug.as_str().to_owned()).collect();
    let find = async |tx: &mut OwnerTx| repo::slugs_taken(tx, slugs).await;
    Ok(desk.owner.write(find).await?.into_iter().collect())
}

/// What becomes of a line whose slug is taken.
async fn of_taken(desk: Desk<'_>, id: Option<TenantId>, tenant: &ValidTenant) -> Outcome {
    let taken = || {
        let message = format!("The slug `{}` is taken.", tenant.slug);
        Outcome::Refused(vec![ControlRefusal::new(ControlErrorCode::SlugTaken, message, &["input", "slug"])])
    };
    let Some(id) = id else { return taken() };
    let is_owned = async |tx: &mut OwnerTx| seed::is_owned_by(&*tx.as_tenant(id).await?, &tenant.owner_email).await;
    match desk.owner.write(is_owned).await {
        Ok(true) => Outcome::Found,
        Ok(false) => taken(),
        Err(error) => Outcome::Failed(DbError::into(error)),
    }
}
