//! SQL of identity providers.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use uuid::Uuid;

use super::model::IdentityProvider;
use crate::db::schema::tenant::identity_providers;
use crate::db::{DbError, TenantRead, TenantTx};
use crate::kernel::ids::IdentityProviderId;
use crate::tenant::idempotency::Recall;

impl Recall for IdentityProvider {
    fn id(&self) -> Uuid {
        self.id.0
    }

    async fn recall(read: &TenantRead, id: Uuid) -> Result<Option<Self>, DbError> {
        Ok(provider_first(read).await?.filter(|provider| provider.id.0 == id))
    }
}

/// The shop's provider, if it has one.
pub async fn provider_first(read: &TenantRead) -> Result<Option<IdentityProvider>, DbError> {
    let query = identity_providers::table.order(identity_providers::id).limit(1);
    read.first(query.select(IdentityProvider::as_select())).await
}

/// Enters a provider in the place of the one that was there.
pub async fn provider_replace(
    tx: &mut TenantTx,
    id: IdentityProviderId,
    (issuer, jwks_url, audience): (&str, &str, &str),
    now: DateTime<Utc>,
) -> Result<IdentityProvider, DbError> {
    provider_delete(tx).await?;
    let insert = diesel::insert_into(identity_providers::table)
        .values((
            identity_providers::id.eq(id.0),
            identity_providers::issuer.eq(issuer.to_owned()),
            identity_providers::jwks_url.eq(jwks_url.to_owned()),
            identity_providers::audience.eq(audience.to_owned()),
            identity_providers::created_at.eq(now),
            identity_providers::updated_at.eq(now),
        ))
        .returning(IdentityProvider::as_returning());
    tx.one(insert).await
}

/// Removes the provider.
pub async fn provider_delete(tx: &mut TenantTx) -> Result<usize, DbError> {
    tx.execute(diesel::delete(identity_providers::table)).await
}
