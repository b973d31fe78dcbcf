//! Tenants' keys in the registry: made, rotated, and wrapped anew. All of it wrapped, and each change notified as any
//! other of the tenant's entry is.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::model::Tenant;
use super::registry::STALE_MAX;
use super::{repo, service};
use crate::control::archives::service::{archive_count_by_master, archive_rewrap_all};
use crate::control::audit::Operator;
use crate::control::audit::service::record;
use crate::control::error::{ControlError, ControlErrorCode};
use crate::control::jobs::{NewJob, job_enqueue};
use crate::db::{ControlDb, ControlTx, DbError, OwnerDb, OwnerTx};
use crate::kernel::clock::Clock;
use crate::kernel::keys::{Purpose, TenantKeys};
use crate::kernel::page::{Direction, PageRequest};
use crate::vault::{KeyError, Vault};

/// How long a new data key is known before it seals: longer than any server serves a tenant from an old entry, so that
/// nobody meets a value whose key it has not heard of.
pub const HEAD_START: Duration = Duration::from_secs(600);
const _: () = assert!(HEAD_START.as_secs() > STALE_MAX.as_secs());

/// The kind of the job that seals anew, with a tenant's new key, the keys that an earlier one sealed. Its payload is the
/// new key's id.
pub const RESEAL: &str = "keys.reseal";

/// How long a new key seals before that: whoever's clock is behind must have begun as well.
pub const RESEAL_MARGIN: Duration = Duration::from_secs(300);

/// Keys of a tenant at most: each is in its entry, which is read all day.
const KEYS_MAX: usize = 20;

/// Tenants that are read or changed in one go.
const BATCH: usize = 200;

/// How many keys a master key wraps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wrapped {
    /// Keys of tenants and archives, by the id of the master key.
    pub by_master: BTreeMap<String, usize>,
    /// Tenants that have no keys.
    pub without: usize,
}

/// What became of wrapping all keys anew.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Keys that are wrapped by the first master key now and were not before.
    pub rewrapped: usize,
    /// Tenants whose keys could not be wrapped anew, by slug, and why.
    pub failed: Vec<(String, String)>,
}

/// Keys as the registry stores them.
#[must_use]
pub fn to_json(keys: &TenantKeys) -> Value {
    json!(keys)
}

/// Gives a tenant a new data key, which seals after [`HEAD_START`]. What the earlier ones sealed, they open; persons' keys
/// among it are sealed anew by a job, [`RESEAL_MARGIN`] later.
///
/// # Errors
/// There is no such tenant, it has as many keys as it may have, or there is no master key.
pub async fn tenant_rotate_key(
    control: &ControlDb,
    vault: &Vault,
    clock: &dyn Clock,
    operator: &Operator,
    slug: &str,
) -> Result<Tenant, ControlError> {
    let refused = |code, message: String| ControlError::refused(code, message, &["slug"]);
    let not_found = || refused(ControlErrorCode::TenantNotFound, format!("There is no tenant `{slug}`."));
    control
        .write(async |tx: &mut ControlTx| {
            let tenant = repo::tenant_lock(tx, slug).await?.ok_or_else(not_found)?;
            let mut keys = keys(&tenant)?;
            if keys.0.is_empty() {
                return Err(KeyError::NoKeys.into());
            }
            if keys.0.len() >= KEYS_MAX {
                let message = format!("The tenant has {KEYS_MAX} keys, and no more may be added.");
                return Err(refused(ControlErrorCode::TenantKeyLimit, message));
            }
            let key = vault.tenant_key_new(tenant.id, Purpose::Data, HEAD_START)?;
            let details = json!({ "key": key.id, "master": key.master, "from": key.from });
            record(tx, clock, operator, ("tenant.rotate_key", slug), details).await?;
            let reseal = NewJob {
                id: clock.new_id(),
                tenant: Some(tenant.id),
                kind: RESEAL,
                payload: json!({ "key": key.id }),
                unique_key: None,
                at: Some(key.from + RESEAL_MARGIN),
            };
            job_enqueue(tx, reseal).await?;
            keys.0.push(key);
            repo::tenant_update_keys(tx, &tenant, to_json(&keys), clock.now()).await?.ok_or_else(not_found)
        })
        .await
}

/// How many keys each master key wraps.
///
/// # Errors
/// The database failed.
pub async fn wrapped(control: &ControlDb) -> Result<Wrapped, DbError> {
    let mut wrapped = Wrapped::default();
    each(control, async |tenant: &Tenant| {
        // The keys of one that is gone, or going, are destroyed.
        if tenant.is_going() {
            return Ok(());
        }
        let keys = keys(tenant)?;
        wrapped.without += usize::from(keys.0.is_empty());
        for key in keys.0 {
            *wrapped.by_master.entry(key.master).or_default() += 1;
        }
        Ok(())
    })
    .await?;
    for (master, keys) in archive_count_by_master(control).await? {
        *wrapped.by_master.entry(master).or_default() += usize::try_from(keys).unwrap_or_default();
    }
    Ok(wrapped)
}

