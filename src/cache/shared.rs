//! Answers in Redis, which replicas share.
//!
//! Whoever finds nothing may be lent a lease, reads the row in a transaction that began after that, and may keep it while the
//! lease stands. Removing an answer ends the lease of its place, so what was read before a change is never put back after it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::{Pipeline, Script};
use tokio::time::sleep;

use super::debts::{Debts, Owed};
use super::keys::{Name, Place};
use crate::kernel::clock::Clock;
use crate::kernel::ids::{TenantId, base32_encode};
use crate::kernel::news::Told;
use crate::redis::{Away, Redis};

/// The sign that all answers of all tenants begin with.
const SIGN_OF_ALL: &str = "shelfwise:cache:sign";

/// How long a lease lasts: as long as a read may reasonably take. Until then nobody else is lent one.
const LEASE: Duration = Duration::from_secs(2);

/// How long a tenant's sign stays; what was kept under it goes with it.
const SIGN: Duration = Duration::from_secs(24 * 3600);

/// The pause after something could not be removed.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// The largest answer that is shared, in bytes.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// The answers in Redis.
#[derive(Clone)]
pub(super) struct Shared(Arc<Parts>);

struct Parts {
    redis: Redis,
    clock: Arc<dyn Clock>,
    debts: Arc<Debts>,
    get: Script,
    put: Script,
}

/// What Redis says of a place.
pub(super) enum Offer {
    /// What is kept there, and how long ago it was read.
    Kept(Vec<u8>, Duration),
    /// Nothing: the caller may keep something.
    Lent(Lease),
    /// Nothing.
    Nothing,
}

/// The right to keep an answer.
pub(super) struct Lease {
    token: String,
    signs: String,
    /// When it was there: what is read in a transaction that began later may be kept.
    pub(super) lent_at: Instant,
}

impl Shared {
    /// The answers in a Redis, but for those that are owed.
    pub(super) fn new(redis: Redis, clock: Arc<dyn Clock>, debts: Arc<Debts>) -> Self {
        let (get, put) = (Script::new(include_str!("get.lua")), Script::new(include_str!("put.lua")));
        Self(Arc::new(Parts { redis, clock, debts, get, put }))
    }

    /// What is kept at a place, or the right to keep something there, if that is wanted and nobody else has it.
    pub(super) async fn get(&self, place: &Place, wants_lease: bool) -> Offer {
        let Parts { redis, clock, debts, get, .. } = &*self.0;
        if debts.owes(place) {
            return Offer::Nothing;
        }
        let sign = base32_encode(clock.new_id());
        let token = if wants_lease { base32_encode(clock.new_id()) } else { String::new() };
        let mut call = get.prepare_invoke();
        for key in keys(place) {
            call.key(key);
        }
        call.arg(sign).arg(millis(SIGN)).arg(&token).arg(millis(LEASE));
        let answer: Result<(u8, Vec<u8>, i64), Away> = redis.ask(async |line| call.invoke_async(line).await).await;
        match answer {
            Ok((1, kept, left)) => read(&kept, left).unwrap_or(Offer::Nothing),
            Ok((2, signs, _)) => match String::from_utf8(signs) {
                Ok(signs) => Offer::Lent(Lease { token, signs, lent_at: Instant::now() }),
                Err(_) => Offer::Nothing,
            },
            Ok(_) | Err(Away) => Offer::Nothing,
        }
    }

    /// Keeps an answer that was read so long ago, without waiting.
    pub(super) fn put(&self, place: Place, lease: Lease, answer: &[u8], age: Duration, ttl: Duration) {
        let left = ttl.saturating_sub(age);
        if answer.len() > ANSWER_BYTES_MAX || left.is_zero() {
            return;
        }
        let mut text = format!("{}\n", millis(ttl)).into_bytes();
        text.extend_from_slice(answer);
        let shared = self.clone();
        #[expect(clippy::disallowed_methods, reason = "nobody waits for it; a call of Redis is bounded in time")]
        tokio::spawn(async move {
            let Parts { redis, put, .. } = &*shared.0;
            let mut call = put.prepare_invoke();
            for key in keys(&place) {
                call.key(key);
            }
            call.arg(lease.token).arg(lease.signs).arg(text).arg(millis(left));
            // What is not kept is read again.
            let _ = redis.ask(async |line| call.invoke_async::<u8>(line).await).await;
        });
    }

    /// Whether nothing is owed.
    pub(super) fn is_settled(&self) -> bool {
        self.0.debts.is_settled()
    }

    /// Removes what is owed, for ever. To be run as a task and aborted at shutdown.
    pub(super) async fn settle(&self) -> Infallible {
        let Parts { redis, debts, .. } = &*self.0;
        loop {
            let owed = debts.take().await;
            let removal = self.removal(&owed);
            if redis.ask(async |line| removal.query_async::<()>(line).await).await.is_ok() {
                debts.settled();
            } else {
                sleep(RETRY_PAUSE).await;
            }
        }
    }

    /// What removes answers, in one trip.
    fn removal(&self, owed: &Owed) -> Pipeline {
        let mut pipeline = redis::pipe();
        let sign = base32_encode(self.0.clock.new_id());
        if owed.all {
            pipeline.set(SIGN_OF_ALL, &sign).ignore();
        }
        for (tenant, told) in &owed.tenants {
            match told {
                Told::Anything => {
                    pipeline.pset_ex(sign_of(*tenant), &sign, millis(SIGN)).ignore();
                }
                Told::Facts(facts) => {
                    for (fact, name) in facts.iter().flat_map(|fact| Name::ALL.map(|name| (fact, name))) {
                        if let Some(number) = name.outdated_by(*fact) {
                            let [_, _, place, lease] = keys(&Place { tenant: *tenant, name, number });
                            pipeline.del(&[place, lease]).ignore();
                        }
                    }
                }
            }
        }
        pipeline
    }
}

/// What the scripts need to know of a place.
fn keys(place: &Place) -> [String; 4] {
    let text = place.text();
    let lease = format!("{text}:lease");
    [SIGN_OF_ALL.to_owned(), sign_of(place.tenant), text, lease]
}

/// The sign that all answers of a tenant begin with, behind that of all tenants.
fn sign_of(tenant: TenantId) -> String {
    format!("shelfwise:cache:{}:sign", base32_encode(tenant.0))
}

/// Reads what was kept for so long, and will be for so many milliseconds. Nothing where it makes no sense.
fn read(kept: &[u8], left: i64) -> Option<Offer> {
    let end = kept.iter().position(|byte| *byte == b'\n')?;
    let ttl: u64 = std::str::from_utf8(&kept[..end]).ok()?.parse().ok()?;
    let age = ttl.saturating_sub(u64::try_from(left).ok()?);
    Some(Offer::Kept(kept[end + 1..].to_vec(), Duration::from_millis(age)))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
