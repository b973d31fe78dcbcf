//! Which other processes are there.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::db::listen::Voice;

/// How often a process may hear itself without hearing another before that one counts as gone: all call equally often, four times
/// a second. So a process that stood still, or a PostgreSQL that did, takes nobody for dead.
const SILENCE_MAX: u64 = 4;

/// Processes by name, and when each was last heard.
#[derive(Default)]
pub(super) struct Presence(Mutex<Calls>);

#[derive(Default)]
struct Calls {
    /// How often this process has heard itself.
    own: u64,
    /// How often it had when another was last heard.
    others: HashMap<String, u64>,
}

impl Presence {
    /// Somebody calls. Answers whether another who was there is not any more; each is missed once, and who said goodbye is not.
    pub(super) fn hear(&self, voice: Voice<'_>) -> bool {
        let Calls { own, others } = &mut *self.calls();
        match voice {
            Voice::Other(name) => match others.get_mut(name) {
                Some(heard_at) => *heard_at = *own,
                None => drop(others.insert(name.to_owned(), *own)),
            },
            Voice::Leaving(name) => drop(others.remove(name)),
            Voice::Own => {
                *own += 1;
                let before = others.len();
                others.retain(|_, heard_at| *own - *heard_at <= SILENCE_MAX);
                return others.len() < before;
            }
        }
        false
    }

    /// Forgets everybody, before listening anew.
    pub(super) fn forget(&self) {
        self.calls().others.clear();
    }

    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hears itself so often, and answers how often somebody was missed.
    fn pass(presence: &Presence, times: u64) -> usize {
        (0..times).filter(|_| presence.hear(Voice::Own)).count()
    }

    #[test]
    fn who_falls_silent_is_missed_once() {
        let presence = Presence::default();
        presence.hear(Voice::Other("a"));
        presence.hear(Voice::Other("b"));
        assert_eq!(pass(&presence, 2), 0);
        presence.hear(Voice::Other("a"));
        assert_eq!(pass(&presence, SILENCE_MAX - 2), 0);
        assert!(presence.hear(Voice::Own), "b");
        assert_eq!(pass(&presence, 1), 0);
        assert!(presence.hear(Voice::Own), "a");
        assert_eq!(pass(&presence, 100), 0);
    }

    #[test]
    fn who_says_goodbye_is_not_missed() {
        let presence = Presence::default();
        presence.hear(Voice::Other("a"));
        assert!(!presence.hear(Voice::Leaving("a")));
        assert_eq!(pass(&presence, 100), 0);
        presence.hear(Voice::Other("b"));
        presence.forget();
        assert_eq!(pass(&presence, 100), 0, "who was deaf is told by itself that it has missed something");
    }

    #[test]
    fn who_hears_nothing_of_itself_misses_nobody() {
        let presence = Presence::default();
        presence.hear(Voice::Other("a"));
        // However long nothing is heard at all: all are heard when it is over.
        assert_eq!(pass(&presence, 1), 0);
        presence.hear(Voice::Other("a"));
        assert_eq!(pass(&presence, SILENCE_MAX), 0);
    }
}
