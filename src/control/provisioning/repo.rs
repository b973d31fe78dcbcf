//! SQL of provisioning: all of it under the owner's login.

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use super::model::ValidTenant;
use crate::control::tenants::{Tenant, TenantStatus};
use crate::db::schema::control::{plans, tenants};
use crate::db::{DbError, OwnerTx};
use crate::kernel::ids::TenantId;
use crate::kernel::tenant::SchemaName;

/// Whether there is a plan with a code.
pub async fn plan_exists(tx: &mut OwnerTx, code: &str) -> Result<bool, DbError> {
    let found: Vec<String> = tx.load(plans::table.find(code.to_owned()).select(plans::code)).await?;
    Ok(!found.is_empty())
}

/// Enters a tenant into the registry. A slug that is being taken makes this wait for the other's end.
pub async fn tenant_insert(
    tx: &mut OwnerTx,
    id: TenantId,
    tenant: &ValidTenant,
    schema_version: &str,
    keys: serde_json::Value,
    now: DateTime<Utc>,
) -> Result<Option<Tenant>, DbError> {
    let insert = diesel::insert_into(tenants::table)
        .values((
            tenants::id.eq(id.0),
            tenants::slug.eq(tenant.slug.as_str().to_owned()),
            tenants::schema_name.eq(SchemaName::from(id).as_str().to_owned()),
            tenants::name.eq(tenant.name.clone()),
            tenants::plan.eq(tenant.plan.clone()),
            tenants::currency.eq(tenant.currency.code()),
            // Nobody sees the row before the transaction ends, and then all is there.
            tenants::status.eq(TenantStatus::Active.as_str()),
            tenants::schema_version.eq(schema_version.to_owned()),
            tenants::created_at.eq(now),
            tenants::updated_at.eq(now),
            tenants::keys.eq(keys),
        ))
        .returning(Tenant::as_returning());
    Ok(tx.load(insert).await?.pop())
}
