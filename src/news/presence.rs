//! Which other processes are there.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long a process is not heard that counts as gone: it calls four times in that time.
const SILENCE_MAX: Duration = Duration::from_secs(1);

/// Processes by name, and when each was last heard.
#[derive(Default)]
pub(super) struct Presence(Mutex<HashMap<String, Instant>>);

impl Presence {
    /// A process calls.
    pub(super) fn hear(&self, voice: &str, now: Instant) {
        let mut heard = self.heard();
        match heard.get_mut(voice) {
            Some(heard_at) => *heard_at = now,
            None => drop(heard.insert(voice.to_owned(), now)),
        }
    }

    /// Whether somebody who was there is not any more. Each is missed once.
    pub(super) fn is_anybody_gone(&self, now: Instant) -> bool {
        let mut heard = self.heard();
        let before = heard.len();
        heard.retain(|_, heard_at| now.saturating_duration_since(*heard_at) <= SILENCE_MAX);
        heard.len() < before
    }

    /// Forgets everybody, before listening anew.
    pub(super) fn forget(&self) {
        self.heard().clear();
    }

    fn heard(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_falls_silent_is_missed_once() {
        let (presence, start) = (Presence::default(), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        presence.hear("a-news", at(0));
        presence.hear("b-news", at(0));
        presence.hear("a-news", at(800));
        assert!(!presence.is_anybody_gone(at(1_000)));
        assert!(presence.is_anybody_gone(at(1_001)), "b");
        assert!(!presence.is_anybody_gone(at(1_800)));
        assert!(presence.is_anybody_gone(at(1_801)), "a");
        assert!(!presence.is_anybody_gone(at(9_000)));
        presence.hear("a-news", at(9_000));
        presence.forget();
        assert!(!presence.is_anybody_gone(at(99_000)), "who was deaf is told by itself that it has missed something");
    }
}
