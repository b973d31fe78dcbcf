//! The buckets that replicas share: one script of Redis takes from all that a call needs, by Redis' own clock.

use std::time::Duration;

use redis::Script;

use super::Account;
use super::bucket::{BUCKETS, Backlog, Take};
use crate::kernel::ids::{TenantId, base32_encode};
use crate::redis::{Away, Redis};

/// What Redis does.
const TAKE: &str = include_str!("take.lua");

/// What came of a try to take: what is left, or which bucket makes the caller wait, for how long, and what is in all.
type Taken = Result<Vec<Backlog>, (usize, Duration, Vec<Backlog>)>;

/// The buckets in Redis.
pub(super) struct Shared {
    redis: Redis,
    script: Script,
}

impl Shared {
    /// The buckets of a Redis.
    pub(super) fn new(redis: Redis) -> Self {
        Self { redis, script: Script::new(TAKE) }
    }

    /// Takes from all buckets, or from none. `own` is what this replica has taken lately, which Redis may have forgotten.
    ///
    /// # Errors
    /// Redis does not answer. It may have taken all the same.
    pub(super) async fn take(
        &self,
        tenant: TenantId,
        takes: &[(Account, [Take; BUCKETS.len()])],
        own: &[Backlog],
    ) -> Result<Taken, Away> {
        self.ask(tenant, takes, own, 1).await
    }

    /// Puts back what was taken and not needed.
    ///
    /// # Errors
    /// Redis does not answer.
    pub(super) async fn refund(
        &self,
        tenant: TenantId,
        takes: &[(Account, [Take; BUCKETS.len()])],
        own: &[Backlog],
    ) -> Result<Vec<Backlog>, Away> {
        // Nothing is refused that takes nothing.
        Ok(self.ask(tenant, takes, own, -1).await?.unwrap_or_else(|(_, _, backlogs)| backlogs))
    }

    async fn ask(
        &self,
        tenant: TenantId,
        takes: &[(Account, [Take; BUCKETS.len()])],
        own: &[Backlog],
        sign: i64,
    ) -> Result<Taken, Away> {
        let mut call = self.script.prepare_invoke();
        for (account, _) in takes {
            call.key(key(tenant, *account));
        }
        for (take, own) in takes.iter().flat_map(|(_, takes)| takes).zip(own) {
            call.arg(take.cost_ns(1) * sign).arg(own.0);
        }
        let answer: Vec<i64> = self.redis.ask(async |line| call.invoke_async(line).await).await?;
        let [refused, wait, backlogs @ ..] = answer.as_slice() else { return Err(Away) };
        let backlogs = backlogs.iter().copied().map(Backlog).collect();
        Ok(match usize::try_from(*refused) {
            Ok(0) | Err(_) => Ok(backlogs),
            Ok(at) => Err((at - 1, Duration::from_nanos(wait.unsigned_abs()), backlogs)),
        })
    }
}

/// Where an account's buckets are. Those of a tenant lie together, also where Redis is many: the braces say so.
fn key(tenant: TenantId, account: Account) -> String {
    let tenant = base32_encode(tenant.0);
    match account {
        Account::Shop => format!("shelfwise:limits:{{{tenant}}}:shop"),
        Account::Operator => format!("shelfwise:limits:{{{tenant}}}:operator"),
        Account::Watch => format!("shelfwise:limits:{{{tenant}}}:watch"),
        Account::Key(id) => format!("shelfwise:limits:{{{tenant}}}:{}", base32_encode(id.0)),
    }
}
