//! What is killed, and when.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::Chaos;
use super::fleet::SERVERS;
use crate::harness::chance::Random;

/// What may happen.
#[derive(Clone, Copy)]
enum Blow {
    /// A server dies.
    Server,
    /// A worker dies, and the claims of all end: its own, and those of the other, who must notice.
    Worker,
    /// PostgreSQL throws everybody out and recovers.
    Crash,
    /// PostgreSQL dies, and is started again a while later.
    Restart,
}

impl Blow {
    fn draw(random: &mut Random) -> Self {
        match random.below(12) {
            0..5 => Self::Server,
            5..9 => Self::Worker,
            9 | 10 => Self::Crash,
            _ => Self::Restart,
        }
    }
}

/// Failed jobs wait longer and longer; here they do not.
pub const HURRY: &str = "UPDATE control.jobs SET scheduled_at = now() WHERE state = 'retryable'";

/// Claims end now, as if their leases had run out.
pub const EXPIRE: &str = "UPDATE control.jobs SET lease_expires_at = clock_timestamp() WHERE state = 'running'";

/// Goes on for ever, but from some time on nothing is killed any more, and clients are told.
pub async fn rage(chaos: &Chaos) {
    let mut random = Random::new(chaos.seed, u64::MAX - 1);
    // Each at least once; then as it comes.
    let mut first = [Blow::Worker, Blow::Server, Blow::Crash, Blow::Restart].into_iter();
    loop {
        tokio::time::sleep(Duration::from_millis(100 + random.below(500))).await;
        hurry(chaos, HURRY).await;
        let blow = match first.next() {
            Some(blow) => blow,
            None if Instant::now() >= chaos.until => {
                chaos.is_calm.store(true, Ordering::Relaxed);
                continue;
            }
            None => Blow::draw(&mut random),
        };
        let pause = Duration::from_millis(random.below(400));
        match blow {
            Blow::Server => {
                chaos.fleet.kill(random.index(SERVERS), pause).await;
                chaos.count("server killed");
            }
            Blow::Worker => {
                chaos.fleet.kill(SERVERS + random.index(2), pause).await;
                hurry(chaos, EXPIRE).await;
                chaos.count("worker killed");
            }
            Blow::Crash => {
                if chaos.site.crash().await {
                    chaos.count("database crashed");
                }
            }
            Blow::Restart => {
                chaos.site.restart(pause).await;
                chaos.count("database restarted");
            }
        }
    }
}

/// Does something to the queue, if the database is up.
async fn hurry(chaos: &Chaos, statement: &str) {
    if let Some(psql) = chaos.site.try_psql().await {
        let _ = psql.batch_execute(statement).await;
    }
}
