//! When a failed job is tried again.

use std::time::Duration;

/// The longest wait, but for what is added by chance.
const WAIT_MAX: Duration = Duration::from_secs(24 * 3600);

/// By how much a wait is shortened or lengthened at most, so that what failed together does not come back together.
const JITTER: f64 = 0.1;

/// The wait after a failed attempt: its number to the fourth power in seconds, a tenth more or less.
///
/// That is about 1 s, 16 s, 81 s, 4 min, 10 min, 22 min, 40 min, 68 min and 109 min after attempts 1 to 9, so that the ten
/// attempts of a job take four and a quarter hours; from the 18th on it is a day. `chance` lies between 0 and 1.
#[must_use]
pub fn wait_after(attempt: i16, chance: f64) -> Duration {
    let seconds = f64::from(attempt.max(1)).powi(4).min(WAIT_MAX.as_secs_f64());
    Duration::from_secs_f64(seconds * (1.0 - JITTER + 2.0 * JITTER * chance.clamp(0.0, 1.0)))
}

/// A chance between 0 and 1 of random bytes.
#[must_use]
pub fn chance(secret: [u8; 32]) -> f64 {
    let [a, b, c, d, ..] = secret;
    f64::from(u32::from_le_bytes([a, b, c, d])) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_with_the_fourth_power() {
        let check = |attempt: i16, seconds: u64| {
            assert_eq!(wait_after(attempt, 0.5), Duration::from_secs(seconds), "attempt {attempt}");
        };
        for (attempt, seconds) in [1, 16, 81, 256, 625, 1_296, 2_401, 4_096, 6_561].into_iter().enumerate() {
            check(i16::try_from(attempt).unwrap() + 1, seconds);
        }
        check(17, 83_521);
        check(18, 86_400);
        check(i16::MAX, 86_400);
        check(0, 1);
    }

    proptest::proptest! {
        #[test]
        fn a_wait_is_a_tenth_off_at_most_and_never_shrinks_by_much(attempt in 1..1_000_i16, chance in 0.0..=1.0_f64) {
            let (wait, middle) = (wait_after(attempt, chance).as_secs_f64(), wait_after(attempt, 0.5).as_secs_f64());
            proptest::prop_assert!((0.899 * middle..=1.101 * middle).contains(&wait), "{wait} {middle}");
            proptest::prop_assert!(wait_after(attempt + 1, 0.5) >= wait_after(attempt, 0.5));
        }

        #[test]
        fn chances_lie_between_zero_and_one(secret: [u8; 32]) {
            proptest::prop_assert!((0.0..=1.0).contains(&chance(secret)));
        }
    }
}
