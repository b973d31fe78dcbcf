//! What goes away of the API: what it is called, what to use in its place, and when it is gone.
//!
//! The reason of a `@deprecated` has one form, so that whoever reads it as text and whoever reads it by [`Reason`] is told
//! the same.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike as _, Days, Months, NaiveDate, NaiveTime, Utc};
use serde::Deserialize;

/// Months between the announcement and the removal, at least.
pub const NOTICE_MONTHS_MIN: u32 = 6;

/// How many days after its removal a part may still be there for single tenants, and so in the code, at most.
pub const EXTENSION_DAYS_MAX: u64 = 184;

/// Why and until when: ``Use `x`. Deprecated 2026-10-01. Removal on 2027-04-01 UTC.``
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// What to use in its place.
    pub instead: String,
    /// The day on which it was announced.
    pub deprecated_on: NaiveDate,
    /// The first day, in UTC, on which it is gone.
    pub removal_on: NaiveDate,
}

/// Why a text is no reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReasonError {
    /// It has another form.
    #[error("a reason reads: Use `x`. Deprecated 2026-10-01. Removal on 2027-04-01 UTC.")]
    Form,
    /// The removal comes sooner than clients are promised.
    #[error("a removal is announced {NOTICE_MONTHS_MIN} months before, at least")]
    TooSoon,
    /// The removal is on any day.
    #[error("removals are on the first day of a quarter")]
    NoQuarterDay,
}

impl FromStr for Reason {
    type Err = ReasonError;

    fn from_str(text: &str) -> Result<Self, ReasonError> {
        let parse = || {
            let (instead, rest) = text.strip_prefix("Use `")?.split_once("`. Deprecated ")?;
            let (deprecated, removal) = rest.split_once(". Removal on ")?;
            let (deprecated_on, removal_on) = (day(deprecated)?, day(removal.strip_suffix(" UTC.")?)?);
            let is_plain = !instead.is_empty() && !instead.contains('`');
            is_plain.then(|| Self { instead: instead.to_owned(), deprecated_on, removal_on })
        };
        let reason = parse().ok_or(ReasonError::Form)?;
        let earliest = reason.deprecated_on.checked_add_months(Months::new(NOTICE_MONTHS_MIN));
        if earliest.is_none_or(|earliest| reason.removal_on < earliest) {
            return Err(ReasonError::TooSoon);
        }
        if reason.removal_on.day() != 1 || reason.removal_on.month0() % 3 != 0 {
            return Err(ReasonError::NoQuarterDay);
        }
        Ok(reason)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { instead, deprecated_on, removal_on } = self;
        write!(f, "Use `{instead}`. Deprecated {deprecated_on}. Removal on {removal_on} UTC.")
    }
}

impl Reason {
    /// The last day up to which single tenants may be given more time.
    #[must_use]
    pub fn extendable_until(&self) -> NaiveDate {
        self.removal_on.checked_add_days(Days::new(EXTENSION_DAYS_MAX)).unwrap_or(NaiveDate::MAX)
    }
}

/// The moment at which a day begins, in UTC.
#[must_use]
pub fn start_of(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(NaiveTime::MIN).and_utc()
}

/// A part of the API that goes away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its schema coordinate: `Type.field`, `Type.field(argument:)`, `Input.field` or `Enum.VALUE`.
    pub coordinate: String,
    /// Why and until when.
    pub reason: Reason,
}

impl Part {
    /// The first day, in UTC, on which it is gone for a tenant.
    #[must_use]
    pub fn removal_on(&self, extensions: &Extensions) -> NaiveDate {
        let Extensions(until) = extensions;
        // An extension never takes anything away.
        until.get(&self.coordinate).map_or(self.reason.removal_on, |day| self.reason.removal_on.max(*day))
    }
}

/// What a tenant was given more time for: parts by their coordinates, each with the first day on which it is gone.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct Extensions(pub BTreeMap<String, NaiveDate>);

/// A day with all its digits: what chrono takes beside that is not one form.
fn day(text: &str) -> Option<NaiveDate> {
    let day: NaiveDate = text.parse().ok()?;
    (day.to_string() == text).then_some(day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_has_one_form_and_says_itself_again() {
        let text = "Use `Book.price`. Deprecated 2026-10-01. Removal on 2027-04-01 UTC.";
        let reason: Reason = text.parse().unwrap();
        assert_eq!((reason.instead.as_str(), reason.to_string().as_str()), ("Book.price", text));
        assert_eq!(reason.extendable_until().to_string(), "2027-10-02");
        assert_eq!(start_of(reason.removal_on).timestamp(), 1_806_537_600);
    }

    #[test]
    fn each_defect_of_a_reason_has_its_error() {
        let check = |text: &str, error| assert_eq!(text.parse::<Reason>(), Err(error), "{text}");
        check("", ReasonError::Form);
        check("Use price. Deprecated 2026-10-01. Removal on 2027-04-01 UTC.", ReasonError::Form);
        check("Use `price`. Removal on 2027-04-01 UTC.", ReasonError::Form);
        check("Use `price`. Deprecated 2026-10-01. Removal on 2027-04-01.", ReasonError::Form);
        check("Use `price`. Deprecated 2026-10-1. Removal on 2027-04-01 UTC.", ReasonError::Form);
        check("Use `price`. Deprecated 2026-10-01. Removal on 2027-04-31 UTC.", ReasonError::Form);
        check("Use ``. Deprecated 2026-10-01. Removal on 2027-04-01 UTC.", ReasonError::Form);
        check("Use `a` or `b`. Deprecated 2026-10-01. Removal on 2027-04-01 UTC.", ReasonError::Form);
        check("Use `price`. Deprecated 2026-10-02. Removal on 2027-04-01 UTC.", ReasonError::TooSoon);
        check("Use `price`. Deprecated 2026-10-01. Removal on 2027-05-01 UTC.", ReasonError::NoQuarterDay);
        check("Use `price`. Deprecated 2026-10-01. Removal on 2027-04-02 UTC.", ReasonError::NoQuarterDay);
    }
}
