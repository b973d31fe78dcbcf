//! How fast tenants may go: points, requests and mutations a minute, and operations at a time.
//!
//! Each rate is a bucket that holds a minute's worth and fills evenly: a shop may spend a minute at once, and no more than its
//! rate for longer (GCRA). A call takes from all of its buckets or from none: those of the shop, and with an API key those of
//! the key, which are half as large, so that no program takes everything from people. So it is with operations at a time, which
//! each replica counts for itself. Whom an operator has let in has
//! buckets beside the shop's, and so have all who look on together: what is told again and again takes nothing from those who work.
//!
//! Replicas share the buckets in Redis, where one script decides about a call by Redis' own clock ([`shared`]). Without Redis, or
//! while it is away, each replica grants its share by the same arithmetic ([`local`]): never without limit, and nobody is shut
//! out. A replica also keeps account of what it has granted, whoever decided, and tells Redis with each call: what was spent
//! through it stays spent when Redis goes, and when it comes back with its memory or without. Points are put back where they were
//! taken: what a replica has granted by itself is nothing that Redis owes.

pub mod bucket;
mod local;
mod shared;

use std::sync::Arc;
use std::time::Duration;

use self::bucket::{BUCKETS, Backlog, Take, WINDOW_NS};
use self::local::{Added, Local, Slot};
use self::shared::Shared;
use crate::kernel::actor::{Principal, Via};
use crate::kernel::clock::Clock;
use crate::kernel::ids::{ApiKeyId, TenantId};
use crate::kernel::limits::{LimitKind, Limits};
use crate::redis::Redis;

/// An API key's buckets are so many times smaller than its shop's.
pub const KEY_PART: u32 = 2;

/// The place of points among [`BUCKETS`].
const POINTS: usize = 0;

/// The place of requests among [`BUCKETS`].
const REQUESTS: usize = 1;

/// When somebody should try again who had too many operations under way: most take less.
const CONCURRENCY_PAUSE: Duration = Duration::from_secs(1);

/// Whose buckets they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Account {
    /// The shop's.
    Shop,
    /// Those of an operator who acts in it.
    Operator,
    /// Those of all who look on at it.
    Watch,
    /// Those of an API key.
    Key(ApiKeyId),
}

/// Who decides about a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decider {
    /// Redis, for all replicas.
    Redis,
    /// This replica, by its share.
    Replica,
}

impl Decider {
    /// The name in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Redis => "redis",
            Self::Replica => "replica",
        }
    }
}

/// Who calls, and how much the shop may.
#[derive(Debug, Clone, Copy)]
pub struct Caller {
    /// The shop.
    pub tenant: TenantId,
    /// What it may use.
    pub limits: Limits,
    /// Who acts in it.
    pub account: Account,
}

/// What a call takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price {
    /// Points of query cost.
    pub points: u64,
    /// Fields of mutations.
    pub mutations: u64,
}

impl Price {
    /// That of a call which is refused for what it is: it is a request too.
    const LEAST: Self = Self { points: 1, mutations: 0 };
}

/// What is left in a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Which rate it is.
    pub kind: LimitKind,
    /// Whether it is the key's and not the shop's.
    pub of_key: bool,
    /// What it holds when it is full, which is what it gets in a minute.
    pub limit: u32,
    /// What is in it.
    pub left: u32,
    /// What of that may be had here: all of it, or this replica's share where it decides for itself.
    pub here: u32,
    /// How long it takes to be full.
    pub full_in: Duration,
}

/// Why a call is refused. Nothing was taken, but what [`Price::LEAST`] is where there is never enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// Which limit it is.
    pub kind: LimitKind,
    /// Whether it is the key's and not the shop's.
    pub of_key: bool,
    /// How long until there is enough; nothing where there never is: the bucket is smaller than the price.
    pub retry_in: Option<Duration>,
    /// Who decided about the rates; nothing where it did not come to that.
    pub by: Option<Decider>,
    /// What is left in each bucket.
    pub standings: Vec<Standing>,
}

/// A call that was let in. Dropped, it is no longer under way; what it took stays taken.
pub struct Admission {
    limiter: Limiter,
    caller: Caller,
    price: Price,
    granted: Granted,
    _slots: Vec<Slot>,
}

/// What was taken of a caller's buckets.
struct Granted {
    by: Decider,
    /// What is in all of them.
    backlogs: Vec<Backlog>,
    /// What this replica has noted of it, account by account.
    added: Vec<Added>,
}

