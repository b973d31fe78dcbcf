//! - `ARCHIVE_RETENTION_DAYS` (90): how long archives of tenants are kept.
//! - `ARCHIVE_EVERY_DAYS` (0): how often each tenant is archived without being asked; 0 for never.
//! - `AUDIT_RETENTION_YEARS` (7): how long the trail of a tenant who left is kept.
//! - `OFFBOARDING_GRACE_DAYS` (30): how long a tenant who leaves is kept before it is deleted; 0 for no longer than its
//!   archives take.
//! - `BACKUP_HORIZON_DAYS` (35): how long backups of the database are kept. Nothing here deletes them: certificates say it.

use chrono::TimeDelta;

use super::Reader;

/// How long things are kept that are not kept for good.
#[derive(Debug, Clone, Copy)]
pub struct RetentionConfig {
    /// How long archives of tenants are kept.
    pub archives: TimeDelta,
    /// How often each tenant is archived without being asked, if at all.
    pub archive_every: Option<TimeDelta>,
    /// How long the trail of a tenant who left is kept.
    pub audit: TimeDelta,
    /// How long a tenant who leaves is kept before it is deleted.
    pub offboarding_grace: TimeDelta,
    /// How long backups of the database are kept.
    pub backup_horizon: TimeDelta,
}

/// A year and its share of leap days, in hours.
const YEAR_HOURS: i64 = 8_766;

impl RetentionConfig {
    /// Reads the variables of this file.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            archives: TimeDelta::days(reader.at_least_one::<u16>("ARCHIVE_RETENTION_DAYS", 90).into()),
            archive_every: Some(TimeDelta::days(reader.or::<u16>("ARCHIVE_EVERY_DAYS", 0).into()))
                .filter(|every| !every.is_zero()),
            audit: TimeDelta::hours(YEAR_HOURS * i64::from(reader.at_least_one::<u8>("AUDIT_RETENTION_YEARS", 7))),
            offboarding_grace: TimeDelta::days(reader.or::<u16>("OFFBOARDING_GRACE_DAYS", 30).into()),
            backup_horizon: TimeDelta::days(reader.at_least_one::<u16>("BACKUP_HORIZON_DAYS", 35).into()),
        }
    }
}
