//! What operations take, as far as the last of them tell.

use std::time::Duration;

/// The part of a new sample in the mean: the last sixty or so decide.
const NEW_PART: f64 = 1.0 / 64.0;

/// A mean in which what was long ago counts less and less. Without a sample there is none.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mean(Option<f64>);

impl Mean {
    /// Adds a sample.
    pub fn add(&mut self, sample: Duration) {
        let sample = sample.as_secs_f64();
        self.0 = Some(self.0.map_or(sample, |mean| mean + (sample - mean) * NEW_PART));
    }

    /// The mean.
    #[must_use]
    pub fn get(self) -> Option<Duration> {
        self.0.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
    }

    /// The mean, or else another's.
    #[must_use]
    pub fn or(self, other: Self) -> Option<Duration> {
        self.get().or_else(|| other.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_follows_what_changes_and_forgets_what_was() {
        let mut mean = Mean::default();
        assert_eq!(mean.get(), None);
        mean.add(Duration::from_millis(10));
        assert_eq!(mean.get(), Some(Duration::from_millis(10)));
        for _ in 0..400 {
            mean.add(Duration::from_millis(20));
        }
        let now = mean.get().unwrap();
        assert!(now > Duration::from_millis(19) && now <= Duration::from_millis(20), "{now:?}");
        assert_eq!(Mean::default().or(mean), Some(now));
    }
}
