//! What nine quiet shops notice of a tenth that asks for a hundred times its share.
//!
//! The nine and the tenth share processors as well as connections, here with the clients and PostgreSQL on the same machine;
//! admission shares out connections alone. That it does so fairly is proven by the simulation in `db::fair`; this tells what
//! comes of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::{Mutex, mpsc};
use tokio::time::Instant;

use super::data::Bench;
use super::load::{Load, Request, exchange};
use super::process::Process;
use super::report::report;
use super::{CATALOGUE, CLIENTS};

/// Shops that are asked.
const SHOPS: usize = 10;

/// How long each half of a round lasts.
const DURATION: Duration = Duration::from_secs(4);

/// Quiet and storm take turns, so that what else the machine does meets both.
const ROUNDS: usize = 7;

/// The part of what the server can do that all ten shops ask for together while all is well.
const USED: f64 = 0.5;

/// Connections of a quiet shop's clients.
const QUIET_CONNECTIONS: usize = 8;

/// Clients of the shop that asks without an end; each asks again as soon as it is answered or turned away.
const STORM_CONNECTIONS: usize = 128;

/// How many times longer the nine may wait in the storm.
const RATIO_MAX: f64 = 1.25;

/// What became of a shop's requests.
#[derive(Default)]
struct Outcome {
    /// From when a request was due to the end of its answer.
    latencies: Vec<Duration>,
    refused: usize,
}

/// Measures the rounds and prints what the nine notice. Answers whether none of them was refused and all were as quick, within
/// [`RATIO_MAX`] at the median of the rounds.
pub async fn measure(bench: &Bench, server: &Process) -> bool {
    let requests: Vec<Request> =
        bench.tokens().iter().take(SHOPS).map(|token| Request::graphql(CATALOGUE, token)).collect();
    let most = Load::run(server.port, &requests, CLIENTS, DURATION).await;
    let rate = most.count() as f64 / DURATION.as_secs_f64();
    let share = rate * USED / SHOPS as f64;
    println!("\nfairness: {SHOPS} shops, {rate:.0}/s at most, {share:.0}/s each");
    let (mut ratios, mut nine, mut tenth) = (Vec::new(), Outcome::default(), Outcome::default());
    for _ in 0..ROUNDS {
        let (quiet, _) = half(server.port, &requests, share, false).await;
        let (storm, flood) = half(server.port, &requests, share, true).await;
        if quiet.latencies.is_empty() || storm.latencies.is_empty() {
            println!("  NOT FAIR: of nine nobody was served");
            return false;
        }
        let (one, other) = (p99(&quiet), p99(&storm));
        println!(
            "  p99 of nine: {:.1} ms quiet, {:.1} ms in the storm",
            one.as_secs_f64() * 1e3,
            other.as_secs_f64() * 1e3
        );
        ratios.push(other.as_secs_f64() / one.as_secs_f64());
        nine.refused += quiet.refused;
        nine.add(storm);
        tenth.add(flood);
    }
    ratios.sort_unstable_by(f64::total_cmp);
    let ratio = ratios[ROUNDS / 2];
    println!(
        "  ratio {ratio:.2} at the median of {ROUNDS} rounds, {:.2} to {:.2}; {} of nine served in the storms, {} refused",
        ratios[0],
        ratios[ROUNDS - 1],
        nine.latencies.len(),
        nine.refused,
    );
    println!("  the tenth in its storms: {} answered, {} turned away", tenth.latencies.len(), tenth.refused);
    report("fairness: p99 of nine in a storm, of quiet", ratio, "times", ..=RATIO_MAX);
    report("fairness: refused of nine", nine.refused as f64, "requests", ..=0.0);
    let is_fair = nine.refused == 0 && ratio <= RATIO_MAX;
    if !is_fair {
        println!("  NOT FAIR: at most none refused and a ratio of {RATIO_MAX}");
    }
    is_fair
}

fn p99(outcome: &Outcome) -> Duration {
    outcome.latencies[(outcome.latencies.len() - 1) * 99 / 100]
}

/// Nine shops at their share, the tenth beside them: all nine together, and the tenth.
async fn half(port: u16, requests: &[Request], share: f64, is_storm: bool) -> (Outcome, Outcome) {
    let stop = Arc::new(AtomicBool::new(false));
    let storm: Vec<_> = (0..if is_storm { STORM_CONNECTIONS } else { 0 })
        .map(|_| tokio::spawn(endless(port, requests[0].clone(), Arc::clone(&stop))))
        .collect();
    let first = usize::from(is_storm);
    let shops: Vec<_> = requests[first..]
        .iter()
        .enumerate()
        .map(|(number, request)| tokio::spawn(at_rate(port, request.clone(), share, number as u64)))
        .collect();
    let (mut nine, mut tenth) = (Outcome::default(), Outcome::default());
    for (number, shop) in shops.into_iter().enumerate() {
        let outcome = shop.await.unwrap();
        if number + first == 0 { &mut tenth } else { &mut nine }.add(outcome);
    }
    stop.store(true, Ordering::Relaxed);
    for client in storm {
        tenth.add(client.await.unwrap());
    }
    nine.latencies.sort_unstable();
    (nine, tenth)
}

impl Outcome {
    fn add(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        self.refused += other.refused;
    }

    fn count(&mut self, status: u16, since: Instant) {
        match status {
            200 => self.latencies.push(since.elapsed()),
            _ => self.refused += 1,
        }
    }
}

/// Sends a request at a rate, whatever becomes of those before: who is late is measured from when they were due.
async fn at_rate(port: u16, request: Request, rate: f64, seed: u64) -> Outcome {
    let (due, next) = mpsc::unbounded_channel::<Instant>();
    let next = Arc::new(Mutex::new(next));
    let clients: Vec<_> = (0..QUIET_CONNECTIONS)
        .map(|_| {
            let (next, request) = (Arc::clone(&next), request.clone());
            tokio::spawn(async move {
                let (mut stream, mut buffer) = (connect(port).await, Vec::new());
                let mut outcome = Outcome::default();
                loop {
                    let Some(since) = next.lock().await.recv().await else { return outcome };
                    let status = exchange(&mut stream, &request, &mut buffer).await.0;
                    outcome.count(status, since);
                }
            })
        })
        .collect();
    let (start, mut at, mut random) = (Instant::now(), Duration::ZERO, seed * 2 + 1);
    while at < DURATION {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let even = (random >> 11) as f64 / (1_u64 << 53) as f64;
        at += Duration::from_secs_f64(-(1.0 - even).ln() / rate);
        tokio::time::sleep_until(start + at).await;
        due.send(start + at).unwrap();
    }
    drop(due);
    let mut outcome = Outcome::default();
    for client in clients {
        outcome.add(client.await.unwrap());
    }
    outcome
}

/// Sends a request again and again until told to stop.
async fn endless(port: u16, request: Request, stop: Arc<AtomicBool>) -> Outcome {
    let (mut stream, mut buffer, mut outcome) = (connect(port).await, Vec::new(), Outcome::default());
    while !stop.load(Ordering::Relaxed) {
        let since = Instant::now();
        let status = exchange(&mut stream, &request, &mut buffer).await.0;
        outcome.count(status, since);
    }
    outcome
}

async fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}
