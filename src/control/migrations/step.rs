//! What happens to one schema. A step is as many transactions as there are migrations that need one of their own, mostly a
//! single one; each leaves schema, ledger, registry and step in agreement, so a step that was broken off goes on.

use futures_util::future::join;
use uuid::Uuid;

use super::model::{DueStep, MigrationSet, Run};
use super::steps::{self, Standing};
use crate::db::migrate::Migration;
use crate::db::migrate::fleet::{Place, fill, ledger, run_bare, step_script};
use crate::db::migrate::notes::Direction;
use crate::db::owner::OwnerAsk;
use crate::db::{DbError, OwnerDb, OwnerTx};
use crate::kernel::clock::Clock;
use crate::kernel::tenant::SchemaName;

/// How an attempt of a step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    /// The schema is where it is meant to be, and all that is written down.
    Done,
    /// The schema is gone.
    Gone,
    /// The run is not led under this lease any more, or not running; or the step was done by another.
    Stopped,
    /// Not in this run: it waits for what is no step's to do, a shop's backfill. A later run picks the schema up.
    Waiting(String),
    /// Not now: try again.
    Again(String),
    /// Not at all.
    Failed(String),
}

/// What steps are done with.
pub struct Steps<'a> {
    /// The connections for it.
    pub owner: &'a OwnerDb,
    /// Ids for jobs.
    pub clock: &'a dyn Clock,
    /// The migrations.
    pub set: &'a MigrationSet,
    /// The run.
    pub run: &'a Run,
    /// The number of its lease.
    pub fence: i64,
}

/// What a step finds.
struct Found {
    standing: Option<Standing>,
    /// Whether it is a spare schema now.
    is_spare: bool,
    /// Whether there is a schema at all.
    is_there: bool,
    version: String,
    ledger: Vec<String>,
    /// Versions whose backfills are not done.
    backfills: Vec<String>,
}

/// What is to be done next.
enum Next {
    /// Nothing, for this reason.
    End(Attempt),
    /// A migration outside of a transaction.
    Bare(String),
    /// More of it.
    More,
}

