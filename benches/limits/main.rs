//! What keeping shops within their rates costs: processor time of this process a call, which is let in, charged, and given back
//! what it did not need. Without Redis, and with one on the same machine, whose own time is its own.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark that fails has nothing to say")]
#![expect(clippy::disallowed_methods, reason = "a benchmark awaits its tasks")]

#[path = "../../tests/it/harness/redis.rs"]
#[expect(dead_code, reason = "nothing is killed or frozen here")]
mod redis_server;
#[path = "../report.rs"]
mod report;

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis_server::RedisServer;
use report::report;
use secrecy::SecretString;
use shelfwise::kernel::clock::{Clock as _, SystemClock};
use shelfwise::kernel::ids::{ApiKeyId, TenantId};
use shelfwise::kernel::limits::Limits;
use shelfwise::limits::{Account, Caller, Limiter, Price};
use shelfwise::redis::Redis;

/// Tenants who call in turn.
const TENANTS: usize = 100;

/// Calls that are under way at a time.
const CLIENTS: usize = 16;

/// Limits that nobody reaches.
const AMPLE: Limits = Limits {
    points_per_minute: 60_000_000,
    requests_per_minute: 60_000_000,
    mutations_per_minute: 60_000_000,
    concurrent_operations: 10_000,
    books: 0,
    webhook_endpoints: 0,
    jobs: 1,
    page_size: 100,
    weight: 1,
};

/// Clock ticks a second, in which Linux tells processor time.
const TICKS: u64 = 100;

fn main() {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(run());
}

async fn run() {
    println!("\nlimits: {TENANTS} tenants, {CLIENTS} clients; a call is charged and given back what it did not need");
    let alone = Limiter::new(Arc::new(SystemClock), None, 1);
    let server = RedisServer::start().await;
    let redis = Redis::new(&SecretString::from(server.url()), Duration::from_millis(50)).unwrap();
    let shared = Limiter::new(Arc::new(SystemClock), Some(redis), 1);
    for (name, limiter, calls, bar) in [("without Redis", alone, 300_000, 10.0), ("with Redis", shared, 20_000, 100.0)]
    {
        for (kind, of_key, needed) in
            [("log-in", false, 40), ("log-in, nothing back", false, 50), ("API key", true, 40)]
        {
            // Warm: connected, and every account known.
            measure(&limiter, of_key, needed, TENANTS * CLIENTS).await;
            let (cpu, wall) = measure(&limiter, of_key, needed, calls).await;
            let a_call = |time: Duration| time.as_secs_f64() * 1e6 / calls as f64;
            println!("  {name}, {kind}: server CPU {:.2} µs a call, {:.2} µs of time", a_call(cpu), a_call(wall));
            report(format_args!("limits: {name}, {kind}, CPU a call"), a_call(cpu), "µs", ..=bar);
        }
    }
}

/// Makes calls, and answers how much processor time and time they took.
async fn measure(limiter: &Limiter, of_key: bool, needed: u64, calls: usize) -> (Duration, Duration) {
    let callers: Vec<Caller> = (0..TENANTS)
        .map(|_| {
            let account = if of_key { Account::Key(ApiKeyId(SystemClock.new_id())) } else { Account::Shop };
            Caller { tenant: TenantId(SystemClock.new_id()), limits: AMPLE, account }
        })
        .collect();
    let callers = Arc::new(callers);
    let (cpu, started) = (cpu(), Instant::now());
    let clients = (0..CLIENTS).map(|client| {
        let (limiter, callers) = (limiter.clone(), Arc::clone(&callers));
        tokio::spawn(async move {
            for call in (client..calls).step_by(CLIENTS) {
                let price = Price { points: 50, mutations: 0 };
                let admission = limiter.admit(callers[call % TENANTS], price).await.unwrap();
                admission.settle(needed).await;
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    (self::cpu() - cpu, started.elapsed())
}

/// Processor time of this process so far.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields = stat.rsplit_once(')').unwrap().1.split_whitespace().skip(11).take(2);
    Duration::from_millis(fields.map(|field| field.parse::<u64>().unwrap()).sum::<u64>() * 1_000 / TICKS)
}
