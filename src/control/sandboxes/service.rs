//! Decisions about sandboxes.

use serde_json::json;

use super::repo;
use crate::control::audit::service::record;
use crate::control::error::{ControlError, ControlErrorCode};
use crate::control::notices::notice_insert;
use crate::control::provisioning::Desk;
use crate::control::provisioning::model::{Entry, NAME_LEN_MAX, slug_code};
use crate::control::provisioning::repo::tenant_insert;
use crate::control::provisioning::service::{OWNER_MAIL, mails_enqueue};
use crate::control::spares::service::schemas_make;
use crate::control::tenants::keys::to_json;
use crate::control::tenants::{Tenant, TenantStatus};
use crate::db::copy::{Between, Replaced};
use crate::db::migrate::{Plane, newest_version};
use crate::db::{DbError, OwnerTx};
use crate::failure::Failure;
use crate::kernel::email::Email;
use crate::kernel::ids::{OrderId, TenantId};
use crate::kernel::tenant::{SchemaName, TenantCtx, TenantSlug};
use crate::tenant::sandbox::{self, CUSTOMERS, Disguised, ORDERS};
use crate::tenant::seed;
use crate::tenant::tables::{Sandbox, TABLES};

/// What operators are told of.
const NOTICE: &str = "tenant.cloned";

/// What a copy counts on from: orders and events, but not the trail, which begins anew.
const COUNTS: (&str, &[&str]) = ("tenant_head", &["order_number", "event_position"]);

/// Copies a shop without its people, all or nothing. Where an address is given, its owner is invited; else nobody can log
/// in.
///
/// # Errors
/// The slug is none or taken, the address is none, there is no such shop, it is on its way out, its schema is not at the
/// newest version or not filled in; or there is no master key.
pub async fn tenant_clone(
    desk: Desk<'_>,
    slug: &str,
    copy: &str,
    owner_email: Option<&str>,
) -> Result<Tenant, ControlError> {
    let (copy, owner_email) = valid(copy, owner_email)?;
    let slug: TenantSlug = slug.parse().map_err(|_| not_found(slug))?;
    let find = async |tx: &mut OwnerTx| repo::tenant_by_slug(tx, &slug).await;
    let source = desk.owner.write(find).await?.ok_or_else(|| not_found(slug.as_str()))?;
    usable(&source)?;
    let work = async |tx: &mut OwnerTx| {
        // Before the first statement that reads: what is read is of one moment, and has one form until the end.
        let tables: Vec<&'static str> = TABLES.iter().map(|table| table.name).collect();
        tx.hold_tables(&SchemaName::from(source.id), &tables).await?;
        let source = repo::tenant_by_id(tx, source.id).await?.ok_or_else(|| not_found(slug.as_str()))?;
        usable(&source)?;
        filled(tx, source.id).await?;
        let tenant = register(desk, tx, &source, &copy).await?;
        let context = tenant.context().ok_or_else(|| DbError::Other("the copy has no context".to_owned()))?;
        schemas_make(tx, &[tenant.id]).await?;
        seed::stamp(&mut tx.as_tenant(tenant.id).await?, tenant.id).await?;
        fill(desk, tx, source.id, &context).await?;
        if let Some(email) = &owner_email {
            seed::owner(&mut tx.as_tenant(tenant.id).await?, desk.clock, email).await?;
            mails_enqueue(tx, desk.clock, tenant.id, email, &[OWNER_MAIL]).await?;
        }
        let details = json!({ "from": source.slug, "slug": tenant.slug });
        record(tx, desk.clock, desk.operator, ("tenant.clone", copy.as_str()), details.clone()).await?;
        notice_insert(tx, desk.clock, NOTICE, details).await?;
        Ok(tenant)
    };
    desk.owner.write_of_one_moment(work).await
}

fn valid(copy: &str, owner_email: Option<&str>) -> Result<(TenantSlug, Option<Email>), ControlError> {
    let slug = copy
        .parse::<TenantSlug>()
        .map_err(|error| ControlError::refused(slug_code(error), format!("`{copy}`: {error}."), &["as"]))?;
    let email = owner_email.map(str::parse::<Email>).transpose().map_err(|error| {
        let message = format!("The owner's address is {error}.");
        ControlError::refused(ControlErrorCode::OwnerEmailInvalid, message, &["ownerEmail"])
    })?;
    Ok((slug, email))
}

fn not_found(slug: &str) -> ControlError {
    let message = format!("There is no tenant `{slug}`.");
    ControlError::refused(ControlErrorCode::TenantNotFound, message, &["slug"])
}

