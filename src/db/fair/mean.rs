//! What operations take, as far as the last of them tell.

use std::time::Duration;

/// The last so many or so decide.
const SAMPLES: u32 = 64;

/// So few say little of what the next will take: the first has a connection to make, too.
const FEW: u32 = 8;

/// A mean in which what was long ago counts less and less. Without a sample there is none.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mean {
    seconds: f64,
    /// How many samples there were, up to [`SAMPLES`].
    count: u32,
}

impl Mean {
    /// Adds a sample. Until there are many, all count alike.
    pub fn add(&mut self, sample: Duration) {
        self.count = (self.count + 1).min(SAMPLES);
        self.seconds += (sample.as_secs_f64() - self.seconds) / f64::from(self.count);
    }

    /// The mean.
    #[must_use]
    pub fn get(self) -> Option<Duration> {
        if self.count == 0 { None } else { Duration::try_from_secs_f64(self.seconds).ok() }
    }

    /// The mean, or another's where this one has few samples.
    #[must_use]
    pub fn or(self, other: Self) -> Option<Duration> {
        if self.count < FEW { other.get().or_else(|| self.get()) } else { self.get() }
    }

    /// Whether there are enough samples to turn somebody away for what they tell.
    #[must_use]
    pub fn is_settled(self) -> bool {
        self.count == SAMPLES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_mean_follows_what_changes_and_forgets_what_was() {
        let mut mean = Mean::default();
        assert_eq!(mean.get(), None);
        mean.add(10 * MS);
        assert_eq!(mean.get(), Some(10 * MS));
        for _ in 0..400 {
            mean.add(20 * MS);
        }
        let now = mean.get().unwrap();
        assert!(now > 19 * MS && now <= 20 * MS && mean.is_settled(), "{now:?}");
    }

    #[test]
    fn one_slow_beginning_is_no_rule() {
        let (mut own, mut all) = (Mean::default(), Mean::default());
        own.add(1_000 * MS);
        assert_eq!(own.or(all), Some(1_000 * MS), "all that is known");
        all.add(10 * MS);
        assert_eq!(own.or(all), Some(10 * MS));
        for _ in 0..99 {
            own.add(10 * MS);
        }
        assert!(own.or(all).unwrap() < 20 * MS);
        assert!(!all.is_settled());
    }
}
