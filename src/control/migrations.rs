//! Bringing every tenant's schema to the newest version: one transaction each, a few at a time.
//!
//! A tenant that fails keeps its version and goes on working; the others are not kept waiting. Running it again goes
//! on with those that are behind.

mod repo;

use futures_util::stream::StreamExt as _;

use crate::db::migrate::{Plane, migrate_tenant, newest_version};
use crate::db::{DbError, OwnerDb, OwnerTx};
use crate::kernel::clock::Clock;
use crate::kernel::tenant::SchemaName;

/// Tenants that are migrated at once; schema changes are bound by the processor.
const CONCURRENCY: usize = 4;

/// What became of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Tenants that are at the newest version now and were not before.
    pub migrated: usize,
    /// Tenants that could not be migrated, by slug, and why.
    pub failed: Vec<(String, String)>,
}

/// Migrates every tenant that is behind. `on_progress` hears how many are done, and of how many.
///
/// # Errors
/// The list of tenants could not be read.
pub async fn migrate_all(
    owner: &OwnerDb,
    clock: &dyn Clock,
    on_progress: impl Fn(usize, usize),
) -> Result<Outcome, DbError> {
    let newest = newest_version(Plane::Tenant);
    let behind = owner.write(async |tx: &mut OwnerTx| repo::tenants_behind(tx, &newest).await).await?;
    let total = behind.len();
    let mut results = futures_util::stream::iter(behind)
        .map(|(id, slug)| {
            let newest = &newest;
            async move {
                let migrate = async |tx: &mut OwnerTx| {
                    // Two runs at once take turns at each tenant; the second finds nothing left to do.
                    repo::tenant_lock(tx, id).await?;
                    migrate_tenant(tx, &SchemaName::from(id)).await?;
                    repo::tenant_update_version(tx, id, newest, clock.now()).await
                };
                (slug, owner.write(migrate).await)
            }
        })
        .buffer_unordered(CONCURRENCY);
    let mut outcome = Outcome::default();
    while let Some((slug, result)) = results.next().await {
        match result {
            Ok(()) => outcome.migrated += 1,
            Err(error) => outcome.failed.push((slug, error.to_string())),
        }
        on_progress(outcome.migrated + outcome.failed.len(), total);
    }
    Ok(outcome)
}
