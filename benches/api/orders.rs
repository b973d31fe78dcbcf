//! `orderPlace` of drafts with two lines, against pgbench running the same statements in one transaction.

mod drafts;
mod script;

use std::time::{Duration, Instant};

use super::data::Bench;
use super::load::{Load, Request};
use super::process::{Process, cpu_of, cpu_of_tree};
use super::report::report;
pub use drafts::SHOPS;
use drafts::{DRAFTS, Drafts};

/// Clients that place one draft after the other: of the server, and of pgbench.
pub const CLIENTS: usize = 16;

/// Rounds of each; the ratio is their median.
const ROUNDS: usize = 3;

/// What of pgbench's rate the server must reach.
const BAR: f64 = 0.5;

/// What of PostgreSQL's processor time the server may take.
const CPU_BAR: f64 = 0.25;

const PLACE: &str = "mutation($id: ID!, $key: IdempotencyKey) {
    orderPlace(id: $id, idempotencyKey: $key) { order { id status } userErrors { code } } }";

/// Places drafts by the server and by pgbench in turn, with idempotency keys and without.
pub async fn measure(bench: &Bench, server: &Process) {
    println!("\norderPlace: two lines, {SHOPS} shops, {CLIENTS} clients, {DRAFTS} drafts each");
    let mut drafts = Drafts::start(bench).await;
    for has_key in [false, true] {
        // Once, so that both sides are measured warm.
        by_server(bench, server, &mut drafts, has_key).await;
        let (mut ratios, mut costs) = ([Vec::new(), Vec::new()], Vec::new());
        for round in 1..=ROUNDS {
            let ours = by_server(bench, server, &mut drafts, has_key).await;
            let plain = by_pgbench(bench, &mut drafts, script::text(bench, has_key, false)).await;
            let pipelined = by_pgbench(bench, &mut drafts, script::text(bench, has_key, true)).await;
            ratios[0].push(ours.rate / plain);
            ratios[1].push(ours.rate / pipelined);
            costs.push(ours.server_us / ours.postgres_us);
            println!(
                "  round {round}: rate {:.0}/s, pgbench {plain:.0}/s, in as few trips {pipelined:.0}/s; \
                 server CPU {:.0} µs, PostgreSQL's {:.0} µs; p50 {:.1} ms, p99 {:.1} ms",
                ours.rate,
                ours.server_us,
                ours.postgres_us,
                ours.p50.as_secs_f64() * 1e3,
                ours.p99.as_secs_f64() * 1e3
            );
        }
        let [plain, pipelined] = ratios.map(median);
        println!(
            "  {} a key: {plain:.2} of pgbench's rate, {pipelined:.2} where it makes as few trips; the bar of {BAR} is {}",
            if has_key { "with" } else { "without" },
            if plain >= BAR { "held" } else { "MISSED" }
        );
        let name = if has_key { "orderPlace with a key" } else { "orderPlace" };
        report(format_args!("{name}: rate of pgbench's"), plain, "times", BAR..);
        report(format_args!("{name}: server's CPU of PostgreSQL's"), median(costs), "times", ..=CPU_BAR);
    }
}

fn median(mut ratios: Vec<f64>) -> f64 {
    ratios.sort_by(f64::total_cmp);
    ratios[ratios.len() / 2]
}

/// What a load of placements cost.
struct Cost {
    rate: f64,
    server_us: f64,
    postgres_us: f64,
    p50: Duration,
    p99: Duration,
}

async fn by_server(bench: &Bench, server: &Process, drafts: &mut Drafts<'_>, has_key: bool) -> Cost {
    let numbers = drafts.enter().await;
    let tokens: Vec<String> = bench.tokens().iter().map(|token| format!("Authorization: Bearer {token}")).collect();
    let requests = numbers.map(|number| {
        let key = has_key.then(|| format!("key-{number}"));
        let variables = serde_json::json!({ "id": drafts::id(number).to_string(), "key": key });
        let body = serde_json::json!({ "query": PLACE, "variables": variables }).to_string();
        Request::body(&body, &tokens[drafts::shop(number)])
    });
    let requests = requests.collect();
    let before = (cpu_of(server.pid), cpu_of_tree(bench.postgres_pid));
    let started = Instant::now();
    let load = Load::each(server.port, requests, CLIENTS).await;
    let elapsed = started.elapsed().as_secs_f64();
    let after = (cpu_of(server.pid), cpu_of_tree(bench.postgres_pid));
    drafts.assert_placed().await;
    let count = load.count() as f64;
    Cost {
        rate: count / elapsed,
        server_us: (after.0 - before.0).as_secs_f64() * 1e6 / count,
        postgres_us: (after.1 - before.1).as_secs_f64() * 1e6 / count,
        p50: load.quantile(0.5),
        p99: load.quantile(0.99),
    }
}

async fn by_pgbench(bench: &Bench, drafts: &mut Drafts<'_>, script: String) -> f64 {
    let first = drafts.enter().await.start;
    let rate = bench.pgbench(&script, script::options(first)).await;
    drafts.assert_placed().await;
    rate
}
