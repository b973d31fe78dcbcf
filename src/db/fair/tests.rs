//! What the schedule promises, under load and under chance.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use tokio::task::JoinSet;

use super::Admission;
use super::schedule::{Asked, Borrower, Loan, Reason, Rules, Schedule};
use super::simulation::{Outcome, Shop, Simulation, borrower, simulate};

const MS: Duration = Duration::from_millis(1);
const RUN: Duration = Duration::from_secs(15);

/// Eight connections, as a server of four processors would have.
fn rules() -> Rules {
    Rules::new(8, 1_000, Duration::from_secs(2))
}

/// One shop and nine, whose operations take 5 ms: eight connections do 1,600 a second, so that a tenth is 160. The nine ask
/// for half of theirs.
fn ten(rate_of_first: f64) -> Vec<Shop> {
    let quiet = Shop { weight: 1, rate: 80.0, takes: 5 * MS };
    std::iter::once(Shop { rate: rate_of_first, ..quiet }).chain(std::iter::repeat_n(quiet, 9)).collect()
}

/// The 99th percentile of all but the first.
fn p99_of_nine(outcomes: &[Outcome]) -> Duration {
    let mut all: Vec<Duration> = outcomes[1..].iter().flat_map(|outcome| outcome.latencies.clone()).collect();
    all.sort_unstable();
    all[all.len() * 99 / 100]
}

fn shed(outcomes: &[Outcome]) -> usize {
    outcomes.iter().flat_map(|outcome| outcome.shed.values()).sum()
}

#[test]
fn a_hundred_times_its_share_of_one_moves_the_others_by_less_than_a_quarter() {
    let quiet = simulate(rules(), &ten(160.0), RUN);
    let storm = simulate(rules(), &ten(16_000.0), RUN);
    assert_eq!(shed(&quiet), 0);
    assert_eq!(shed(&storm[1..]), 0, "all nine get their full rate");
    let ratio = p99_of_nine(&storm).as_secs_f64() / p99_of_nine(&quiet).as_secs_f64();
    println!("p99 of nine: {:?} in quiet, ratio {ratio:.3} in the storm", p99_of_nine(&quiet));
    assert!(ratio < 1.25, "{ratio}");
    for (quiet, storm) in quiet[1..].iter().zip(&storm[1..]) {
        assert!(storm.p99().as_secs_f64() < quiet.p99().as_secs_f64() * 1.25);
    }
    // What the nine leave is not wasted: 55 of 100 parts, of which the pool keeps some back.
    let rate = storm[0].served as f64 / RUN.as_secs_f64();
    assert!(rate > 400.0, "{rate}");
}

#[test]
fn in_one_line_the_same_load_ruins_the_others() {
    let storm = Simulation::new(rules(), &ten(16_000.0), false).run(RUN);
    assert!(p99_of_nine(&storm) > Duration::from_millis(500), "{:?}", p99_of_nine(&storm));
    assert!(shed(&storm[1..]) > 0);
}

/// The parts of what was held that each shop had, in all 1.
fn parts(outcomes: &[Outcome]) -> Vec<f64> {
    let all = outcomes.iter().map(|outcome| outcome.held).sum::<Duration>().as_secs_f64();
    outcomes.iter().map(|outcome| outcome.held.as_secs_f64() / all).collect()
}

#[test]
fn who_waits_is_served_by_weight_within_a_turn() {
    let weights = [1, 2, 4, 8];
    // Where shares are whole connections it is exact, else within what rounding one makes.
    for (size, rate, off_max) in [(15, 6_000.0, 0.05), (10, 4_000.0, 0.2)] {
        let rules = Rules::new(size, 1_000, Duration::from_secs(2));
        let outcomes = simulate(rules, &weights.map(|weight| Shop { weight, rate, takes: 5 * MS }), RUN);
        for (weight, part) in weights.iter().zip(parts(&outcomes)) {
            let due = f64::from(*weight) / 15.0;
            assert!((part - due).abs() < off_max * due, "{part} of {due} of {size}");
        }
        let busy: Duration = outcomes.iter().map(|outcome| outcome.held).sum();
        assert!(busy > RUN * size * 99 / 100, "no connection stands idle while somebody waits: {busy:?}");
    }
}

