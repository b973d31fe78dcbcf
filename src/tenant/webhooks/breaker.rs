//! The breaker of an endpoint: when it is left alone, and when it is given up.
//!
//! Closed, everything that is due is sent. After some failures in a row it opens: nothing is sent until it has rested. Then
//! it is half-open, and one delivery is sent as a probe: it closes again, or opens for longer. After more failures the
//! endpoint is suspended, and a person decides. What waits meanwhile waits with the endpoint, not in the queue of jobs.

use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};

/// After so many failures in a row it opens.
pub const FAILURES_TO_OPEN: i16 = 5;

/// After so many failures in a row the endpoint is suspended.
pub const FAILURES_TO_SUSPEND: i16 = 10;

/// How long it rests after the failure that opens it, and after each failed probe.
const RESTS: [TimeDelta; 5] =
    [TimeDelta::minutes(1), TimeDelta::minutes(5), TimeDelta::minutes(30), TimeDelta::hours(2), TimeDelta::hours(5)];

/// Whether anything is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BreakerState {
    /// Everything that is due.
    Closed,
    /// Nothing.
    Open,
    /// One delivery, as a probe.
    HalfOpen,
}

/// An endpoint's breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Breaker {
    /// Whether anything is sent.
    pub state: BreakerState,
    /// Failures in a row.
    pub failures: i16,
    /// Until when nothing is sent: because it is open, or because the endpoint asked for it.
    pub rests_until: Option<DateTime<Utc>>,
}

/// The text names no state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown state of a breaker")]
pub struct BreakerStateError;

impl BreakerState {
    /// The text that the table stores.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

impl FromStr for BreakerState {
    type Err = BreakerStateError;

    fn from_str(text: &str) -> Result<Self, BreakerStateError> {
        [Self::Closed, Self::Open, Self::HalfOpen]
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or(BreakerStateError)
    }
}

impl Breaker {
    /// One that has seen no failure.
    pub const CLOSED: Self = Self { state: BreakerState::Closed, failures: 0, rests_until: None };

    /// Whether nothing is sent at this time.
    #[must_use]
    pub fn rests(&self, now: DateTime<Utc>) -> bool {
        self.rests_until.is_some_and(|until| now < until)
    }

    /// The breaker as it goes to work: one that was open and has rested lets a probe through.
    #[must_use]
    pub fn rested(self) -> Self {
        let state = if self.state == BreakerState::Closed { BreakerState::Closed } else { BreakerState::HalfOpen };
        Self { state, rests_until: None, ..self }
    }

    /// The breaker after a failure. `asked` is how long the endpoint wants to be left alone, and `chance` is evenly spread
    /// over 0 to 1: endpoints that failed together are not probed together.
    #[must_use]
    pub fn failed(self, now: DateTime<Utc>, asked: Option<TimeDelta>, chance: f64) -> Self {
        let asked = asked.map(|asked| now + asked);
        // One failure has opened it; the others of those that were under way are no further ones.
        if self.state == BreakerState::Open {
            return Self { rests_until: self.rests_until.max(asked), ..self };
        }
        let failures = self.failures.saturating_add(1);
        if failures < FAILURES_TO_OPEN {
            return Self { failures, rests_until: self.rests_until.max(asked), ..self };
        }
        let step = usize::try_from(failures - FAILURES_TO_OPEN).unwrap_or_default().min(RESTS.len() - 1);
        #[expect(clippy::cast_possible_truncation, reason = "at most five hours")]
        let rest = TimeDelta::milliseconds((RESTS[step].num_milliseconds() as f64 * (0.9 + 0.2 * chance)) as i64);
        Self { state: BreakerState::Open, failures, rests_until: asked.max(Some(now + rest)) }
    }

    /// Whether the endpoint is to be suspended.
    #[must_use]
    pub fn is_hopeless(&self) -> bool {
        self.failures >= FAILURES_TO_SUSPEND
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    fn failed(breaker: Breaker, times: usize) -> Breaker {
        (0..times).fold(breaker, |breaker, _| breaker.failed(at(0), None, 0.5))
    }

    #[test]
    fn it_opens_after_five_failures_in_a_row_and_not_before() {
        let almost = failed(Breaker::CLOSED, 4);
        assert_eq!((almost.state, almost.failures, almost.rests_until), (BreakerState::Closed, 4, None));
        let open = failed(almost, 1);
        assert_eq!((open.state, open.rests_until), (BreakerState::Open, Some(at(60))));
        assert!(open.rests(at(59)) && !open.rests(at(60)));
    }

    #[test]
    fn failures_that_were_under_way_when_it_opened_count_once() {
        let open = failed(Breaker::CLOSED, 32);
        assert_eq!((open.failures, open.rests_until), (FAILURES_TO_OPEN, Some(at(60))));
    }

    #[test]
    fn each_failed_probe_rests_longer_until_the_endpoint_is_given_up() {
        let mut breaker = failed(Breaker::CLOSED, 5);
        let mut rests = Vec::new();
        while !breaker.is_hopeless() {
            rests.push((breaker.rests_until.unwrap() - at(0)).num_minutes());
            breaker = breaker.rested().failed(at(0), None, 0.5);
        }
        assert_eq!(rests, [1, 5, 30, 120, 300]);
    }

    #[test]
    fn what_has_rested_is_probed() {
        assert_eq!(failed(Breaker::CLOSED, 5).rested().state, BreakerState::HalfOpen);
        assert_eq!(Breaker::CLOSED.rested(), Breaker::CLOSED);
    }

    #[test]
    fn who_asks_to_be_left_alone_is_left_alone_at_least_as_long() {
        let asked = Some(TimeDelta::seconds(600));
        let closed = Breaker::CLOSED.failed(at(0), asked, 0.5);
        assert_eq!((closed.state, closed.rests_until), (BreakerState::Closed, Some(at(600))));
        let open = failed(Breaker::CLOSED, 4).failed(at(0), asked, 0.5);
        assert_eq!(open.rests_until, Some(at(600)));
        let open = failed(Breaker::CLOSED, 4).failed(at(0), Some(TimeDelta::seconds(1)), 0.5);
        assert_eq!(open.rests_until, Some(at(60)));
    }
}
