//! A plan, and what was agreed beside it.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use uuid::Uuid;

use crate::db::schema::control::{plan_overrides, plans};
use crate::kernel::ids::TenantId;
use crate::kernel::limits::{LimitKind, Limits};

/// What a tenant pays for.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = plans)]
pub struct Plan {
    /// Its name for programs.
    pub code: String,
    /// Its name for people.
    pub name: String,
    /// What it gives.
    #[diesel(embed)]
    pub limits: PlanLimits,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

/// The columns of a plan's limits.
#[derive(Debug, Clone, Queryable, Selectable, AsChangeset)]
#[diesel(table_name = plans)]
pub struct PlanLimits {
    points_per_minute: i32,
    requests_per_minute: i32,
    mutations_per_minute: i32,
    concurrent_operations: i32,
    books: i32,
    webhook_endpoints: i32,
    jobs: i32,
    page_size: i32,
    weight: i32,
}

impl From<&PlanLimits> for Limits {
    fn from(row: &PlanLimits) -> Self {
        // The table has none that are negative.
        let positive = |value: i32| u32::try_from(value).unwrap_or(0);
        Self {
            points_per_minute: positive(row.points_per_minute),
            requests_per_minute: positive(row.requests_per_minute),
            mutations_per_minute: positive(row.mutations_per_minute),
            concurrent_operations: positive(row.concurrent_operations),
            books: positive(row.books),
            webhook_endpoints: positive(row.webhook_endpoints),
            jobs: positive(row.jobs),
            page_size: positive(row.page_size),
            weight: positive(row.weight),
        }
    }
}

impl From<Limits> for PlanLimits {
    fn from(limits: Limits) -> Self {
        let [
            points_per_minute,
            requests_per_minute,
            mutations_per_minute,
            concurrent_operations,
            books,
            webhook_endpoints,
            jobs,
            page_size,
            weight,
        ] = LimitKind::ALL.map(|kind| i32::try_from(limits.get(kind)).unwrap_or(i32::MAX));
        Self {
            points_per_minute,
            requests_per_minute,
            mutations_per_minute,
            concurrent_operations,
            books,
            webhook_endpoints,
            jobs,
            page_size,
            weight,
        }
    }
}

/// What was agreed for a tenant beside its plan.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = plan_overrides)]
pub struct Override {
    /// The tenant.
    #[diesel(deserialize_as = Uuid)]
    pub tenant_id: TenantId,
    /// The name of the limit.
    pub limit_name: String,
    /// What it is in the place of the plan's.
    pub value: i32,
    /// From when on it is the plan's again.
    pub ends_at: DateTime<Utc>,
    /// Why.
    pub reason: String,
    /// Who agreed to it.
    pub made_by: String,
    /// When.
    pub made_at: DateTime<Utc>,
}

/// What is to be changed of a plan.
#[derive(Debug, Clone, Default)]
pub struct PlanPatch {
    /// Its name for people.
    pub name: Option<String>,
    /// Limits, each with the field of the call that has it.
    pub limits: Vec<(LimitKind, i32, Cow<'static, str>)>,
}

/// What is to be agreed for a tenant.
#[derive(Debug, Clone)]
pub struct NewOverride {
    /// The limit.
    pub limit: LimitKind,
    /// What it is to be.
    pub value: i32,
    /// From when on it is the plan's again.
    pub ends_at: DateTime<Utc>,
    /// Why.
    pub reason: String,
}