#[test]
fn a_heavy_plan_has_its_part_beside_many_light_ones_however_little_is_free() {
    let rules = Rules::new(10, 1_000, Duration::from_secs(2));
    for (weight, others, at_least) in [(8, 8, 0.42), (4, 12, 0.235)] {
        let shop = |weight| Shop { weight, rate: 1_000.0, takes: 5 * MS };
        let shops: Vec<Shop> = std::iter::once(shop(weight)).chain((0..others).map(|_| shop(1))).collect();
        let parts = parts(&simulate(rules, &shops, RUN));
        println!("weight {weight} beside {others}: {:.3}", parts[0]);
        assert!(parts[0] > at_least, "weight {weight} beside {others}: {parts:?}");
        let light = (1.0 - parts[0]) / f64::from(others);
        assert!(parts[1..].iter().all(|part| (part - light).abs() < 0.1 * light), "{parts:?}");
    }
}

#[test]
fn dear_operations_get_as_much_time_as_cheap_ones_and_not_as_many_turns() {
    let rules = Rules::new(10, 1_000, Duration::from_secs(2));
    let cheap = Shop { weight: 1, rate: 2_000.0, takes: 2 * MS };
    let dear = Shop { weight: 1, rate: 200.0, takes: 100 * MS };
    let parts = parts(&simulate(rules, &[dear, cheap, cheap, cheap], RUN));
    assert!(parts.iter().all(|part| (part - 0.25).abs() < 0.025), "{parts:?}");
}

#[test]
fn who_is_let_in_is_served_in_time_and_who_would_not_be_is_told_at_once() {
    // Ten equal shops ask for four times what there is: nobody is quiet.
    let shops = [Shop { weight: 1, rate: 640.0, takes: 5 * MS }; 10];
    let rules = Rules { queue_max: 100_000, ..rules() };
    let outcomes = simulate(rules, &shops, RUN);
    for outcome in &outcomes {
        let count = |reason| *outcome.shed.get(reason).unwrap_or(&0);
        assert!(outcome.served > 2_000, "{}", outcome.served);
        assert!(count("waited_out") * 50 < outcome.served, "let in and not served: {:?}", outcome.shed);
        assert!(count("too_long") > 5_000, "{:?}", outcome.shed);
        assert!(*outcome.latencies.last().unwrap() < Duration::from_millis(2_200));
    }
}

#[test]
fn whoever_has_everything_under_way_leaves_some_for_others() {
    let (mut schedule, now) = (Schedule::new(rules()), Instant::now());
    let (hot, other, third) = (borrower(0, 1), borrower(1, 1), borrower(2, 1));
    let lend = |schedule: &mut Schedule<()>, borrower| matches!(schedule.ask(now, borrower, || ()), Asked::Lent(_));
    assert_eq!((0..20).filter(|_| lend(&mut schedule, hot)).count(), 6, "three quarters");
    // Two who come newly find one each, though fourteen wait.
    assert!(lend(&mut schedule, other) && lend(&mut schedule, third));
    assert!(!lend(&mut schedule, other) && schedule.free() == 0);
}

#[test]
fn a_small_pool_has_nothing_to_keep_back() {
    for size in 1..4 {
        let (mut schedule, now) = (Schedule::new(Rules::new(size, 10, RUN)), Instant::now());
        for _ in 0..size {
            assert!(matches!(schedule.ask(now, borrower(0, 1), || ()), Asked::Lent(_)), "{size}");
        }
    }
}