/// Wraps the keys of all tenants and archives under the first master key, a tenant a transaction.
///
/// Broken off, it is run again and goes on with those that are left. Servers that have both master keys notice nothing.
///
/// # Errors
/// The list of tenants could not be read.
pub async fn rewrap_all(
    control: &ControlDb,
    vault: &Vault,
    clock: &dyn Clock,
    operator: &Operator,
) -> Result<Outcome, DbError> {
    let mut outcome = Outcome::default();
    each(control, async |tenant: &Tenant| {
        match tenant_rewrap(control, vault, clock, operator, tenant).await {
            Ok(count) => outcome.rewrapped += count,
            Err(ControlError::Db(error)) => return Err(error),
            Err(ControlError::Key(error)) => outcome.failed.push((tenant.slug.clone(), error.to_string())),
            Err(other) => outcome.failed.push((tenant.slug.clone(), format!("{other:?}"))),
        }
        Ok(())
    })
    .await?;
    match archive_rewrap_all(control, vault).await {
        Ok(count) => outcome.rewrapped += count,
        Err(ControlError::Db(error)) => return Err(error),
        Err(ControlError::Key(error)) => outcome.failed.push(("archives".to_owned(), error.to_string())),
        Err(other) => outcome.failed.push(("archives".to_owned(), format!("{other:?}"))),
    }
    Ok(outcome)
}

async fn tenant_rewrap(
    control: &ControlDb,
    vault: &Vault,
    clock: &dyn Clock,
    operator: &Operator,
    tenant: &Tenant,
) -> Result<usize, ControlError> {
    let is_done = |keys: &TenantKeys| keys.0.iter().all(|key| vault.master_first() == Some(&key.master));
    if is_done(&keys(tenant)?) {
        return Ok(0);
    }
    control
        .write(async |tx: &mut ControlTx| {
            // Read again under the lock: a key may have been added meanwhile.
            let Some(tenant) = repo::tenant_lock(tx, &tenant.slug).await? else { return Ok(0) };
            let (mut keys, mut count) = (keys(&tenant)?, 0);
            for key in &mut keys.0 {
                if let Some(rewrapped) = vault.rewrap(tenant.id, key)? {
                    *key = rewrapped;
                    count += 1;
                }
            }
            let details = json!({ "master": vault.master_first(), "keys": count });
            record(tx, clock, operator, ("tenant.rewrap_keys", &tenant.slug), details).await?;
            repo::tenant_update_keys(tx, &tenant, to_json(&keys), clock.now()).await?;
            Ok(count)
        })
        .await
}

/// Makes keys for tenants that have none, because they are older than tenants' keys are, and answers how many there were.
///
/// # Errors
/// The database failed, or there is no master key.
pub async fn make_missing(
    owner: &OwnerDb,
    vault: &Vault,
    clock: &dyn Clock,
    operator: &Operator,
) -> Result<usize, ControlError> {
    let batch = async |tx: &mut OwnerTx| {
        let tenants = repo::tenants_without_keys(tx, BATCH as i64).await?;
        for tenant in &tenants {
            let keys = vault.tenant_keys_new(tenant.id)?;
            record(tx, clock, operator, ("tenant.make_keys", &tenant.slug), json!({})).await?;
            repo::tenant_update_keys(tx, tenant, to_json(&keys), clock.now()).await?;
        }
        Ok::<_, ControlError>(tenants.len())
    };
    let mut total = 0;
    loop {
        // Each round leaves fewer without, so the loop ends.
        match owner.write(batch).await? {
            0 => return Ok(total),
            count => total += count,
        }
    }
}

/// Calls with each tenant, in the order of slugs.
async fn each(control: &ControlDb, mut work: impl AsyncFnMut(&Tenant) -> Result<(), DbError>) -> Result<(), DbError> {
    let mut from = None;
    loop {
        let request = PageRequest { limit: BATCH, direction: Direction::Forward, from };
        let page = service::tenant_list(control, request).await?;
        for tenant in &page.items {
            work(tenant).await?;
        }
        match page.items.last() {
            Some(tenant) if page.has_next => from = Some(tenant.slug.clone()),
            _ => return Ok(()),
        }
    }
}

fn keys(tenant: &Tenant) -> Result<TenantKeys, DbError> {
    tenant.keys().ok_or_else(|| DbError::Other(format!("the keys of `{}` cannot be read", tenant.slug)))
}
