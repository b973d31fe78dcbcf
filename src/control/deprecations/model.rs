//! Use of what goes away over all tenants, and extensions.

use chrono::{DateTime, NaiveDate, Utc};
use diesel::prelude::*;
use uuid::Uuid;

use crate::kernel::ids::TenantId;

/// The use of a part by one program of a tenant, as the tenant's own table has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Used {
    /// The part's schema coordinate.
    pub part: String,
    /// The operation's name; empty where it has none.
    pub operation: String,
    /// The id of an API key, or the kind of another credential.
    pub credential: String,
    /// What the program calls itself; empty where it does not say.
    pub client: String,
    /// How many operations.
    pub count: i64,
    /// When the first one was.
    pub first_used_at: DateTime<Utc>,
    /// When the last one was.
    pub last_used_at: DateTime<Utc>,
}

/// The same with whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantUsage {
    /// The tenant.
    pub tenant: TenantId,
    /// Its slug.
    pub slug: String,
    /// What it uses.
    pub used: Used,
}

/// The place of a row in a list: the tenant, the part, the operation, the credential, the client.
pub type UsagePlace = (Uuid, [String; 4]);

/// Which rows.
#[derive(Debug, Clone, Default)]
pub struct UsageFilter {
    /// Those of the tenant with this slug.
    pub slug: Option<String>,
    /// Those of this part.
    pub part: Option<String>,
    /// Those used then or later.
    pub used_since: Option<DateTime<Utc>>,
}

/// A tenant that has used a part of late.
#[derive(Debug, Clone, PartialEq, Eq, Queryable)]
pub struct User {
    /// The tenant.
    #[diesel(deserialize_as = Uuid)]
    pub tenant: TenantId,
    /// Its slug.
    pub slug: String,
    /// What it was given more time to.
    pub until: Option<NaiveDate>,
    /// How many operations, since they are counted.
    pub count: i64,
    /// When the last one was.
    pub last_used_at: DateTime<Utc>,
    /// Their names.
    pub operations: Vec<String>,
}

/// More time for a tenant and a part.
#[derive(Debug, Clone, PartialEq, Eq, Queryable)]
pub struct Extension {
    /// The tenant's slug.
    pub slug: String,
    /// The part's schema coordinate.
    pub part: String,
    /// The first day, in UTC, on which it is gone for the tenant.
    pub until: NaiveDate,
    /// Why.
    pub reason: String,
    /// Who gave it.
    pub made_by: String,
    /// When.
    pub made_at: DateTime<Utc>,
}

/// How much a part is still used.
#[derive(Debug, Clone, PartialEq, Eq, Queryable)]
pub struct PartCount {
    /// The part's schema coordinate.
    pub part: String,
    /// How many tenants have used it of late.
    pub tenants: i64,
}
