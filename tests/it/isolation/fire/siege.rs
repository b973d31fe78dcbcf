//! What is done to the database meanwhile: backends are killed, and tables locked until the pool is exhausted.

use std::sync::atomic::Ordering;

use super::Fire;
use crate::harness::chance::Random;
use crate::harness::cluster::psql_of;

/// Backends of the server: all of the runtime login's in this database, but those of the harness.
pub const BACKENDS: &str = "SELECT pid FROM pg_stat_activity
     WHERE datname = current_database() AND usename = 'shelfwise' AND pid <> ALL($1) ORDER BY pid";

/// Goes on for ever; it is dropped when the clients are done, and the lock ends with its connection.
pub async fn lay(fire: &Fire<'_>) {
    let mut random = Random::new(fire.seed, u64::MAX);
    let psql = psql_of(&fire.database).await;
    loop {
        pass(fire, 20 + random.below(60)).await;
        if random.below(6) == 0 {
            let side = random.index(2);
            let held = psql_of(&fire.database).await;
            // Whoever has a connection waits in it for the table, and everybody else, of either shop, for a connection.
            let lock = format!(r#"BEGIN; LOCK TABLE "{}".books IN ACCESS EXCLUSIVE MODE"#, fire.tenant(side).schema);
            held.batch_execute(&lock).await.unwrap();
            pass(fire, 10 + random.below(20)).await;
            held.batch_execute("ROLLBACK").await.unwrap();
            fire.count("locks");
        } else {
            let backends = psql.query(BACKENDS, &[&fire.harness_backends]).await.unwrap();
            if backends.is_empty() {
                continue;
            }
            let victim: i32 = backends[random.index(backends.len())].get(0);
            fire.victim.store(victim, Ordering::Relaxed);
            // Waits, for some seconds, until the backend is gone.
            psql.execute("SELECT pg_terminate_backend($1, 5000)", &[&victim]).await.unwrap();
            fire.count("kills");
        }
    }
}

/// Waits until so many more operations have ended. They end whatever happens: each has a deadline.
async fn pass(fire: &Fire<'_>, operations: u64) {
    let mut ended = fire.ended.subscribe();
    let until = *ended.borrow() + operations;
    let _ = ended.wait_for(|ended| *ended >= until).await.unwrap();
}
