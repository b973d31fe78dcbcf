//! Who reads for all who ask meanwhile.

use std::future::Future;
use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard};

use super::keys::Place;

/// How many read at a time. Places that fall on the same turn wait for each other, which does no harm.
const TURNS: usize = 1 << 10;

/// The turns to read. Whoever has one looks whether another has just read what they want.
pub(super) struct Turns {
    turns: Box<[Mutex<()>]>,
    hasher: RandomState,
    patience: Duration,
}

impl Turns {
    /// Turns that are waited for so long at most.
    pub(super) fn new(patience: Duration) -> Self {
        Self { turns: (0..TURNS).map(|_| Mutex::new(())).collect(), hasher: RandomState::new(), patience }
    }

    /// The turn to read what belongs at a place, which lasts until it is dropped. Nothing once `reading` is through, which is when
    /// the caller has got a connection by another way, nor after too long a wait: the caller then reads as well.
    pub(super) async fn take(&self, place: &Place, reading: impl Future<Output = ()>) -> Option<MutexGuard<'_, ()>> {
        let turn = &self.turns[self.hasher.hash_one(place) as usize % TURNS];
        tokio::select! {
            biased;
            turn = turn.lock() => Some(turn),
            () = reading => None,
            () = tokio::time::sleep(self.patience) => None,
        }
    }
}
