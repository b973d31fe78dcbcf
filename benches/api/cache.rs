//! `book(id:)` from what is kept, against the same server asked to read it from the database, in turn.

use std::time::{Duration, Instant};

use shelfwise::kernel::ids::BookId;
use uuid::Uuid;

use super::data::Bench;
use super::load::{Load, Request};
use super::process::{Process, cpu_of, cpu_of_tree, free_port};
use super::report::report;

/// Clients that send one request after the other.
const CLIENTS: usize = 16;

/// Rounds of each, and how long each lasts; the ratio is their median.
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(4);

/// Books of each shop that are asked for.
const BOOKS: i64 = 20;

/// How many times as fast what is kept must be.
const BAR: f64 = 2.0;

/// What of PostgreSQL's processor time the server may take for a book that it reads.
const CPU_BAR: f64 = 0.5;

const BOOK: &str =
    "query($id: ID!) { book(id: $id) { title isbn13 price { amount currency } stock category { name } } }";

/// Asks for books of all shops, from the database and from what is kept.
pub async fn measure(bench: &Bench) {
    let server = Process::keeping(bench, None);
    let (kept, read) = requests(bench).await;
    println!("\nbook(id:): {} books of all shops, {CLIENTS} clients", kept.len());
    // Once through, so that both are measured warm.
    for requests in [&read, &kept] {
        Load::each(server.port, requests.clone(), CLIENTS).await;
    }
    let (mut ratios, mut costs, mut shares) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        let (read, kept) = (run(bench, &server, &read).await, run(bench, &server, &kept).await);
        println!("  round {round}: read {read}; kept {kept}: ratio {:.2}", kept.rate / read.rate);
        ratios.push(kept.rate / read.rate);
        shares.push(read.server_us / read.postgres_us);
        costs.push((read.server_us + read.postgres_us) / (kept.server_us + kept.postgres_us));
    }
    let (rate, cost) = (median(ratios), median(costs));
    let held = if rate >= BAR { "held" } else { "MISSED" };
    println!("  {rate:.2} times the rate, {cost:.2} times less processor time in all; the bar of {BAR} is {held}");
    report("book(id:) that is kept: rate of reading it", rate, "times", BAR..);
    report("book(id:) that is read: server's CPU of PostgreSQL's", median(shares), "times", ..=CPU_BAR);
    redis_is_killed(bench, &kept).await;
}

/// What those who ask notice of a Redis that is killed and comes back. A request that fails ends it all.
async fn redis_is_killed(bench: &Bench, requests: &[Request]) {
    let port = free_port();
    let mut redis = Some(Process::redis(port));
    let server = Process::keeping(bench, Some(port));
    Load::each(server.port, requests.to_vec(), CLIENTS).await;
    println!("  second by second, with Redis killed after the 3rd and started again after the 6th:");
    for second in 1..=10 {
        let load = Load::run(server.port, requests, CLIENTS, Duration::from_secs(1)).await;
        let p99 = load.quantile(0.99).as_secs_f64() * 1e3;
        println!("    {second}: {}/s, p99 {p99:.2} ms", load.count());
        match second {
            3 => redis = None,
            6 => redis = Some(Process::redis(port)),
            _ => {}
        }
    }
    drop(redis);
}

/// Requests for books, as anybody sends them and as those who refuse what is kept.
async fn requests(bench: &Bench) -> (Vec<Request>, Vec<Request>) {
    let psql = bench.psql().await;
    let (mut kept, mut read) = (Vec::new(), Vec::new());
    for (token, schema) in bench.tokens().iter().zip(bench.schemas()) {
        let query = format!(r#"SELECT id FROM "{schema}".books ORDER BY id LIMIT {BOOKS}"#);
        for row in psql.query(&query, &[]).await.unwrap() {
            let id = BookId(row.get::<_, Uuid>(0)).to_string();
            let body = serde_json::json!({ "query": BOOK, "variables": { "id": id } }).to_string();
            let credential = format!("Authorization: Bearer {token}");
            kept.push(Request::body(&body, &credential));
            read.push(Request::body(&body, &format!("{credential}\r\nCache-Control: no-cache")));
        }
    }
    (kept, read)
}

/// What a load cost.
struct Cost {
    rate: f64,
    server_us: f64,
    postgres_us: f64,
    p50: Duration,
    p99: Duration,
}

impl std::fmt::Display for Cost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (p50, p99) = (self.p50.as_secs_f64() * 1e3, self.p99.as_secs_f64() * 1e3);
        write!(
            f,
            "{:.0}/s, server CPU {:.0} µs, PostgreSQL's {:.0} µs, p50 {p50:.2} ms, p99 {p99:.2} ms",
            self.rate, self.server_us, self.postgres_us
        )
    }
}

async fn run(bench: &Bench, server: &Process, requests: &[Request]) -> Cost {
    let (ours, theirs, started) = (cpu_of(server.pid), cpu_of_tree(bench.postgres_pid), Instant::now());
    let load = Load::run(server.port, requests, CLIENTS, ROUND).await;
    let (count, elapsed) = (load.count() as f64, started.elapsed().as_secs_f64());
    Cost {
        rate: count / elapsed,
        server_us: (cpu_of(server.pid) - ours).as_secs_f64() * 1e6 / count,
        postgres_us: cpu_of_tree(bench.postgres_pid).saturating_sub(theirs).as_secs_f64() * 1e6 / count,
        p50: load.quantile(0.5),
        p99: load.quantile(0.99),
    }
}

fn median(mut ratios: Vec<f64>) -> f64 {
    ratios.sort_by(f64::total_cmp);
    ratios[ratios.len() / 2]
}
