//! The arithmetic of a bucket (GCRA), in whole nanoseconds of the time that what was taken takes to flow back.
//!
//! A bucket is one number: when it is full again. It was full before that moment and is empty a minute before it, so a call
//! that takes an amount puts the moment off by the amount's share of a minute, and is refused where that would be more than a
//! minute away. Time is rounded down to the nanosecond at each call, in favour of the caller.

use std::time::Duration;

use crate::kernel::limits::LimitKind;

/// How long an empty bucket takes to be full.
pub const WINDOW_NS: i64 = 60_000_000_000;

/// What may be missing in a bucket because moments are rounded, here or in Redis: it is not to look as if a whole were.
const ROUNDED_NS: u128 = 100;

/// The rates that are kept, in the order in which buckets of one account are stored.
pub const BUCKETS: [LimitKind; 3] =
    [LimitKind::PointsPerMinute, LimitKind::RequestsPerMinute, LimitKind::MutationsPerMinute];

/// What is taken from a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Take {
    /// How much.
    pub amount: u64,
    /// What the bucket holds when it is full.
    pub limit: u32,
}

/// How long a bucket takes to be full, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Backlog(pub i64);

impl Take {
    /// The time that the amount takes to flow back into one of so many equal parts of the bucket.
    #[must_use]
    pub fn cost_ns(self, parts: u32) -> i64 {
        let window = u128::from(WINDOW_NS.unsigned_abs());
        let whole = u128::from(self.amount).saturating_mul(window * u128::from(parts));
        let cost = whole / u128::from(self.limit.max(1));
        i64::try_from(cost).unwrap_or(i64::MAX)
    }
}

impl Backlog {
    /// The backlog of a bucket that is full at a moment.
    #[must_use]
    pub fn of(full_at: i64, now: i64) -> Self {
        // A clock that was put back makes nobody wait for longer than a bucket takes.
        Self(full_at.saturating_sub(now).clamp(0, WINDOW_NS))
    }

    /// The backlog after something was taken, or how much of it is too much.
    ///
    /// # Errors
    /// How long until there is enough, in nanoseconds.
    pub fn take(self, cost_ns: i64) -> Result<Self, i64> {
        let after = self.0.saturating_add(cost_ns);
        if cost_ns > 0 && after > WINDOW_NS { Err(after - WINDOW_NS) } else { Ok(Self(after)) }
    }

    /// The backlog after something was taken, be it there or not, or put back.
    #[must_use]
    pub fn shift(self, cost_ns: i64) -> Self {
        Self(self.0.saturating_add(cost_ns).clamp(0, WINDOW_NS))
    }

    /// What is in a bucket.
    #[must_use]
    pub fn left(self, limit: u32) -> u32 {
        let free = u128::from((WINDOW_NS - self.0).max(0).unsigned_abs());
        let left = (free + ROUNDED_NS) * u128::from(limit) / u128::from(WINDOW_NS.unsigned_abs());
        u32::try_from(left).unwrap_or(u32::MAX).min(limit)
    }

    /// How long until it is full.
    #[must_use]
    pub fn full_in(self) -> Duration {
        Duration::from_nanos(self.0.max(0).unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes one at a time at one moment, until it is refused.
    fn granted(limit: u32) -> u32 {
        let (mut backlog, mut count) = (Backlog::default(), 0);
        while let Ok(next) = backlog.take(Take { amount: 1, limit }.cost_ns(1)) {
            (backlog, count) = (next, count + 1);
        }
        count
    }

    #[test]
    fn a_bucket_holds_its_limit_to_the_last() {
        for limit in [1, 2, 7, 60, 600, 601, 6_007, 60_000, 69_997] {
            assert_eq!(granted(limit), limit);
        }
    }

    #[test]
    fn what_was_taken_flows_back_evenly() {
        let take = Take { amount: 10, limit: 60 };
        let backlog = Backlog::default().take(take.cost_ns(1)).unwrap();
        assert_eq!((backlog.left(60), backlog.full_in()), (50, Duration::from_secs(10)));
        // Four seconds later four of them are back.
        let later = Backlog::of(backlog.0, 4_000_000_000);
        assert_eq!((later.left(60), later.full_in()), (54, Duration::from_secs(6)));
        assert_eq!(later.take(Take { amount: 55, limit: 60 }.cost_ns(1)), Err(1_000_000_000));
    }

    #[test]
    fn a_share_is_as_many_times_smaller_as_there_are_parts() {
        let take = Take { amount: 1, limit: 60 };
        let mut backlog = Backlog::default();
        for _ in 0..20 {
            backlog = backlog.take(take.cost_ns(3)).unwrap();
        }
        assert!(backlog.take(take.cost_ns(3)).is_err());
    }

    #[test]
    fn a_clock_that_is_put_back_makes_nobody_wait_longer_than_a_minute() {
        assert_eq!(Backlog::of(i64::MAX, 0).full_in(), Duration::from_secs(60));
        assert_eq!(Backlog::of(5, i64::MAX), Backlog(0));
    }

    #[test]
    fn amounts_beyond_all_bounds_stay_numbers() {
        assert_eq!(Take { amount: u64::MAX, limit: 1 }.cost_ns(u32::MAX), i64::MAX);
        assert!(Backlog(WINDOW_NS).take(i64::MAX).is_err());
        assert_eq!(Backlog::default().shift(i64::MIN).left(7), 7);
    }

    proptest::proptest! {
        /// Whatever is taken and put back at whatever times, no minute has more than twice the limit, and none beyond the first
        /// more than the limit and what was left unused.
        #[test]
        fn no_history_gets_more_than_the_bucket_and_what_flowed_in(
            limit in 1_u32..100_000,
            steps in proptest::collection::vec((0_u64..3_000_000_000, 1_u64..200), 1..200),
        ) {
            let (mut full_at, mut now, mut taken) = (0_i64, 0_i64, 0_u64);
            for (pause, amount) in steps {
                now += i64::try_from(pause).unwrap();
                let cost = Take { amount, limit }.cost_ns(1);
                if let Ok(backlog) = Backlog::of(full_at, now).take(cost) {
                    full_at = now + backlog.0;
                    taken += amount;
                }
                let flowed = u128::from(limit) * now.unsigned_abs() as u128 / WINDOW_NS.unsigned_abs() as u128;
                proptest::prop_assert!(u128::from(taken) <= u128::from(limit) + flowed + 1);
            }
        }
    }
}
