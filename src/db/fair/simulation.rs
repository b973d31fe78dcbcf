//! Hours of load in a moment: tenants who ask, operations that take their time, and a clock that jumps from one to the next.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::{Duration, Instant};

use super::schedule::{Asked, Borrower, Loan, Reason, Rules, Schedule};
use crate::kernel::ids::TenantId;

/// Chance that is the same in every run.
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Evenly spread in [0, 1).
    fn even(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// As far apart as things are that happen independently of each other.
    fn spread(&mut self, mean: Duration) -> Duration {
        mean.mul_f64(-(1.0 - self.even()).ln())
    }
}

/// A tenant and what it does.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shop {
    pub(super) weight: u32,
    /// Operations a second.
    pub(super) rate: f64,
    /// What one takes, on average.
    pub(super) takes: Duration,
}

/// What became of a tenant's operations.
#[derive(Debug, Default, Clone)]
pub(super) struct Outcome {
    pub(super) asked: usize,
    pub(super) served: usize,
    pub(super) shed: HashMap<&'static str, usize>,
    /// From asking to the end, of those that were served, in order.
    pub(super) latencies: Vec<Duration>,
    /// How long connections were held.
    pub(super) held: Duration,
}

impl Outcome {
    pub(super) fn p99(&self) -> Duration {
        self.latencies[self.latencies.len() * 99 / 100]
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// The next operation of a shop.
    Asks(usize),
    /// An operation has ended.
    Ends(u64),
    /// Nobody waits for an operation any more.
    GivesUp(u64),
}

struct Operation {
    shop: usize,
    asked_at: Instant,
    takes: Duration,
    ticket: u64,
    loan: Option<Loan>,
}

/// A pool and the shops that use it.
pub(super) struct Simulation {
    schedule: Schedule<u64>,
    rules: Rules,
    shops: Vec<Shop>,
    /// Whether each shop waits in a line of its own; else all wait in one.
    is_fair: bool,
    chance: Chance,
    started: Instant,
    now: Instant,
    events: BinaryHeap<Reverse<(Instant, u64, Event)>>,
    made: u64,
    operations: HashMap<u64, Operation>,
    outcomes: Vec<Outcome>,
}

/// Runs shops on a pool for so long.
pub(super) fn simulate(rules: Rules, shops: &[Shop], duration: Duration) -> Vec<Outcome> {
    Simulation::new(rules, shops, true).run(duration)
}

impl Simulation {
    pub(super) fn new(rules: Rules, shops: &[Shop], is_fair: bool) -> Self {
        let started = Instant::now();
        Self {
            schedule: Schedule::new(rules),
            rules,
            shops: shops.to_vec(),
            is_fair,
            chance: Chance::new(7),
            started,
            now: started,
            events: BinaryHeap::new(),
            made: 0,
            operations: HashMap::new(),
            outcomes: vec![Outcome::default(); shops.len()],
        }
    }

    pub(super) fn run(mut self, duration: Duration) -> Vec<Outcome> {
        for shop in 0..self.shops.len() {
            self.plan_next(shop);
        }
        while let Some(Reverse((at, _, event))) = self.events.pop() {
            if at > self.started + duration {
                break;
            }
            self.now = at;
            match event {
                Event::Asks(shop) => {
                    self.ask(shop);
                    self.plan_next(shop);
                }
                Event::Ends(operation) => self.end(operation),
                Event::GivesUp(operation) => self.give_up(operation),
            }
        }
        for outcome in &mut self.outcomes {
            outcome.latencies.sort_unstable();
        }
        self.outcomes
    }

    fn plan(&mut self, at: Instant, event: Event) {
        self.made += 1;
        self.events.push(Reverse((at, self.made, event)));
    }

    fn plan_next(&mut self, shop: usize) {
        let pause = self.chance.spread(Duration::from_secs_f64(1.0 / self.shops[shop].rate));
        self.plan(self.now + pause, Event::Asks(shop));
    }

    fn borrower(&self, shop: usize) -> Borrower {
        if self.is_fair { borrower(shop, self.shops[shop].weight) } else { Borrower::PLATFORM }
    }

    fn ask(&mut self, shop: usize) {
        let takes = self.chance.spread(self.shops[shop].takes);
        self.outcomes[shop].asked += 1;
        self.made += 1;
        let id = self.made;
        let mut operation = Operation { shop, asked_at: self.now, takes, ticket: 0, loan: None };
        match self.schedule.ask(self.now, self.borrower(shop), || id) {
            Asked::Lent(loan) => {
                self.operations.insert(id, operation);
                self.begin(id, loan);
            }
            Asked::Waits(ticket) => {
                operation.ticket = ticket;
                self.operations.insert(id, operation);
                self.plan(self.now + self.rules.patience, Event::GivesUp(id));
            }
            Asked::Shed(shed) => self.shed(shop, shed.reason),
        }
    }

    fn begin(&mut self, id: u64, loan: Loan) {
        let operation = self.operations.get_mut(&id).unwrap();
        operation.loan = Some(loan);
        let ends_at = self.now + operation.takes;
        self.plan(ends_at, Event::Ends(id));
    }

    fn end(&mut self, id: u64) {
        let Operation { shop, asked_at, takes, loan, .. } = self.operations.remove(&id).unwrap();
        let outcome = &mut self.outcomes[shop];
        outcome.served += 1;
        outcome.held += takes;
        outcome.latencies.push(self.now - asked_at);
        self.schedule.give_back(self.now, &loan.unwrap());
        self.hand_out();
    }

    fn give_up(&mut self, id: u64) {
        let Some(operation) = self.operations.get(&id).filter(|operation| operation.loan.is_none()) else { return };
        let (shop, ticket) = (operation.shop, operation.ticket);
        self.operations.remove(&id);
        self.schedule.leave(self.borrower(shop).tenant, ticket);
        self.shed(shop, Reason::WaitedOut);
        self.hand_out();
    }

    fn hand_out(&mut self) {
        while let Some(turn) = self.schedule.next(self.now) {
            self.begin(turn.waiter, turn.loan);
        }
    }

    fn shed(&mut self, shop: usize, reason: Reason) {
        *self.outcomes[shop].shed.entry(super::label(reason)).or_default() += 1;
    }
}

/// A shop that is told by its number.
pub(super) fn borrower(number: usize, weight: u32) -> Borrower {
    Borrower { tenant: Some(TenantId(uuid::Uuid::from_u128(number as u128 + 1))), weight }
}
