//! A tenant as the registry has it.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde::Deserialize as _;
use serde_json::Value;
use uuid::Uuid;

use crate::db::schema::control::{tenant_extensions, tenant_limits, tenant_terms, tenants};
use crate::kernel::deprecation::Extensions;
use crate::kernel::flags::Flags;
use crate::kernel::ids::TenantId;
use crate::kernel::keys::TenantKeys;
use crate::kernel::limits::Limits;
use crate::kernel::settings::Ruled;
use crate::kernel::tenant::{SchemaName, TenantCtx};

/// A row of the registry.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = tenants)]
pub struct Tenant {
    /// The tenant.
    #[diesel(deserialize_as = Uuid)]
    pub id: TenantId,
    /// Its name in addresses.
    pub slug: String,
    /// Its name for people.
    pub name: String,
    /// The code of its plan.
    pub plan: String,
    /// The currency of its prices.
    pub currency: String,
    /// Its state, as text.
    pub status: String,
    /// Why it is suspended.
    pub suspension_reason: Option<String>,
    /// The newest migration of its schema.
    pub schema_version: String,
    /// When it was provisioned.
    pub created_at: DateTime<Utc>,
    /// When its row last changed.
    pub updated_at: DateTime<Utc>,
    /// Its keys, wrapped, as JSON.
    pub keys: Value,
    /// Under whose id its values are sealed, where that is not its own: it was restored.
    pub sealed_as: Option<Uuid>,
    /// What was decided for it and its plan, as JSON: settings, and flags.
    #[diesel(select_expression = tenant_terms(tenants::id, tenants::plan))]
    #[diesel(select_expression_type = tenant_terms<tenants::id, tenants::plan>)]
    pub terms: Value,
    /// What it may use: its plan's limits, with what goes before them, as JSON.
    #[diesel(select_expression = tenant_limits(tenants::id, tenants::plan))]
    #[diesel(select_expression_type = tenant_limits<tenants::id, tenants::plan>)]
    pub limits: Option<Value>,
    /// What it was given more time for, as JSON.
    #[diesel(select_expression = tenant_extensions(tenants::id))]
    #[diesel(select_expression_type = tenant_extensions<tenants::id>)]
    pub extensions: Value,
}

/// A tenant's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TenantStatus {
    /// Being made; nobody can use it yet.
    Provisioning,
    /// In use.
    Active,
    /// Closed to its users, data kept.
    Suspended,
    /// On its way out: suspended, exported, waiting to be deleted.
    Offboarding,
    /// Gone.
    Deleted,
}

impl TenantStatus {
    /// The text that the registry stores.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Provisioning => "provisioning",
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Offboarding => "offboarding",
            Self::Deleted => "deleted",
        }
    }
}

impl FromStr for TenantStatus {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Provisioning, Self::Active, Self::Suspended, Self::Offboarding, Self::Deleted]
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or_else(|| format!("unknown tenant status `{text}`"))
    }
}

impl Tenant {
    /// The state. A text that no version knows counts as deleted: nobody gets in by it.
    #[must_use]
    pub fn status(&self) -> TenantStatus {
        self.status.parse().unwrap_or(TenantStatus::Deleted)
    }

    /// The context that tenant code runs in; `None` where the row holds what this version cannot read.
    #[must_use]
    pub fn context(&self) -> Option<Arc<TenantCtx>> {
        Some(Arc::new(TenantCtx {
            id: self.id,
            slug: self.slug.parse().ok()?,
            schema: SchemaName::from(self.id),
            name: self.name.clone(),
            plan: self.plan.clone(),
            limits: self.limits()?,
            ruled: Arc::new(Ruled::of(&self.terms["tenant"], &self.terms["plan"])),
            flags: Flags::of(&self.terms["flags"]),
            extensions: Extensions::deserialize(&self.extensions).ok()?,
            currency: self.currency.parse().ok()?,
            keys: self.keys()?,
            sealed_as: self.sealed_as(),
        }))
    }

    /// What it may use; `None` where it is in a form that this version cannot read.
    #[must_use]
    pub fn limits(&self) -> Option<Limits> {
        Limits::deserialize(self.limits.as_ref()?).ok()
    }

    /// How long its limits are what they are, as far as that was known when they were read: until something ends that was
    /// agreed for it alone.
    #[must_use]
    pub fn limits_hold(&self) -> Option<Duration> {
        let seconds = self.limits.as_ref()?.get("ends_in_s")?.as_f64()?;
        Duration::try_from_secs_f64(seconds.max(0.0)).ok()
    }

    /// Under whose id its values are sealed: its own, or that of the tenant whose archive it was restored from.
    #[must_use]
    pub fn sealed_as(&self) -> TenantId {
        self.sealed_as.map_or(self.id, TenantId)
    }

    /// Whether it is gone, or has lost its keys and loses its tables one by one.
    #[must_use]
    pub fn is_going(&self) -> bool {
        let has_no_keys = self.keys.as_array().is_some_and(Vec::is_empty);
        self.status() == TenantStatus::Deleted || self.status() == TenantStatus::Offboarding && has_no_keys
    }

    /// The keys; `None` where they are in a form that this version cannot read.
    #[must_use]
    pub fn keys(&self) -> Option<TenantKeys> {
        TenantKeys::deserialize(&self.keys).ok()
    }
}
