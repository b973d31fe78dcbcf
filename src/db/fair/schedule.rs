//! Whose turn it is: deficit round robin between tenants, over the time that they hold connections.
//!
//! A tenant whose operations take long gets fewer of them than one whose operations are short. What an operation will take is
//! guessed from those before it when its turn comes, and made good when it ends. This file knows no task, no connection and
//! no clock, so a test can have it decide an hour in a moment.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::mean::Mean;
use crate::kernel::ids::TenantId;

/// One of so many connections is kept for those who have less than their share: who comes newly finds one free, however much
/// another has under way.
const RESERVE: u32 = 4;

/// A tenant's debt is forgotten beyond so many turns: one operation that took very long does not shut it out for hours.
const DEBT_TURNS_MAX: i64 = 100;

/// Whom a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Borrower {
    /// The tenant; nobody's are the platform's own, which wait in one line and have no share.
    pub tenant: Option<TenantId>,
    /// The share that the tenant gets while others want connections too, relative to theirs; at least one.
    pub weight: u32,
}

impl Borrower {
    /// The platform itself.
    pub const PLATFORM: Self = Self { tenant: None, weight: 1 };
}

/// What a schedule is bound by.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Connections that there are.
    pub size: u32,
    /// Those of them that are lent only to who has less than their share.
    pub reserve: u32,
    /// The most that wait.
    pub queue_max: usize,
    /// How long somebody waits.
    pub patience: Duration,
}

impl Rules {
    /// The rules for so many connections.
    #[must_use]
    pub fn new(size: u32, queue_max: usize, patience: Duration) -> Self {
        Self { size, reserve: size / RESERVE, queue_max, patience }
    }
}

/// A connection that is lent; to be given back by [`Schedule::give_back`].
#[derive(Debug)]
pub struct Loan {
    tenant: Option<TenantId>,
    since: Instant,
    /// What the tenant's balance was debited with, in microseconds; nothing where nobody waited.
    charged: Option<i64>,
}

/// Why somebody is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// As many wait as may.
    QueueFull,
    /// As many of the tenant's wait as it leaves room for others.
    TenantQueueFull,
    /// The wait would be longer than anybody waits.
    TooLong,
    /// The wait was as long as anybody waits.
    WaitedOut,
}

/// Somebody is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shed {
    /// Why.
    pub reason: Reason,
    /// When there may be room again.
    pub retry_after: Duration,
}

/// The answer to who asks for a connection.
#[derive(Debug)]
pub enum Asked {
    /// There is one.
    Lent(Loan),
    /// There will be one; the number is for [`Schedule::leave`].
    Waits(u64),
    /// There is none, and none in time.
    Shed(Shed),
}

/// Somebody whose turn has come.
#[derive(Debug)]
pub struct Turn<W> {
    /// Who waited.
    pub waiter: W,
    /// What they get.
    pub loan: Loan,
}

/// Who has a connection and who is next.
#[derive(Debug)]
pub struct Schedule<W> {
    rules: Rules,
    free: u32,
    waiting: usize,
    tickets: u64,
    /// Everybody who has a connection or waits for one.
    lanes: HashMap<Option<TenantId>, Lane<W>>,
    /// Those of them who wait, in the order of their turns.
    turns: VecDeque<Option<TenantId>>,
    /// The weights of all lanes.
    weight_present: u64,
    /// The weights of those who wait.
    weight_waiting: u64,
    /// What an operation of anybody's takes.
    mean: Mean,
    /// What a lane of weight one is credited for a turn, in microseconds: about what an operation takes. It is left alone
    /// while it is about right, for a credit that changed with each operation would favour those behind dear ones.
    quantum: i64,
    /// When a connection last changed hands.
    moved_at: Option<Instant>,
}

/// One tenant's part.
#[derive(Debug)]
struct Lane<W> {
    weight: u32,
    held: u32,
    queue: VecDeque<Waiter<W>>,
    /// Microseconds that the lane may still hold connections for in this turn; below zero it has had too many.
    balance: i64,
    /// Whether it was credited for the turn that it is in.
    has_turn: bool,
    mean: Mean,
    /// When a connection of the lane last changed hands.
    moved_at: Option<Instant>,
}

