//! A flag as operators see it.

use chrono::{DateTime, NaiveDate, Utc};
use diesel::prelude::*;

use crate::db::schema::control::flags;
use crate::kernel::flags::Flag;

/// How far a flag is on.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = flags)]
pub struct FlagRow {
    /// The flag's name.
    pub name: String,
    /// Who sees to it that it goes.
    pub owner: String,
    /// By when.
    pub ends_on: NaiveDate,
    /// The percent of all tenants that it is on for.
    pub percent: i16,
    /// Who has changed it last.
    pub updated_by: String,
    /// When.
    pub updated_at: DateTime<Utc>,
}

/// What was decided for a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Queryable)]
pub struct ExceptionRow {
    /// The tenant's slug.
    pub tenant: String,
    /// Whether it is on.
    pub is_on: bool,
    /// Until when; without an end where there is none.
    pub ends_at: Option<DateTime<Utc>>,
    /// Why.
    pub reason: String,
    /// Who has decided it.
    pub updated_by: String,
    /// When.
    pub updated_at: DateTime<Utc>,
}

/// What was decided of a flag for a tenant, and by whom.
#[derive(Debug, Clone, PartialEq, Eq, Queryable)]
pub struct TenantException {
    /// The flag's name.
    pub flag: String,
    /// Whether it is on.
    pub is_on: bool,
    /// Until when; without an end where there is none.
    pub ends_at: Option<DateTime<Utc>>,
    /// Why.
    pub reason: String,
    /// Who has decided it.
    pub updated_by: String,
    /// When.
    pub updated_at: DateTime<Utc>,
}

/// A flag of this release, and how far it is on.
#[derive(Debug, Clone)]
pub struct FlagState {
    /// The flag.
    pub flag: Flag,
    /// How far it is on; nothing where nobody has switched it yet: it is off.
    pub row: Option<FlagRow>,
    /// What was decided for single tenants, by their slugs; the first so many.
    pub exceptions: Vec<ExceptionRow>,
}

/// How far a flag is to be on; what is `None` stays as it is.
#[derive(Debug, Clone, Default)]
pub struct FlagPatch {
    /// The percent of all tenants.
    pub percent: Option<i32>,
    /// Who sees to it that it goes.
    pub owner: Option<String>,
    /// By when.
    pub ends_on: Option<NaiveDate>,
}

/// What is decided for a tenant.
#[derive(Debug, Clone)]
pub struct Decision {
    /// Whether it is on.
    pub is_on: bool,
    /// Until when; without an end where there is none.
    pub ends_at: Option<DateTime<Utc>>,
    /// Why.
    pub reason: String,
}

impl FlagState {
    /// Whether it should have gone before a day.
    #[must_use]
    pub fn is_overdue(&self, today: NaiveDate) -> bool {
        self.row.as_ref().is_some_and(|row| row.ends_on < today)
    }
}
