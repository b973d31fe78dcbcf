//! An identity provider as the tenant has it.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::db::schema::tenant::identity_providers;
use crate::kernel::ids::IdentityProviderId;

/// An issuer of tokens that the shop trusts.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = identity_providers)]
pub struct IdentityProvider {
    /// The provider.
    #[diesel(deserialize_as = Uuid)]
    pub id: IdentityProviderId,
    /// What its tokens have as `iss`.
    pub issuer: String,
    /// Where its public keys are.
    pub jwks_url: String,
    /// What its tokens for this shop have as `aud`.
    pub audience: String,
    /// When it was entered.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

impl IdentityProvider {
    /// What the trail keeps of it.
    #[must_use]
    pub fn trail(&self) -> Value {
        json!({ "issuer": self.issuer, "jwksUrl": self.jwks_url, "audience": self.audience })
    }
}
