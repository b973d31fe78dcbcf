//! When a delivery that failed is tried again.

use chrono::TimeDelta;

/// The wait after each attempt but the last: five days in all, as long as a weekend and a Monday. That is for a delivery which
/// an endpoint refuses while it accepts others: one that accepts nothing is suspended by its breaker, as a rule within a day, and
/// what waits for it is tried again when it is resumed.
const WAITS: [TimeDelta; 13] = [
    TimeDelta::seconds(5),
    TimeDelta::minutes(1),
    TimeDelta::minutes(5),
    TimeDelta::minutes(15),
    TimeDelta::minutes(30),
    TimeDelta::hours(1),
    TimeDelta::hours(2),
    TimeDelta::hours(4),
    TimeDelta::hours(8),
    TimeDelta::hours(12),
    TimeDelta::hours(24),
    TimeDelta::hours(36),
    TimeDelta::hours(36),
];

/// How often a delivery is tried before it is a dead letter.
pub const ATTEMPTS_MAX: usize = WAITS.len() + 1;

/// The wait after a failed attempt, from 1 up; nothing after the last. `chance` is evenly spread over 0 to 1 and moves it by a
/// tenth, so that what failed together does not come back together.
#[must_use]
pub fn wait_after(attempt: i16, chance: f64) -> Option<TimeDelta> {
    let wait = WAITS.get(usize::try_from(attempt).ok()?.checked_sub(1)?)?;
    #[expect(clippy::cast_possible_truncation, reason = "at most some days")]
    let jittered = (wait.num_milliseconds() as f64 * (0.9 + 0.2 * chance)) as i64;
    Some(TimeDelta::milliseconds(jittered))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_is_tried_for_days_and_then_no_more() {
        let total: TimeDelta = (1..).map_while(|attempt| wait_after(attempt, 0.5)).sum();
        assert_eq!((total.num_hours(), ATTEMPTS_MAX), (123, 14));
        assert_eq!(wait_after(0, 0.5), None);
        assert_eq!(wait_after(14, 0.5), None);
        assert_eq!(wait_after(i16::MAX, 0.5), None);
    }

    #[test]
    fn a_wait_is_moved_by_a_tenth_at_most() {
        assert_eq!(wait_after(2, 0.0), Some(TimeDelta::seconds(54)));
        assert_eq!(wait_after(2, 1.0), Some(TimeDelta::seconds(66)));
    }
}
