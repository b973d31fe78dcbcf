//! SQL of provisioning: all of it under the owner's login.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, Bool, Text, Uuid as SqlUuid};
use uuid::Uuid;

use super::model::Entry;
use crate::control::tenants::{Tenant, TenantStatus};
use crate::db::schema::control::tenants;
use crate::db::statement::statement;
use crate::db::{DbError, OwnerTx};
use crate::kernel::ids::TenantId;
use crate::kernel::tenant::SchemaName;

/// Enters a tenant into the registry. A slug that is being taken makes this wait for the other's end.
pub async fn tenant_insert(
    tx: &mut OwnerTx,
    id: TenantId,
    entry: Entry<'_>,
    schema_version: &str,
    keys: serde_json::Value,
    now: DateTime<Utc>,
) -> Result<Tenant, DbError> {
    let insert = diesel::insert_into(tenants::table)
        .values((
            tenants::id.eq(id.0),
            tenants::slug.eq(entry.slug.as_str().to_owned()),
            tenants::schema_name.eq(SchemaName::from(id).as_str().to_owned()),
            tenants::name.eq(entry.name.to_owned()),
            tenants::plan.eq(entry.plan.to_owned()),
            tenants::currency.eq(entry.currency.code()),
            // Nobody sees the row before the transaction ends, and then all is there.
            tenants::status.eq(TenantStatus::Active.as_str()),
            tenants::schema_version.eq(schema_version.to_owned()),
            tenants::created_at.eq(now),
            tenants::updated_at.eq(now),
            tenants::keys.eq(keys),
        ))
        .returning(Tenant::as_returning());
    tx.load(insert).await?.pop().ok_or_else(|| DbError::Other("the new tenant's row was not returned".to_owned()))
}

statement!(
    /// Which of these slugs are taken, by whom, and whether their shop is there.
    Taken { slugs: Vec<String> => Array<Text> } -> (Text, SqlUuid, Bool) = "
SELECT tenants.slug, tenants.id, tenants.status IN ('active', 'suspended')
FROM control.tenants WHERE tenants.slug = ANY ({})"
);

/// Which of these slugs are taken, and by whom; by nobody any more where the shop is gone or on its way out.
pub async fn slugs_taken(tx: &mut OwnerTx, slugs: Vec<String>) -> Result<Vec<(String, Option<TenantId>)>, DbError> {
    let rows: Vec<(String, Uuid, bool)> = tx.load(Taken { slugs }).await?;
    Ok(rows.into_iter().map(|(slug, id, is_there)| (slug, is_there.then_some(TenantId(id)))).collect())
}
