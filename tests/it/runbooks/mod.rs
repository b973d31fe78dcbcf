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
mod pooler;
mod queue;
mod redis;
mod shops;
pub mod text;
mod trail;
mod watch;
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

/// Blocks that no test runs: the page, a text of the block, and why not.
const UNPLAYED: &[(&str, &str, &str)] = &[
    ("README", "", "they say what the words of the other pages mean"),
    ("backup-and-restore", "", "`crate::backup` does, with a cluster that it may lose"),
];

/// Whether a block is one of those that no test runs.
fn unplayed(page: &str, block: &str) -> bool {
    UNPLAYED.iter().any(|(name, text, _)| *name == page && block.contains(text))
}
