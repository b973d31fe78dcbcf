//! Proof that the wall holds: tenants try what must not be possible, all of them on demand, a few at a time all day.

use crate::control::tenants::Tenant;
use crate::control::tenants::service::{all_stand, standing_list};
use crate::db::probe::{ATTEMPTS_COUNT, Breach, probe};
use crate::db::{ControlDb, DbError, TenantDb};
use crate::kernel::ids::TenantId;
use crate::kernel::page::{Direction, PageRequest};
use crate::kernel::tenant::SchemaName;

/// Tenants that are read from the registry at once.
const PAGE_TENANTS: usize = 200;

/// Tenants that try in one round of the patrol: each makes some twenty attempts.
const PATROL_TENANTS: usize = 10;

/// What a verification found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Tenants that tried.
    pub tenants: usize,
    /// Attempts that were made.
    pub attempts: usize,
    /// Attempts that were not denied, by the slug of who made them.
    pub breaches: Vec<(String, Breach)>,
}

/// Lets every tenant try against its neighbour in the registry, the last one against the first.
///
/// # Errors
/// The database cannot be asked.
pub async fn verify(control: &ControlDb, tenants: &TenantDb) -> Result<Report, DbError> {
    let mut all: Vec<Tenant> = Vec::new();
    loop {
        let from = all.last().map(|tenant| tenant.slug.clone());
        let page =
            standing_list(control, PageRequest { limit: PAGE_TENANTS, direction: Direction::Forward, from }).await?;
        all.extend(page.items);
        if !page.has_next {
            break;
        }
    }
    try_all(control, tenants, &all).await
}

/// The next few tenants of the patrol after a slug: past the last tenant it goes on with the first.
///
/// # Errors
/// The database cannot be asked.
pub async fn patrol_page(control: &ControlDb, from: Option<String>) -> Result<Vec<Tenant>, DbError> {
    let read =
        |from| standing_list(control, PageRequest { limit: PATROL_TENANTS, direction: Direction::Forward, from });
    let mut tenants = read(from).await?.items;
    if tenants.len() < PATROL_TENANTS {
        let known: Vec<TenantId> = tenants.iter().map(|tenant| tenant.id).collect();
        let first = read(None).await?.items.into_iter().filter(|tenant| !known.contains(&tenant.id));
        tenants.extend(first.take(PATROL_TENANTS - known.len()));
    }
    Ok(tenants)
}

/// Lets each of some tenants try against the next one, the last against the first.
///
/// # Errors
/// The database cannot be asked.
pub async fn try_all(control: &ControlDb, tenants: &TenantDb, all: &[Tenant]) -> Result<Report, DbError> {
    let mut report = Report::default();
    for (index, tenant) in all.iter().enumerate() {
        try_against(control, tenants, tenant, &all[(index + 1) % all.len()], &mut report).await?;
    }
    Ok(report)
}

/// Lets a tenant try against another one, and adds what came of it to a report.
///
/// # Errors
/// The database cannot be asked.
pub async fn try_against(
    control: &ControlDb,
    tenants: &TenantDb,
    tenant: &Tenant,
    other: &Tenant,
    report: &mut Report,
) -> Result<(), DbError> {
    let Some(context) = tenant.context().filter(|_| other.id != tenant.id) else { return Ok(()) };
    let breaches = probe(tenants, &context, &SchemaName::from(other.id)).await?;
    // Of two that are left one may have been deleted meanwhile: what is not there is not denied.
    if !breaches.is_empty() && !all_stand(control, &[tenant.id, other.id]).await? {
        return Ok(());
    }
    for breach in &breaches {
        tracing::error!(
            security.event = "isolation_breach", tenant.slug = %tenant.slug, attempt = breach.attempt,
            outcome = breach.outcome, "A tenant could do what must not be possible"
        );
    }
    report.tenants += 1;
    report.attempts += ATTEMPTS_COUNT;
    report.breaches.extend(breaches.into_iter().map(|breach| (tenant.slug.clone(), breach)));
    Ok(())
}