#[test]
fn a_queue_has_room_for_others_and_an_end() {
    let rules = Rules::new(1, 10, RUN);
    let (mut schedule, now) = (Schedule::new(rules), Instant::now());
    assert!(matches!(schedule.ask(now, borrower(0, 1), || ()), Asked::Lent(_)));
    let mut waits = |number: usize| match schedule.ask(now, borrower(number, 1), || ()) {
        Asked::Waits(_) => Ok(()),
        Asked::Shed(shed) => Err(shed.reason),
        Asked::Lent(_) => unreachable!(),
    };
    // Half of the room, a third of the rest, and so on, but one place is anybody's while there is one.
    let first: Vec<_> = (0..7).map(|_| waits(0)).collect();
    assert_eq!(first, [Ok(()); 5].into_iter().chain([Err(Reason::TenantQueueFull); 2]).collect::<Vec<_>>());
    assert_eq!([waits(1), waits(1), waits(1)], [Ok(()), Ok(()), Err(Reason::TenantQueueFull)]);
    assert_eq!([waits(2), waits(3), waits(4), waits(5)], [Ok(()), Ok(()), Ok(()), Err(Reason::QueueFull)]);
}

#[test]
fn while_nothing_moves_nobody_is_kept_waiting_for_nothing() {
    let (mut schedule, start) = (Schedule::new(Rules::new(1, 10, 2 * Duration::from_secs(1))), Instant::now());
    let Asked::Lent(loan) = schedule.ask(start, borrower(0, 1), || ()) else { panic!() };
    assert!(matches!(schedule.ask(start + Duration::from_secs(1), borrower(1, 1), || ()), Asked::Waits(_)));
    let Asked::Shed(shed) = schedule.ask(start + 3 * Duration::from_secs(1), borrower(2, 1), || ()) else { panic!() };
    assert_eq!((shed.reason, shed.retry_after), (Reason::TooLong, Duration::from_secs(3)));
    // It moves again, and with it the queue.
    schedule.give_back(start + 4 * Duration::from_secs(1), &loan);
    assert!(schedule.next(start + 4 * Duration::from_secs(1)).is_some());
}

/// What chance does to a schedule.
#[derive(Debug, Clone)]
enum Act {
    Ask { shop: usize, weight: u32 },
    GiveBack { which: usize, after_ms: u64 },
    Leave { which: usize },
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        4 => (0..6_usize, 1..9_u32).prop_map(|(shop, weight)| Act::Ask { shop, weight }),
        3 => (any::<usize>(), 0..50_u64).prop_map(|(which, after_ms)| Act::GiveBack { which, after_ms }),
        1 => any::<usize>().prop_map(|which| Act::Leave { which }),
    ];
    proptest::collection::vec(act, 1..400)
}

/// A schedule beside what must be true of it.
struct Model {
    schedule: Schedule<u64>,
    rules: Rules,
    now: Instant,
    made: u64,
    /// Loans with whose they are.
    lent: Vec<(usize, Loan)>,
    /// Who waits, in the order of asking: shop, ticket, and the number that stands for them.
    waiting: Vec<(usize, u64, u64)>,
}

impl Model {
    fn new(size: u32) -> Self {
        let rules = Rules::new(size, 40, Duration::from_secs(3_600));
        Self {
            schedule: Schedule::new(rules),
            rules,
            now: Instant::now(),
            made: 0,
            lent: Vec::new(),
            waiting: Vec::new(),
        }
    }

    fn act(&mut self, act: &Act) {
        match *act {
            Act::Ask { shop, weight } => {
                self.made += 1;
                let number = self.made;
                match self.schedule.ask(self.now, borrower(shop, weight), || number) {
                    Asked::Lent(loan) => {
                        assert!(!self.waiting.iter().any(|(other, ..)| *other == shop), "overtook its own");
                        self.lent.push((shop, loan));
                    }
                    Asked::Waits(ticket) => self.waiting.push((shop, ticket, number)),
                    Asked::Shed(_) => {}
                }
            }
            Act::GiveBack { which, after_ms } if !self.lent.is_empty() => {
                self.now += Duration::from_millis(after_ms);
                let (_, loan) = self.lent.swap_remove(which % self.lent.len());
                self.schedule.give_back(self.now, &loan);
            }
            Act::Leave { which } if !self.waiting.is_empty() => {
                let (shop, ticket, _) = self.waiting.remove(which % self.waiting.len());
                self.schedule.leave(borrower(shop, 1).tenant, ticket);
            }
            _ => {}
        }
        while let Some(turn) = self.schedule.next(self.now) {
            let place =
                self.waiting.iter().position(|(.., number)| *number == turn.waiter).expect("who left is not lent to");
            let (shop, ..) = self.waiting.remove(place);
            assert!(!self.waiting[..place].iter().any(|(other, ..)| *other == shop), "its own come in order");
            self.lent.push((shop, turn.loan));
        }
    }

