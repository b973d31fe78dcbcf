//! Dates of which only a part may be known.

/// A publication date: a year, perhaps a month, perhaps a day. A year alone invents no first of January.
///
/// Years are astronomical: 0 is 1 BCE, -749 is 750 BCE, so that they can be counted and compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PartialDate {
    year: i32,
    month: Option<u8>,
    day: Option<u8>,
}

/// The earliest year: writing is younger than this.
pub const YEAR_MIN: i32 = -4000;

/// The latest year: announcements reach a few years ahead, typing errors further.
pub const YEAR_MAX: i32 = 2200;

/// Why three numbers are not a date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PartialDateError {
    /// Outside [`YEAR_MIN`] to [`YEAR_MAX`].
    #[error("the year is out of range")]
    Year,
    /// Not 1 to 12.
    #[error("the month is out of range")]
    Month,
    /// Not a day of that month, or a day without a month.
    #[error("the day is not one of that month")]
    Day,
}

impl PartialDate {
    /// A date of what is known.
    ///
    /// # Errors
    /// The first part that is out of its range.
    pub fn new(year: i32, month: Option<u8>, day: Option<u8>) -> Result<Self, PartialDateError> {
        if !(YEAR_MIN..=YEAR_MAX).contains(&year) {
            return Err(PartialDateError::Year);
        }
        if month.is_some_and(|m| !(1..=12).contains(&m)) {
            return Err(PartialDateError::Month);
        }
        match (month, day) {
            (_, None) => {}
            (Some(month), Some(day)) if (1..=days_in(year, month)).contains(&day) => {}
            _ => return Err(PartialDateError::Day),
        }
        Ok(Self { year, month, day })
    }

    /// The astronomical year.
    #[must_use]
    pub fn year(self) -> i32 {
        self.year
    }

    /// The month, 1 to 12, where it is known.
    #[must_use]
    pub fn month(self) -> Option<u8> {
        self.month
    }

    /// The day of the month, where it is known.
    #[must_use]
    pub fn day(self) -> Option<u8> {
        self.day
    }
}

/// The days of a month in the proleptic Gregorian calendar.
fn days_in(year: i32, month: u8) -> u8 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_kept_and_no_more() {
        let check = |year, month, day| assert!(PartialDate::new(year, month, day).is_ok(), "{year} {month:?} {day:?}");
        check(1997, Some(6), Some(26));
        check(2008, None, None);
        check(-749, None, None);
        check(0, Some(2), Some(29));
        check(2000, Some(2), Some(29));
    }

    #[test]
    fn each_defect_has_its_error() {
        let check = |year, month, day, error| assert_eq!(PartialDate::new(year, month, day), Err(error));
        check(20080, None, None, PartialDateError::Year);
        check(-5000, None, None, PartialDateError::Year);
        check(2000, Some(13), None, PartialDateError::Month);
        check(2000, Some(0), None, PartialDateError::Month);
        check(1900, Some(2), Some(29), PartialDateError::Day);
        check(2000, None, Some(1), PartialDateError::Day);
    }
}