#[derive(Debug)]
struct Waiter<W> {
    ticket: u64,
    waiter: W,
}

impl<W> Schedule<W> {
    /// All connections are free.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            free: rules.size,
            waiting: 0,
            tickets: 0,
            lanes: HashMap::new(),
            turns: VecDeque::new(),
            weight_present: 0,
            weight_waiting: 0,
            mean: Mean::default(),
            quantum: 1,
            moved_at: None,
        }
    }

    /// Connections that nobody has.
    #[must_use]
    pub fn free(&self) -> u32 {
        self.free
    }

    /// How many wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// How many tenants wait.
    #[must_use]
    pub fn tenants_waiting(&self) -> usize {
        self.turns.len()
    }

    /// Whether nothing is lent and nobody waits, so that nothing is remembered of anybody.
    #[cfg(test)]
    pub fn is_at_rest(&self) -> bool {
        self.free == self.rules.size && self.lanes.is_empty() && self.turns.is_empty() && self.weight_present == 0
    }

    /// Somebody asks for a connection. `waiter` is made only if they have to wait.
    pub fn ask(&mut self, now: Instant, borrower: Borrower, waiter: impl FnOnce() -> W) -> Asked {
        let tenant = borrower.tenant;
        self.enter(borrower);
        // Whoever waits may not have what is free, else they would not wait: nobody is overtaken but by who may.
        if self.lanes[&tenant].queue.is_empty() && self.may_have_one(tenant) {
            return Asked::Lent(self.lend(now, tenant, None));
        }
        if let Some(shed) = self.refusal(now, tenant) {
            self.forget_if_idle(tenant);
            return Asked::Shed(shed);
        }
        self.tickets += 1;
        let ticket = self.tickets;
        self.waiting += 1;
        if let Some(lane) = self.lanes.get_mut(&tenant) {
            lane.queue.push_back(Waiter { ticket, waiter: waiter() });
            if lane.queue.len() == 1 {
                self.turns.push_back(tenant);
                self.weight_waiting += u64::from(lane.weight);
            }
        }
        Asked::Waits(ticket)
    }

    /// Somebody does not wait any longer. Whose turn has come already is not in the queue, and nothing happens.
    pub fn leave(&mut self, tenant: Option<TenantId>, ticket: u64) {
        let Some(lane) = self.lanes.get_mut(&tenant) else { return };
        let Ok(place) = lane.queue.binary_search_by_key(&ticket, |waiter| waiter.ticket) else { return };
        lane.queue.remove(place);
        self.waiting -= 1;
        if lane.queue.is_empty() {
            self.end_waiting(tenant);
            self.forget_if_idle(tenant);
        }
    }

    /// A connection comes back.
    pub fn give_back(&mut self, now: Instant, loan: &Loan) {
        self.free += 1;
        self.moved_at = Some(now);
        let took = now.saturating_duration_since(loan.since);
        // What takes longer than anybody waits is no measure of what the next will take.
        let sample = took.min(self.rules.patience);
        self.mean.add(sample);
        let mean = micros(self.mean.get().unwrap_or_default()).max(1);
        if mean > self.quantum.saturating_mul(2) || mean < self.quantum / 2 {
            self.quantum = mean;
        }
        let Some(lane) = self.lanes.get_mut(&loan.tenant) else { return };
        lane.held -= 1;
        lane.mean.add(sample);
        lane.moved_at = Some(now);
        if let Some(charged) = loan.charged {
            lane.balance = lane.balance.saturating_add(charged).saturating_sub(micros(took));
        }
        self.forget_if_idle(loan.tenant);
    }

    /// Lends a connection to whose turn it is; to be asked until nobody is left who may have one.
    ///
    /// Looks at no more lanes than have connections and are in debt, which is one for each turn that is taken, on average.
    pub fn next(&mut self, now: Instant) -> Option<Turn<W>> {
        if self.free == 0 {
            return None;
        }
        let mut passed_over = 0;
        while passed_over < self.turns.len() {
            let tenant = *self.turns.front()?;
            if !self.may_have_one(tenant) {
                self.pass_on(tenant);
                passed_over += 1;
            } else if self.begin_turn(tenant) {
                return self.take_turn(now, tenant);
            } else {
                // Its debt is smaller by a credit now, and debts are bounded.
                self.pass_on(tenant);
                passed_over = 0;
            }
        }
        None
    }

    /// Whether a lane may have one of the connections that are free. The last of them go to those who have less than
    /// their share.
    fn may_have_one(&self, tenant: Option<TenantId>) -> bool {
        if self.free > self.rules.reserve {
            return true;
        }
        let Some(lane) = self.lanes.get(&tenant) else { return false };
        self.free > 0 && (tenant.is_none() || lane.held < self.share(lane))
    }

    /// What a lane may have of all connections, beside everybody who has some or waits: its share by weight, rounded up, and
    /// never what is kept back from one alone. A share of less than all would hold the heavy ones down while everybody waits,
    /// for then what is free is never more than what is kept back, and this decides instead of the turns.
    fn share(&self, lane: &Lane<W>) -> u32 {
        let share = (u64::from(self.rules.size) * u64::from(lane.weight)).div_ceil(self.weight_present.max(1));
        u32::try_from(share).unwrap_or(u32::MAX).min(self.rules.size - self.rules.reserve)
    }

    /// Why somebody of a lane who cannot have a connection now should not wait for one either.
    fn refusal(&self, now: Instant, tenant: Option<TenantId>) -> Option<Shed> {
        let lane = self.lanes.get(&tenant)?;
        let (by_pace, stood_still) = (self.wait_by_pace(lane), self.stood_still(now, lane));
        let shed = |reason| Some(Shed { reason, retry_after: by_pace.max(stood_still) });
        let (all, own) = (self.waiting + 1, lane.queue.len() + 1);
        if all > self.rules.queue_max {
            return shed(Reason::QueueFull);
        }
        // The platform's own are few, and what they are about has no second door.
        tenant?;
        // One tenant takes half of the room, two a third each: some is always left for who has nobody waiting yet.
        if own > 1 && own > self.rules.queue_max - all {
            return shed(Reason::TenantQueueFull);
        }
        // A guess is wrong by so much that who would just be in time is as often late. Where nothing moves, it is as long
        // again as nothing has moved.
        let patience = self.rules.patience;
        let is_too_slow = self.mean.is_settled() && by_pace > patience * 3 / 4;
        if is_too_slow || stood_still > patience { shed(Reason::TooLong) } else { None }
    }

    /// How long the next of a lane would wait for those ahead of it, at the pace that the lane's share gives.
    fn wait_by_pace(&self, lane: &Lane<W>) -> Duration {
        let ahead = lane.queue.len() as f64 + 1.0;
        let took = lane.mean.or(self.mean).unwrap_or_default().as_secs_f64();
        let joins = if lane.queue.is_empty() { u64::from(lane.weight) } else { 0 };
        let share = f64::from(lane.weight) / (self.weight_waiting + joins).max(1) as f64;
        let connections = f64::from(self.rules.size) * share;
        let at_most = f64::from((self.rules.size - self.rules.reserve).max(1));
        Duration::try_from_secs_f64(ahead * took / connections.min(at_most)).unwrap_or(Duration::MAX)
    }

    /// For how long nothing has moved that a lane could wait for.
    fn stood_still(&self, now: Instant, lane: &Lane<W>) -> Duration {
        let moved_at = if self.free == 0 { self.moved_at } else { lane.moved_at };
        moved_at.map(|moved_at| now.saturating_duration_since(moved_at)).unwrap_or_default()
    }

    /// Sees to it that there is a lane.
    fn enter(&mut self, borrower: Borrower) {
        let weight = borrower.weight.max(1);
        match self.lanes.entry(borrower.tenant) {
            Entry::Vacant(place) => {
                place.insert(Lane::new(weight));
                self.weight_present += u64::from(weight);
            }
            // The tenant's plan may have changed.
            Entry::Occupied(mut place) => {
                let lane = place.get_mut();
                let was = std::mem::replace(&mut lane.weight, weight);
                self.weight_present = self.weight_present - u64::from(was) + u64::from(weight);
                if !lane.queue.is_empty() {
                    self.weight_waiting = self.weight_waiting - u64::from(was) + u64::from(weight);
                }
            }
        }
    }

    fn forget_if_idle(&mut self, tenant: Option<TenantId>) {
        if let Entry::Occupied(place) = self.lanes.entry(tenant)
            && place.get().held == 0
            && place.get().queue.is_empty()
        {
            self.weight_present -= u64::from(place.get().weight);
            place.remove();
        }
    }

    fn lend(&mut self, now: Instant, tenant: Option<TenantId>, charged: Option<i64>) -> Loan {
        self.free -= 1;
        self.moved_at = Some(now);
        if let Some(lane) = self.lanes.get_mut(&tenant) {
            lane.held += 1;
            lane.moved_at = Some(now);
        }
        Loan { tenant, since: now, charged }
    }

    /// Credits a lane whose turn begins, and tells whether it may take it.
    fn begin_turn(&mut self, tenant: Option<TenantId>) -> bool {
        let quantum = self.quantum;
        let Some(lane) = self.lanes.get_mut(&tenant) else { return false };
        if !lane.has_turn {
            let credit = quantum.saturating_mul(i64::from(lane.weight));
            let debt_max = credit.saturating_mul(-DEBT_TURNS_MAX);
            // What was guessed too high in the turn before is made good, and nothing is saved up beyond that.
            lane.balance = lane.balance.max(debt_max).saturating_add(credit).min(credit.saturating_mul(2));
            lane.has_turn = true;
        }
        lane.balance > 0
    }

    /// Lends to the first of the lane whose turn it is.
    fn take_turn(&mut self, now: Instant, tenant: Option<TenantId>) -> Option<Turn<W>> {
        let lane = self.lanes.get_mut(&tenant)?;
        let Waiter { waiter, .. } = lane.queue.pop_front()?;
        self.waiting -= 1;
        let cost = micros(lane.mean.or(self.mean).unwrap_or_default()).max(1);
        lane.balance = lane.balance.saturating_sub(cost);
        if lane.queue.is_empty() {
            self.end_waiting(tenant);
        } else if lane.balance <= 0 {
            self.pass_on(tenant);
        }
        Some(Turn { waiter, loan: self.lend(now, tenant, Some(cost)) })
    }

    /// Ends the turn of the lane in front: its next comes after everybody else's.
    fn pass_on(&mut self, tenant: Option<TenantId>) {
        self.turns.rotate_left(1);
        if let Some(lane) = self.lanes.get_mut(&tenant) {
            lane.has_turn = false;
        }
    }

    /// Nobody of a lane waits any more. It keeps what it owes as long as it has connections, and nothing else.
    fn end_waiting(&mut self, tenant: Option<TenantId>) {
        // Whose turn it is stands in front; only who gives up may stand elsewhere.
        if self.turns.front() == Some(&tenant) {
            self.turns.pop_front();
        } else {
            self.turns.retain(|waiting| *waiting != tenant);
        }
        if let Some(lane) = self.lanes.get_mut(&tenant) {
            self.weight_waiting -= u64::from(lane.weight);
            lane.has_turn = false;
            lane.balance = lane.balance.min(0);
        }
    }
}

impl<W> Lane<W> {
    fn new(weight: u32) -> Self {
        Self {
            weight,
            held: 0,
            queue: VecDeque::new(),
            balance: 0,
            has_turn: false,
            mean: Mean::default(),
            moved_at: None,
        }
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
