//! Runbooks, held to what they say: every command of every page runs here against a real installation.
//!
//! A page is played in a house ([`house`]) that has what the page is for, and ends with [`play::Play::end`], which fails for
//! any block that did not run. What blocks call is the program itself, `psql`, `curl` and `redis-cli`; `docker compose` is
//! played by [`docker`]. What pages say in sentences is held by [`laws`].

mod docker;
mod fleet;
mod house;
mod laws;
mod life;
mod numbers;
mod people;
mod play;
mod pool;
mod queue;
mod redis;
mod shops;
mod text;
mod trail;
mod webhooks;

/// Alerts, and the page of each.
const ALERTS: &[(&str, &str)] = &[
    ("BackendMemory", "backend-memory"),
    ("DeadLetters", "queue-backlog"),
    ("HighErrorRate", "bad-deploy"),
    ("HighP99Latency", "database-slow"),
    ("IsolationViolation", "isolation-violation"),
    ("MigrationStuck", "migration-stuck"),
    ("NotReady", "not-ready"),
    ("PoolExhaustion", "pool-exhaustion"),
    ("QueryCountSpike", "bad-deploy"),
    ("TenantQueueBacklog", "queue-backlog"),
    ("WebhookSuspensions", "webhook-endpoint-failing"),
    ("WorkerQueueBacklog", "queue-backlog"),
];

/// Pages and names that pages use and that are not there yet.
const NOT_YET: &[&str] = &[
    "backup-and-restore",
    "shelfwise_backend_memory_bytes",
    "shelfwise_build_info",
    "shelfwise_migration_idle_seconds",
    "shelfwise_migration_runs",
    "shelfwise_operations_total",
];

/// Metrics that are told once something has happened that no play waits for.
const RARE: &[&str] = &[
    "shelfwise_pool_shed_total",
    "shelfwise_rate_limited_total",
    "shelfwise_sockets_closed_total",
    "shelfwise_webhook_attempts_total",
];

/// Blocks that no test runs: the page, a text of the block, and why not.
const UNPLAYED: &[(&str, &str, &str)] = &[("README", "", "they say what the words of the other pages mean")];

/// Whether a block is one of those that no test runs.
fn unplayed(page: &str, block: &str) -> bool {
    UNPLAYED.iter().any(|(name, text, _)| *name == page && block.contains(text))
}