/// Which bucket has not enough in it.
struct Short {
    by: Decider,
    /// Its place.
    at: usize,
    /// How long until it has.
    wait: Duration,
    /// What is in all of them.
    backlogs: Vec<Backlog>,
}

/// What keeps tenants within their rates. Clones are the same.
#[derive(Clone)]
pub struct Limiter(Arc<Parts>);

struct Parts {
    clock: Arc<dyn Clock>,
    /// How many times its rates everybody gets.
    headroom: u32,
    shared: Option<Shared>,
    local: Arc<Local>,
}

impl Caller {
    /// Who calls by a credential.
    #[must_use]
    pub fn new(tenant: TenantId, limits: Limits, principal: &Principal) -> Self {
        let account = match principal.via {
            Via::ApiKey(id) => Account::Key(id),
            Via::Operator => Account::Operator,
            Via::Session(_) | Via::IdentityProvider => Account::Shop,
        };
        Self { tenant, limits, account }
    }

    /// Whoever looks on again.
    #[must_use]
    pub fn watching(tenant: TenantId, limits: Limits) -> Self {
        Self { tenant, limits, account: Account::Watch }
    }

    /// The account that all of its calls take from.
    fn main(&self) -> Account {
        match self.account {
            Account::Key(_) | Account::Shop => Account::Shop,
            Account::Operator | Account::Watch => self.account,
        }
    }

    /// The accounts that a call takes from.
    fn accounts(&self) -> impl Iterator<Item = Account> + use<> {
        let own = Some(self.account).filter(|account| matches!(account, Account::Key(_)));
        [Some(self.main()), own].into_iter().flatten()
    }

    /// What an account's bucket of a rate holds when it is full.
    fn limit(&self, account: Account, kind: LimitKind) -> u32 {
        let limit = self.limits.get(kind).max(1);
        if matches!(account, Account::Key(_)) { limit.div_ceil(KEY_PART) } else { limit }
    }

    /// What a price takes from each bucket, account by account.
    fn takes(&self, price: Price) -> Vec<(Account, [Take; BUCKETS.len()])> {
        let amounts = [price.points, 1, price.mutations];
        self.accounts()
            .map(|account| {
                let mut takes = [Take::default(); BUCKETS.len()];
                for ((take, kind), amount) in takes.iter_mut().zip(BUCKETS).zip(amounts) {
                    *take = Take { amount, limit: self.limit(account, kind) };
                }
                (account, takes)
            })
            .collect()
    }

    /// What so many points take, and nothing else.
    fn points(&self, points: u64) -> Vec<(Account, [Take; BUCKETS.len()])> {
        self.more(Price { points, mutations: 0 })
    }

    /// What a price takes of a call that was counted as a request.
    fn more(&self, price: Price) -> Vec<(Account, [Take; BUCKETS.len()])> {
        let mut takes = self.takes(price);
        for (_, takes) in &mut takes {
            takes[REQUESTS].amount = 0;
        }
        takes
    }

    /// What backlogs leave in the buckets, of which one of so many equal parts may be had here.
    fn standings(&self, backlogs: &[Backlog], parts: u32) -> Vec<Standing> {
        let buckets = self.accounts().flat_map(|account| BUCKETS.map(|kind| (account, kind)));
        let standings = buckets.zip(backlogs).map(|((account, kind), backlog)| {
            let limit = self.limit(account, kind);
            let of_key = matches!(account, Account::Key(_));
            let left = backlog.left(limit);
            // A full share lets in what is dearer than it.
            let here = (left / parts).max(u32::from(backlog.0 == 0));
            Standing { kind, of_key, limit, left, here, full_in: backlog.full_in() }
        });
        standings.collect()
    }
}

