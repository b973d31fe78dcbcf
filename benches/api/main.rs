//! What the server costs, as ratios measured in one run on one machine: against pgbench on the same SQL and cluster,
//! against PostgreSQL's own processor time, against an axum handler that does nothing, against itself without the wall,
//! and under attack.

#![expect(clippy::unwrap_used, reason = "a benchmark that fails has nothing to say")]
#![expect(clippy::disallowed_methods, reason = "a benchmark awaits its tasks and reads its own environment")]

mod cache;
#[path = "../../tests/it/hostile/corpus.rs"]
mod corpus;
mod data;
mod fairness;
mod load;
mod orders;
mod pgbench;
mod process;
#[path = "../report.rs"]
mod report;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use data::Bench;
use load::{Load, Request};
use process::{Process, cpu_of, cpu_of_tree, largest_child_bytes};
use report::report;

/// How long each load lasts.
const SECONDS: u64 = 8;

/// Clients that send one request after the other.
const CLIENTS: usize = 16;

/// Rounds of the catalogue in turn with what it is held against; what counts is their median.
const ROUNDS: usize = 3;

/// From so many shops on PostgreSQL's time for what it knows of them is most of the time of both sides.
const MANY: usize = 1_000;

/// Attackers that send one attack after the other.
const ATTACKERS: usize = 4;

/// Rounds with and without the wall, and how long each half lasts.
const WALL_ROUNDS: usize = 13;
const WALL_ROUND: Duration = Duration::from_secs(3);

/// The query of the first page of any shop.
const CATALOGUE: &str = "{books(first:20){nodes{title price{amount} authors{nodes{name}} category{name}}}}";

/// A page of orders, down to the authors of the books that are in them.
const ORDERS: &str = "{orders(first:20){nodes{status totalPrice{amount} lines{nodes{quantity title \
    book{title authors{nodes{name}}}}}}}}";