    fn check(&self) {
        let free = self.schedule.free();
        assert_eq!(free as usize + self.lent.len(), self.rules.size as usize, "no connection is lost or doubled");
        assert_eq!(self.schedule.waiting(), self.waiting.len());
        if free > self.rules.reserve {
            assert!(self.waiting.is_empty(), "{free} are free and somebody waits");
        }
        if free > 0 {
            let held = |shop: usize| self.lent.iter().filter(|(other, _)| *other == shop).count();
            assert!(self.waiting.iter().all(|(shop, ..)| held(*shop) > 0), "one who has none waits beside a free one");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(100) })]

    #[test]
    fn nothing_is_lost_overtaken_or_left_lying(size in 1..13_u32, acts in acts()) {
        let mut model = Model::new(size);
        for act in &acts {
            model.act(act);
            model.check();
        }
        // Nobody starves: as connections come back, everybody who waits gets one, and then nothing is left of anybody.
        while !model.lent.is_empty() {
            model.act(&Act::GiveBack { which: 0, after_ms: 5 });
            model.check();
        }
        prop_assert!(model.waiting.is_empty());
        prop_assert!(model.schedule.is_at_rest());
    }

    #[test]
    fn nobody_waits_longer_than_their_debt_and_a_round(costs in proptest::collection::vec(1..200_u64, 2..8)) {
        // As many shops as costs, each with somebody waiting all the time, on one connection.
        let mut schedule = Schedule::new(Rules::new(1, 10_000, Duration::from_secs(3_600)));
        let mut now = Instant::now();
        let Asked::Lent(mut loan) = schedule.ask(now, Borrower { weight: 1, ..borrower(99, 1) }, || 0) else { panic!() };
        for shop in 0..costs.len() {
            for _ in 0..3 {
                schedule.ask(now, borrower(shop, 1), || shop);
            }
        }
        let mut held = HashMap::<usize, u64>::new();
        for _ in 0..3_000 {
            schedule.give_back(now, &loan);
            let turn = schedule.next(now).unwrap();
            now += Duration::from_millis(costs[turn.waiter]);
            *held.entry(turn.waiter).or_default() += costs[turn.waiter];
            schedule.ask(now, borrower(turn.waiter, 1), || turn.waiter);
            loan = turn.loan;
        }
        // The same time for each, but for a turn and what was guessed wrong of the first few.
        let (least, most) = (held.values().min().unwrap(), held.values().max().unwrap());
        prop_assert_eq!(held.len(), costs.len());
        prop_assert!(most - least <= 4 * costs.iter().max().unwrap() + 200, "{:?} {:?}", held, costs);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_gives_up_at_any_moment_takes_nothing_along() {
    let admission = Admission::new(Rules::new(3, 10_000, 60 * Duration::from_secs(1)));
    let mut tasks = JoinSet::new();
    for number in 0..3_000_usize {
        let admission = admission.clone();
        let operation = async move {
            let permit = admission.acquire(borrower(number % 7, 1 + number as u32 % 3)).await;
            // Held for a few turns of the runtime, so that all the others queue up meanwhile.
            for _ in 0..number % 5 {
                tokio::task::yield_now().await;
            }
            permit.is_ok()
        };
        // Every third is polled so many times, and dropped wherever it is by then.
        let polls = if number % 3 == 0 { number % 11 } else { usize::MAX };
        tasks.spawn(async move {
            let mut operation = Box::pin(operation);
            for _ in 0..polls {
                tokio::select! {
                    biased;
                    is_served = &mut operation => return Some(is_served),
                    () = tokio::task::yield_now() => {}
                }
            }
            None
        });
    }
    let mut served = 0;
    while let Some(task) = tasks.join_next().await {
        served += usize::from(task.unwrap() == Some(true));
    }
    assert!(served >= 2_000, "{served}");
    let state = admission.state();
    assert_eq!((state.free, state.waiting, state.tenants_waiting), (3, 0, 0));
}
