//! Chance that can be repeated: numbers that follow from a seed, and futures that are dropped at a chosen poll.

use std::future::Future;
use std::pin::pin;
use std::task::Poll;

/// A small generator (xorshift64*), so that a failing run can be repeated.
pub struct Random(u64);

impl Random {
    /// One stream of numbers of a seed; others of the same seed have nothing to do with it.
    pub fn new(seed: u64, stream: u64) -> Self {
        // Seeds and streams that differ in one bit are stirred apart, as splitmix64 does; zero would stay zero for ever.
        let mut bits = seed.wrapping_add(stream.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        Self((bits ^ (bits >> 31)).max(1))
    }

    /// A number from zero up to, but not including, the bound.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound
    }

    /// A place in something that has so many.
    pub fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }
}

/// Polls a future at most so many times, then drops it.
pub async fn dropped_after<F: Future>(polls: u32, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    std::future::poll_fn(move |context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        future.as_mut().poll(context).map(Some)
    })
    .await
}