impl Limiter {
    /// Nobody has called yet. `replicas` share the load where there is no Redis.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, redis: Option<Redis>, replicas: u32) -> Self {
        Self::roomy(clock, redis, replicas, 1)
    }

    /// The same where everybody gets so many times their rates: a rehearsal's load comes from few.
    #[must_use]
    pub fn roomy(clock: Arc<dyn Clock>, redis: Option<Redis>, replicas: u32, headroom: u32) -> Self {
        let local = Arc::new(Local::new(replicas));
        Self(Arc::new(Parts { clock, headroom, shared: redis.map(Shared::new), local }))
    }

    /// A caller with the room that this installation gives.
    fn with_room(&self, caller: &Caller) -> Caller {
        Caller { limits: caller.limits.with_headroom(self.0.headroom), ..*caller }
    }

    /// Lets a call in, which takes its price from all of its buckets, or says which lacks what.
    ///
    /// # Errors
    /// Too much is under way or was taken lately.
    pub async fn admit(&self, caller: Caller, price: Price) -> Result<Admission, Denied> {
        let caller = self.with_room(&caller);
        let takes = caller.takes(price);
        if let Some(at) = dear(&takes) {
            return Err(self.refuse_dear(&caller, at).await);
        }
        let slots = match self.enter(&caller) {
            Ok(slots) => slots,
            Err(account) => {
                let (kind, retry_in) = (LimitKind::ConcurrentOperations, Some(CONCURRENCY_PAUSE));
                let of_key = matches!(account, Account::Key(_));
                return Err(Denied { kind, of_key, retry_in, by: None, standings: self.all_left(&caller).await });
            }
        };
        match self.charge(&caller, &takes).await {
            Ok(granted) => Ok(Admission { limiter: self.clone(), caller, price, granted, _slots: slots }),
            Err(short) => Err(self.refuse(&caller, &short)),
        }
    }

    /// Why a call is refused that takes more of a bucket than it ever holds. To ask that is a request.
    async fn refuse_dear(&self, caller: &Caller, at: usize) -> Denied {
        match self.charge(caller, &caller.takes(Price::LEAST)).await {
            Ok(granted) => {
                let ((kind, of_key), by) = (place(at), Some(granted.by));
                let standings = self.left(caller, granted.by, &granted.backlogs);
                Denied { kind, of_key, retry_in: None, by, standings }
            }
            Err(short) => self.refuse(caller, &short),
        }
    }

    fn refuse(&self, caller: &Caller, short: &Short) -> Denied {
        let ((kind, of_key), by) = (place(short.at), Some(short.by));
        let standings = self.left(caller, short.by, &short.backlogs);
        Denied { kind, of_key, retry_in: Some(short.wait), by, standings }
    }

    /// What is left to a caller. Nothing is taken.
    pub async fn standings(&self, caller: &Caller) -> Vec<Standing> {
        self.all_left(&self.with_room(caller)).await
    }

    /// The same of a caller who has the installation's room.
    async fn all_left(&self, caller: &Caller) -> Vec<Standing> {
        // Whoever asks for nothing is not refused.
        let (by, backlogs) = match self.charge(caller, &caller.points(0)).await {
            Ok(granted) => (granted.by, granted.backlogs),
            Err(short) => (short.by, short.backlogs),
        };
        self.left(caller, by, &backlogs)
    }

    /// What backlogs leave to a caller where somebody decides.
    fn left(&self, caller: &Caller, by: Decider, backlogs: &[Backlog]) -> Vec<Standing> {
        let parts = match by {
            Decider::Redis => 1,
            Decider::Replica => self.0.local.replicas(),
        };
        caller.standings(backlogs, parts)
    }

    /// How many operations of a caller are under way on this replica.
    #[must_use]
    pub fn running(&self, caller: &Caller) -> u32 {
        self.0.local.running((caller.tenant, caller.main()))
    }

    /// Counts an operation in each of a caller's accounts, or in none and answers which has as many as it may under way.
    fn enter(&self, caller: &Caller) -> Result<Vec<Slot>, Account> {
        let slots = caller.accounts().map(|account| {
            let most = caller.limit(account, LimitKind::ConcurrentOperations);
            Local::enter(&self.0.local, (caller.tenant, account), most).ok_or(account)
        });
        slots.collect()
    }

    /// Takes from all buckets or from none.
    async fn charge(&self, caller: &Caller, takes: &[(Account, [Take; BUCKETS.len()])]) -> Result<Granted, Short> {
        let (local, tenant) = (&self.0.local, caller.tenant);
        let short = |by, (at, wait, backlogs)| Short { by, at, wait, backlogs };
        if let Some(shared) = &self.0.shared {
            match shared.take(tenant, takes, &local.own(tenant, takes, self.now())).await {
                Ok(Ok(backlogs)) => {
                    let added = local.note(tenant, takes, self.now());
                    return Ok(Granted { by: Decider::Redis, backlogs, added });
                }
                Ok(Err(refused)) => return Err(short(Decider::Redis, refused)),
                Err(_) => {}
            }
        }
        let by = Decider::Replica;
        let (backlogs, added) = local.decide(tenant, takes, self.now()).map_err(|refused| short(by, refused))?;
        Ok(Granted { by, backlogs, added })
    }

    /// Puts back those of a call's points that were not needed, where they were taken. Answers what is left, if that is known.
    async fn refund(&self, caller: &Caller, granted: &Granted, (taken, needed): (u64, u64)) -> Option<Vec<Backlog>> {
        let (local, tenant) = (&self.0.local, caller.tenant);
        // Here first: what this replica says that it has granted must not be more than what it has.
        local.refund(tenant, (&granted.added, &caller.points(needed)), self.now());
        match (&self.0.shared, granted.by) {
            (Some(shared), Decider::Redis) => {
                let takes = caller.points(taken - needed);
                shared.refund(tenant, &takes, &local.own(tenant, &takes, self.now())).await.ok()
            }
            _ => {
                let accounts: Vec<Account> = caller.accounts().collect();
                Some(local.backlogs(tenant, &accounts, self.now()))
            }
        }
    }

    /// The time in nanoseconds. Redis has its own.
    fn now(&self) -> i64 {
        self.0.clock.now().timestamp_nanos_opt().unwrap_or(i64::MAX / 2)
    }
}