/// Refuses a shop that cannot be copied now.
fn usable(source: &Tenant) -> Result<(), ControlError> {
    if !matches!(source.status(), TenantStatus::Active | TenantStatus::Suspended) {
        let message = format!("The tenant is {}.", source.status);
        return Err(ControlError::refused(ControlErrorCode::TenantStatusConflict, message, &["slug"]));
    }
    let newest = newest_version(Plane::Tenant);
    if source.schema_version != newest {
        let message = format!("The tenant is at version {}, not at {newest}; migrate it first.", source.schema_version);
        return Err(ControlError::refused(ControlErrorCode::TenantBehind, message, &["slug"]));
    }
    Ok(())
}

/// Refuses a shop that a backfill is under way in: no job would do the rest of it in the copy.
async fn filled(tx: &mut OwnerTx, source: TenantId) -> Result<(), ControlError> {
    let Some(version) = repo::backfill_open(tx, source).await? else { return Ok(()) };
    let message = format!("The tenant's backfill of {version} is not done; clone it when it is.");
    Err(ControlError::refused(ControlErrorCode::TenantBehind, message, &["slug"]))
}

/// Enters the copy into the registry, with keys of its own.
async fn register(
    desk: Desk<'_>,
    tx: &mut OwnerTx,
    source: &Tenant,
    copy: &TenantSlug,
) -> Result<Tenant, ControlError> {
    let id = TenantId(desk.clock.new_id());
    let keys = to_json(&desk.vault.tenant_keys_new(id)?);
    let name: String = format!("Sandbox of {}", source.name).chars().take(NAME_LEN_MAX).collect();
    let unreadable = |_| DbError::Other(format!("the currency of `{}` cannot be read", source.slug));
    let currency = source.currency.parse().map_err(unreadable)?;
    let entry = Entry { slug: copy, name: &name, plan: &source.plan, currency };
    tenant_insert(tx, id, entry, &source.schema_version, keys, desk.clock.now()).await.map_err(|error| match error {
        DbError::Unique(constraint) if constraint == "tenants_slug_key" => {
            ControlError::refused(ControlErrorCode::SlugTaken, format!("The slug `{copy}` is taken."), &["as"])
        }
        error => error.into(),
    })
}

/// Fills a copy, table by table, so that whatever a row refers to is there before it.
async fn fill(desk: Desk<'_>, tx: &mut OwnerTx, source: TenantId, copy: &TenantCtx) -> Result<(), ControlError> {
    let from = SchemaName::from(source);
    let between = Between { from: &from, to: &copy.schema };
    for table in TABLES {
        match table.sandbox {
            // With the customers.
            Sandbox::Copied(_) if table.name == ORDERS => {}
            Sandbox::Copied(_) if table.name == CUSTOMERS => people(desk, tx, source, copy, between).await?,
            Sandbox::Copied(masks) => {
                tx.copy_table(between, table.name, masks).await?;
            }
            Sandbox::Left => {}
        }
    }
    Ok(tx.copy_counts(between, COUNTS.0, COUNTS.1).await?)
}

/// Copies customers and their orders as nobody's, a page after the other.
async fn people(
    desk: Desk<'_>,
    tx: &mut OwnerTx,
    source: TenantId,
    copy: &TenantCtx,
    between: Between<'_>,
) -> Result<(), ControlError> {
    let mut last = None;
    loop {
        // Each page begins behind the last one's end, so the loop ends with the customers.
        let read = tx.as_tenant(source).await?;
        let Some(page) = sandbox::page(&read, last.as_ref()).await? else { return Ok(()) };
        let disguised = page.disguise(desk.vault, copy).map_err(of_shop)?;
        let replaced = vec![
            Replaced { column: "email_hash", values: disguised.email_hashes.clone() },
            Replaced { column: "subject_key", values: disguised.subject_keys.clone() },
        ];
        let ids = disguised.ids.iter().map(|id| id.0).collect();
        tx.copy_rows(between, CUSTOMERS, ids, replaced).await?;
        orders(tx, source, &disguised, between).await?;
        last = Some(page);
    }
}

async fn orders(
    tx: &mut OwnerTx,
    source: TenantId,
    customers: &Disguised<'_>,
    between: Between<'_>,
) -> Result<(), ControlError> {
    let mut after: Option<OrderId> = None;
    loop {
        let read = tx.as_tenant(source).await?;
        let orders = customers.orders(&read, after).await.map_err(of_shop)?;
        let Some((last, _)) = orders.last() else { return Ok(()) };
        after = Some(*last);
        let (ids, sealed) = orders.into_iter().map(|(id, sealed)| (id.0, Some(sealed))).unzip();
        tx.copy_rows(between, ORDERS, ids, vec![Replaced { column: "customer_sealed", values: sealed }]).await?;
    }
}

/// A failure in the shop as one of the control plane: no input can mend any of them.
fn of_shop<C: std::fmt::Debug>(failure: Failure<C>) -> ControlError {
    match failure {
        Failure::Db(error) => error.into(),
        Failure::Key(error) => error.into(),
        other => DbError::Other(format!("{other:?}")).into(),
    }
}