impl Steps<'_> {
    /// Makes one attempt of a step.
    pub async fn attempt(&self, step: &DueStep) -> Attempt {
        match self.advance(step).await {
            Ok(attempt) => attempt,
            // Others hold a lock, or the connection was cut: it is not the schema's fault.
            Err(error) if error.is_unavailable() || matches!(error, DbError::Cancelled(_)) => {
                Attempt::Again(error.to_string())
            }
            Err(error) => Attempt::Failed(error.to_string()),
        }
    }

    async fn advance(&self, step: &DueStep) -> Result<Attempt, DbError> {
        let schema = SchemaName::from(step.tenant);
        let mut built: Option<String> = None;
        loop {
            let question = async |ask: &OwnerAsk| self.look(ask, step).await;
            let work = async |tx: &mut OwnerTx, found: Found| self.part(tx, step, &found, built.as_deref()).await;
            let lock_timeout = self.run.lock_timeout();
            match self.owner.write_in((step.tenant, &schema), lock_timeout, question, work).await? {
                Next::End(attempt) => return Ok(attempt),
                Next::More => built = None,
                Next::Bare(version) => {
                    let migration = self.known(&version)?;
                    let sql = migration.sql(self.run.direction());
                    self.owner.bare((step.tenant, &schema), async |bare| run_bare(bare, sql).await).await?;
                    built = Some(version);
                }
            }
        }
    }

    /// Locks the step and what it is about, and looks what is there: all of it in the round trip of the opening.
    async fn look(&self, ask: &OwnerAsk, step: &DueStep) -> Result<Found, DbError> {
        let standing = steps::step_lock(ask, self.run.id.0, self.fence, step.tenant);
        let spare = async {
            // One that a sign-up has taken is the tenant of the same id.
            if step.is_spare { steps::spare_lock(ask, step.tenant).await } else { Ok(None) }
        };
        let tenant = steps::tenant_lock(ask, step.tenant);
        let backfills =
            async { if self.set.has_waits { steps::backfills_open(ask, step.tenant).await } else { Ok(Vec::new()) } };
        // In this order on the wire: the locks before what they keep.
        let ((standing, spare), (tenant, (backfills, ledger))) =
            join(join(standing, spare), join(tenant, join(backfills, ledger(ask)))).await;
        let (standing, spare, tenant) = (standing?, spare?, tenant?);
        let is_there = spare.is_some() || tenant.is_some();
        // Without a schema there is no ledger to read, and the transaction is good for nothing any more.
        let (backfills, ledger) = if is_there { (backfills?, ledger?) } else { (Vec::new(), Vec::new()) };
        let is_spare = spare.is_some();
        let version = spare.or(tenant).unwrap_or_default();
        Ok(Found { standing, is_spare, is_there, version, ledger, backfills })
    }

    /// Does what one transaction can.
    async fn part(
        &self,
        tx: &mut OwnerTx,
        step: &DueStep,
        found: &Found,
        built: Option<&str>,
    ) -> Result<Next, DbError> {
        let Some(standing) = &found.standing else { return Ok(Next::End(Attempt::Stopped)) };
        if !standing.is_led {
            return Ok(Next::End(Attempt::Stopped));
        }
        // Who led before may have done it while this one waited for the row.
        if standing.status != "pending" {
            return Ok(Next::End(Attempt::Done));
        }
        if !found.is_there {
            return Ok(Next::End(Attempt::Gone));
        }
        let direction = self.run.direction();
        let pending = match direction {
            Direction::Up => self.pending_up(step, found),
            Direction::Down => self.pending_down(standing, found)?,
        };
        let blocked = |migration: &&&Migration| {
            let after = migration.after_backfill().filter(|_| direction == Direction::Up);
            let is_open = |after: &str| found.backfills.iter().any(|open| open == after);
            // One that is only about to be asked for is not done either. In a spare schema it is done at once.
            let is_to_come =
                |after: &str| !found.is_spare && pending.iter().any(|m| m.version == after && m.backfill.is_some());
            after.is_some_and(|after| is_open(after) || is_to_come(after))
        };
        let ready = pending.iter().take_while(|migration| !blocked(migration)).count();
        if ready == 0
            && let Some(waiting) = pending.first()
        {
            let after = waiting.after_backfill().unwrap_or_default();
            return Ok(Next::End(Attempt::Waiting(format!("waits until the backfill of {after} is done"))));
        }
        let built = pending.first().is_some_and(|first| built == Some(first.version.as_str()));
        let count = if built { 1 } else { together(&pending[..ready], direction, found.is_spare) };
        if count == 0
            && let Some(first) = pending.first()
        {
            return Ok(Next::Bare(first.version.clone()));
        }
        let is_last = count == pending.len();
        let version = self.version_after(step, found, &pending[..count], is_last);
        let place =
            Place { run: self.run.id.0, tenant: step.tenant, is_spare: found.is_spare, version: &version, is_last };
        let job = || -> Uuid { self.clock.new_id() };
        tx.batch(&step_script(direction, &pending[..count], built, place, job)).await?;
        if direction == Direction::Up && found.is_spare {
            for backfill in pending[..count].iter().filter_map(|migration| migration.backfill.as_deref()) {
                fill(tx, backfill).await?;
            }
        }
        Ok(if is_last { Next::End(Attempt::Done) } else { Next::More })
    }

    /// The migrations that a schema lacks. Its own ledger says so, whatever the registry thinks.
    fn pending_up(&self, step: &DueStep, found: &Found) -> Vec<&Migration> {
        let is_missing =
            |migration: &&Migration| migration.version <= step.to_version && !found.ledger.contains(&migration.version);
        self.set.migrations.iter().filter(is_missing).collect()
    }

    /// The migrations that are to be taken back, the newest first.
    fn pending_down(&self, standing: &Standing, found: &Found) -> Result<Vec<&Migration>, DbError> {
        let newest = standing.versions.iter().max();
        if let Some(later) = found.ledger.last().filter(|last| Some(*last) > newest) {
            return Err(DbError::Other(format!("the schema has a later migration, {later}: roll that back first")));
        }
        let mut versions: Vec<&String> = standing.versions.iter().filter(|v| found.ledger.contains(v)).collect();
        versions.sort_unstable_by(|a, b| b.cmp(a));
        versions.into_iter().map(|version| self.known(version)).collect()
    }

    fn known(&self, version: &str) -> Result<&Migration, DbError> {
        let unknown = || DbError::Other(format!("this release does not know the migration {version}"));
        self.set.get(version).ok_or_else(unknown)
    }

    /// What the registry says of a schema after these migrations.
    fn version_after(&self, step: &DueStep, found: &Found, done: &[&Migration], is_last: bool) -> String {
        if is_last {
            return step.to_version.clone();
        }
        let versions = done.iter().map(|migration| migration.version.as_str());
        match self.run.direction() {
            Direction::Up => versions.max().unwrap_or(&found.version).to_owned(),
            Direction::Down => {
                let done: Vec<&str> = versions.collect();
                let left = found.ledger.iter().rev().find(|version| !done.contains(&version.as_str()));
                left.unwrap_or(&step.to_version).clone()
            }
        }
    }
}

/// How many of the migrations share the next transaction. In a spare schema a backfill ends it: what comes after may need
/// the rows. One that validates a constraint begins it: reading a table may take long, and the locks of what was run before
/// are let go first.
fn together(ready: &[&Migration], direction: Direction, is_spare: bool) -> usize {
    let is_apart = |at: usize, migration: &Migration| at > 0 && migration.validates(direction);
    let transactional = ready
        .iter()
        .enumerate()
        .take_while(|(at, migration)| migration.is_transactional(direction) && !is_apart(*at, migration))
        .count();
    let fills = ready[..transactional].iter().position(|migration| migration.backfill.is_some() && is_spare);
    fills.map_or(transactional, |at| at + 1)
}