impl Granted {
    /// Takes in what was granted after it. What is put back is put back there: it is of what was taken last.
    fn add(&mut self, later: Self) {
        for (added, more) in self.added.iter_mut().zip(&later.added) {
            added.add(*more);
        }
        (self.by, self.backlogs) = (later.by, later.backlogs);
    }
}

impl Admission {
    /// What the call took.
    #[must_use]
    pub fn price(&self) -> Price {
        self.price
    }

    /// Who decided about it.
    #[must_use]
    pub fn by(&self) -> Decider {
        self.granted.by
    }

    /// Takes what is lacking to a price, once it is known what the call is: it was let in for the least.
    ///
    /// # Errors
    /// There is not as much. What was taken before stays taken.
    pub async fn raise(mut self, price: Price) -> Result<Self, Denied> {
        let points = price.points.saturating_sub(self.price.points);
        let mutations = price.mutations.saturating_sub(self.price.mutations);
        if (points, mutations) == (0, 0) {
            return Ok(self);
        }
        let (limiter, caller) = (&self.limiter, &self.caller);
        if let Some(at) = dear(&caller.takes(price)) {
            let ((kind, of_key), standings) = (place(at), limiter.all_left(caller).await);
            return Err(Denied { kind, of_key, retry_in: None, by: None, standings });
        }
        let granted = match limiter.charge(caller, &caller.more(Price { points, mutations })).await {
            Ok(granted) => granted,
            Err(short) => return Err(limiter.refuse(caller, &short)),
        };
        self.price = Price { points: self.price.points + points, mutations: self.price.mutations + mutations };
        self.granted.add(granted);
        Ok(self)
    }

    /// Ends the call, which has needed so many points: those that it took and did not need are put back. Answers what is
    /// left in each bucket.
    pub async fn settle(self, needed: u64) -> Vec<Standing> {
        let (taken, needed) = (self.price.points, needed.min(self.price.points));
        let backlogs = if needed == taken {
            None
        } else {
            self.limiter.refund(&self.caller, &self.granted, (taken, needed)).await
        };
        let backlogs = backlogs.as_ref().unwrap_or(&self.granted.backlogs);
        self.limiter.left(&self.caller, self.granted.by, backlogs)
    }
}

/// The place of a bucket that never holds as much as is to be taken of it.
fn dear(takes: &[(Account, [Take; BUCKETS.len()])]) -> Option<usize> {
    takes.iter().flat_map(|(_, takes)| takes).position(|take| take.amount > u64::from(take.limit))
}

/// Which bucket is at a place, and whether it is a key's: those of the key stand behind the shop's.
fn place(at: usize) -> (LimitKind, bool) {
    (BUCKETS[at % BUCKETS.len()], at >= BUCKETS.len())
}

/// How long a bucket takes to fill, for the fields of answers, in seconds.
pub const WINDOW_S: u64 = WINDOW_NS.unsigned_abs() / 1_000_000_000;