fn main() -> ExitCode {
    if std::env::args().any(|argument| argument == "bare") {
        process::serve_bare();
        return ExitCode::SUCCESS;
    }
    let is_fair = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(run());
    if is_fair { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Measures what was asked for. Answers whether shops were served fairly, where that was measured.
async fn run() -> bool {
    let bench = Bench::start().await;
    let server = Process::server(&bench);
    if std::env::args().any(|argument| argument == "orders") {
        orders::measure(&bench, &server).await;
        return true;
    }
    if std::env::args().any(|argument| argument == "fairness") {
        return fairness::measure(&bench, &server).await;
    }
    if std::env::args().any(|argument| argument == "cache") {
        cache::measure(&bench).await;
        return true;
    }
    let requests: Vec<Request> = bench.tokens().iter().map(|token| Request::graphql(CATALOGUE, token)).collect();
    println!("\nprovisioning");
    println!(
        "  median {:.1} ms, {} tenants in {:.1} s",
        bench.provision_median.as_secs_f64() * 1e3,
        bench.provisioned,
        bench.provision_total.as_secs_f64()
    );
    report("provisioning: one tenant", bench.provision_median.as_secs_f64() * 1e3, "ms", ..);
    catalogue(&bench, &server, &requests).await;
    if std::env::args().any(|argument| argument == "catalogue") {
        return true;
    }

    wall(&bench, &server, &requests).await;
    attacks(&bench, &server, &requests).await;
    orders::measure(&bench, &server).await;
    let listed: Vec<Request> =
        bench.tokens().iter().take(orders::SHOPS as usize).map(|token| Request::graphql(ORDERS, token)).collect();
    let (statements, round_trips) = load::sql_counts(server.port, &listed[0]).await;
    let listed = cost(&bench, &server, &listed).await;
    println!("\norders: {statements} statements in {round_trips} round trips");
    println!(
        "  {:.0}/s; server CPU {:.0} µs, PostgreSQL's {:.0} µs",
        listed.rate, listed.server_us, listed.postgres_us
    );
    report("orders: server's CPU of PostgreSQL's", listed.server_us / listed.postgres_us, "times", ..=1.0);
    let is_fair = fairness::measure(&bench, &server).await;
    cache::measure(&bench).await;

    println!("\n{{__typename}}");
    let typename = vec![Request::graphql("{__typename}", &bench.tokens()[0])];
    let bare = Process::bare();
    Load::run(server.port, &typename, CLIENTS, Duration::from_secs(1)).await;
    Load::run(bare.port, &typename, CLIENTS, Duration::from_secs(1)).await;
    let ours = cpu_per_request(&server, &typename).await;
    let theirs = cpu_per_request(&bare, &typename).await;
    println!("  server CPU {ours:.1} µs, bare axum {theirs:.1} µs: ratio {:.2}", ours / theirs);
    report("{__typename}: server's CPU of a bare handler's", ours / theirs, "times", ..);

    bench.register_more(1_000).await;
    let resident = server.resident_bytes();
    println!("\nmemory with 1,000 tenants registered and after all this: {} MB resident", resident / 1_000_000);
    report("memory after all of it, 1,000 tenants registered", resident as f64 / 1e6, "MB", ..=40.0);
    is_fair
}

/// The first page of every shop, against pgbench; and what it costs when there is one shop alone.
async fn catalogue(bench: &Bench, server: &Process, requests: &[Request]) {
    let shops = requests.len();
    let (statements, round_trips) = load::sql_counts(server.port, &requests[0]).await;
    println!("\ncatalogue: {CATALOGUE}");
    println!(
        "  {shops} shops, {CLIENTS} clients, {SECONDS} s each; {statements} statements in {round_trips} round trips"
    );
    // Once through all tenants, so that both sides are measured warm.
    Load::run(server.port, requests, CLIENTS, Duration::from_secs(3)).await;
    bench.pgbench_catalogue(3).await;
    let (mut rates, mut costs) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        let (ours, theirs) = (cost(bench, server, requests).await, bench.pgbench_catalogue(SECONDS).await);
        println!(
            "  round {round}: rate {:.0}/s, pgbench {theirs:.0}/s: ratio {:.2}; server CPU {:.0} µs, PostgreSQL's {:.0} µs: ratio {:.2}; \
             p50 {:.1} ms, p99 {:.1} ms",
            ours.rate,
            ours.rate / theirs,
            ours.server_us,
            ours.postgres_us,
            ours.server_us / ours.postgres_us,
            ours.p50.as_secs_f64() * 1e3,
            ours.p99.as_secs_f64() * 1e3,
        );
        rates.push(ours.rate / theirs);
        costs.push(ours.server_us / ours.postgres_us);
    }
    let rate_bar = if shops < MANY { 0.7 } else { 0.95 };
    report(format_args!("catalogue of {shops} shops: rate of pgbench's"), median(rates), "times", rate_bar..);
    report(format_args!("catalogue of {shops} shops: server's CPU of PostgreSQL's"), median(costs), "times", ..=0.7);
    report("memory under that load", server.resident_bytes() as f64 / 1e6, "MB", ..=40.0);
    report("memory under that load without the program's own", server.own_bytes() as f64 / 1e6, "MB", ..);
    let largest = largest_child_bytes(bench.postgres_pid) as f64 / 1e6;
    report(format_args!("memory of the largest backend, {shops} shops"), largest, "MB", ..=60.0);
    let mut flat = Vec::new();
    for _ in 0..ROUNDS {
        let alone = cost(bench, server, &requests[..1]).await;
        flat.push(cost(bench, server, requests).await.server_us / alone.server_us);
    }
    report(format_args!("catalogue of {shops} shops: server's CPU of one shop's"), median(flat), "times", ..=1.1);
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// What credentials and the wall cost: the same server, and a build of it that has neither, in turn.
async fn wall(bench: &Bench, server: &Process, requests: &[Request]) {
    println!("\ncredentials and the wall");
    let Some(without) = Process::without_wall(bench) else {
        println!("  not measured: SHELFWISE_WITHOUT_WALL is not set");
        return;
    };
    // Without entering a tenant's role the login must have the roles' rights by itself.
    bench.inherit(true).await;
    let named: Vec<Request> = bench.slugs().iter().map(|slug| Request::named(CATALOGUE, slug)).collect();
    Load::run(without.port, &named, CLIENTS, Duration::from_secs(3)).await;
    let mut ratios = Vec::new();
    // Short rounds in turn, and their median: the machine is not as quiet as one would like.
    for _ in 0..WALL_ROUNDS {
        let with = Load::run(server.port, requests, CLIENTS, WALL_ROUND).await.count() as f64;
        let bare = Load::run(without.port, &named, CLIENTS, WALL_ROUND).await.count() as f64;
        ratios.push(with / bare);
    }
    ratios.sort_by(f64::total_cmp);
    let cost = |index: usize| (1.0 - ratios[index]) * 100.0;
    println!(
        "  of {WALL_ROUNDS} rounds: {:.1} % of the throughput at the median, {:.1} to {:.1} % in the middle half",
        cost(WALL_ROUNDS / 2),
        cost(WALL_ROUNDS * 3 / 4),
        cost(WALL_ROUNDS / 4)
    );
    report("credentials and the wall: of the throughput", cost(WALL_ROUNDS / 2), "%", ..);
    bench.inherit(false).await;
}

/// What each attack of the corpus costs, and what others notice of all of them.
async fn attacks(bench: &Bench, server: &Process, requests: &[Request]) {
    const TIMES: usize = 10;
    println!("\nattacks");
    let token = format!("Authorization: Bearer {}", bench.tokens()[0]);
    let documents =
        corpus::documents().into_iter().map(|(name, text, _)| (name, serde_json::json!({ "query": text }).to_string()));
    let bodies = corpus::requests().into_iter().map(|(name, body, _)| (name, body));
    let attacks: Vec<(&str, Request)> =
        documents.chain(bodies).map(|(name, body)| (name, Request::body(&body, &token))).collect();
    let before = server.resident_bytes();
    let mut dearest = (Duration::ZERO, "");
    for (name, attack) in &attacks {
        let cpu = cpu_of(server.pid);
        load::repeat(server.port, attack, TIMES).await;
        dearest = dearest.max(((cpu_of(server.pid) - cpu) / TIMES as u32, name));
    }
    println!(
        "  the dearest of {}: {:.0} ms of processor time ({}); resident before {} MB, after {} MB",
        attacks.len(),
        dearest.0.as_secs_f64() * 1e3,
        dearest.1,
        before / 1_000_000,
        server.resident_bytes() / 1_000_000
    );
    let duration = Duration::from_secs(SECONDS);
    let quiet = Load::run(server.port, requests, CLIENTS, duration).await;
    let stop = Arc::new(AtomicBool::new(false));
    let all: Vec<Request> = attacks.into_iter().map(|(_, attack)| attack).collect();
    let attackers: Vec<_> =
        (0..ATTACKERS).map(|_| tokio::spawn(load::attack(server.port, all.clone(), Arc::clone(&stop)))).collect();
    let attacked = Load::run(server.port, requests, CLIENTS, duration).await;
    stop.store(true, Ordering::Relaxed);
    let mut refused = 0;
    for attacker in attackers {
        refused += attacker.await.unwrap();
    }
    let (one, other) = (quiet.quantile(0.99).as_secs_f64() * 1e3, attacked.quantile(0.99).as_secs_f64() * 1e3);
    println!(
        "  p99 of others {one:.1} ms, under {ATTACKERS} attackers ({} refusals a second) {other:.1} ms: ratio {:.2}",
        refused as u64 / SECONDS,
        other / one
    );
    report("attacks: CPU of the dearest", dearest.0.as_secs_f64() * 1e3, "ms", ..);
    report("attacks: p99 of others, of quiet", other / one, "times", ..);
}

/// What a load of queries cost.
struct Cost {
    rate: f64,
    server_us: f64,
    postgres_us: f64,
    p50: Duration,
    p99: Duration,
}

async fn cost(bench: &Bench, server: &Process, requests: &[Request]) -> Cost {
    let before = (cpu_of(server.pid), cpu_of_tree(bench.postgres_pid));
    let started = Instant::now();
    let load = Load::run(server.port, requests, CLIENTS, Duration::from_secs(SECONDS)).await;
    let elapsed = started.elapsed().as_secs_f64();
    let after = (cpu_of(server.pid), cpu_of_tree(bench.postgres_pid));
    let count = load.count() as f64;
    Cost {
        rate: count / elapsed,
        server_us: (after.0 - before.0).as_secs_f64() * 1e6 / count,
        postgres_us: (after.1 - before.1).as_secs_f64() * 1e6 / count,
        p50: load.quantile(0.5),
        p99: load.quantile(0.99),
    }
}

async fn cpu_per_request(process: &Process, requests: &[Request]) -> f64 {
    let before = cpu_of(process.pid);
    let load = Load::run(process.port, requests, CLIENTS, Duration::from_secs(4)).await;
    (cpu_of(process.pid) - before).as_secs_f64() * 1e6 / load.count() as f64
}
