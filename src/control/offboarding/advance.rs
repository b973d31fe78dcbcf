//! The next step of an offboarding: one transaction, and what to do then.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use super::model::{Offboarding, OffboardingStatus};
use super::service::locked;
use super::{certificate, deletion, repo};
use crate::auth::Tokens;
use crate::control::archives::service::{archive_by_id, archive_request, archive_verify};
use crate::control::archives::{Archive, ArchiveStatus, Purpose};
use crate::control::audit::Operator;
use crate::control::audit::service::record;
use crate::control::error::ControlError;
use crate::db::{ControlDb, ControlTx, DbError, OwnerDb};
use crate::failure::Failure;
use crate::kernel::clock::Clock;
use crate::kernel::ids::{ArchiveId, OffboardingId};
use crate::objects::Objects;
use crate::vault::Vault;

/// The pause between two looks at an archive that is being written.
const LOOK_PAUSE: TimeDelta = TimeDelta::seconds(5);

/// The pause before another archive is asked for in the stead of one that failed: long enough for somebody to mend the
/// object store, and to be seen.
const EXPORT_PAUSE: TimeDelta = TimeDelta::hours(1);

/// The longest pause between two looks: who puts the end of the grace period forward by hand does not wait for longer.
const LOOK_PAUSE_MAX: TimeDelta = TimeDelta::hours(12);

/// The pause before a step is tried again that found a table in use.
const LOCK_PAUSE: TimeDelta = TimeDelta::seconds(5);

/// What moves offboardings on.
pub struct Offboarder<'a> {
    /// Who destroys.
    pub owner: &'a OwnerDb,
    /// Where tenants, archives and offboardings are.
    pub control: &'a ControlDb,
    /// Time and ids.
    pub clock: &'a dyn Clock,
    /// Lets go of keys, and opens archives.
    pub vault: &'a Vault,
    /// Where archives are.
    pub objects: &'a Objects,
    /// Signs certificates.
    pub tokens: &'a Tokens,
    /// How long backups of the database are kept.
    pub backup_horizon: TimeDelta,
}

/// What is to be done after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The step after it.
    Now,
    /// Another look, then.
    At(DateTime<Utc>),
    /// Nothing: it has ended.
    Nothing,
}

impl Offboarder<'_> {
    /// Does the next step of an offboarding. Twice is safe, and two at once are: a step locks the tenant's row and then the
    /// offboarding's, and does what that row says is next.
    ///
    /// # Errors
    /// The step could not be done, and nothing of it was; trying again later helps.
    pub async fn advance(&self, id: OffboardingId) -> Result<Next, ControlError> {
        let Some(offboarding) = repo::offboarding_by_id(self.control, id).await? else { return Ok(Next::Nothing) };
        let now = self.clock.now();
        let step = match offboarding.status() {
            Some(OffboardingStatus::Exporting) => self.export(&offboarding).await,
            Some(OffboardingStatus::Waiting) if now < offboarding.delete_after => {
                return Ok(Next::At(offboarding.delete_after.min(now + LOOK_PAUSE_MAX)));
            }
            Some(OffboardingStatus::Waiting) => self.begin(&offboarding).await,
            Some(OffboardingStatus::Deleting) => deletion::step(self, &offboarding).await,
            Some(OffboardingStatus::Completed | OffboardingStatus::Canceled) | None => return Ok(Next::Nothing),
        };
        match step {
            // Somebody works with a table: a backup, an export, a migration. They are let finish.
            Err(Failure::Db(DbError::Cancelled(error))) => {
                self.note(&offboarding, &error).await;
                Ok(Next::At(self.clock.now() + LOCK_PAUSE))
            }
            Err(failure) => {
                self.note(&offboarding, &told(&failure)).await;
                Err(failure)
            }
            done => done,
        }
    }

    /// Who acts when nobody asks: the platform itself.
    pub(super) fn operator(&self) -> Operator {
        Operator::platform()
    }

    /// Waits for the archives, and asks for others in the stead of those that failed.
    async fn export(&self, offboarding: &Offboarding) -> Result<Next, ControlError> {
        let now = self.clock.now();
        if let Some(at) = offboarding.retry_at.filter(|at| *at > now) {
            return Ok(Next::At(at));
        }
        let [archive, audit] = self.archives(offboarding).await?;
        match (archive, audit) {
            (Found::Whole(_), Found::Whole(_)) => self.exported(offboarding).await,
            (Found::Unfinished, Found::Unfinished | Found::Whole(_)) | (Found::Whole(_), Found::Unfinished) => {
                Ok(Next::At(now + LOOK_PAUSE))
            }
            (archive, audit) if offboarding.retry_at.is_some() => self.ask_again(offboarding, [&archive, &audit]).await,
            (archive, audit) => self.export_failed(offboarding, &[archive, audit]).await,
        }
    }

    async fn exported(&self, offboarding: &Offboarding) -> Result<Next, ControlError> {
        let work = async |tx: &mut ControlTx| {
            let Some((tenant, live)) = locked(tx, offboarding).await? else { return Ok(Next::Nothing) };
            if live.status() != Some(OffboardingStatus::Exporting) || !same_archives(&live, offboarding) {
                return Ok(Next::Now);
            }
            repo::offboarding_exported(tx, live.id, self.clock.now()).await?;
            let details = json!({
                "offboarding": live.id.to_string(), "archive": live.archive_id.to_string(),
                "auditArchive": live.audit_archive_id.to_string(), "deleteAfter": live.delete_after,
            });
            record(tx, self.clock, &self.operator(), ("offboarding.export", &tenant.slug), details).await?;
            Ok::<_, ControlError>(Next::Now)
        };
        self.control.write(work).await
    }

    /// Keeps the tenant, and says so where it is seen.
    async fn export_failed(&self, offboarding: &Offboarding, found: &[Found; 2]) -> Result<Next, ControlError> {
        let errors: Vec<&str> = found.iter().filter_map(Found::error).collect();
        let error = errors.join("; ");
        let (now, slug) = (self.clock.now(), &offboarding.slug);
        tracing::error!(
            tenant.slug = %slug, offboarding.id = %offboarding.id, error,
            "A tenant that is being offboarded has no archive that can be read back; it is kept"
        );
        let retry_at = now + EXPORT_PAUSE;
        let work = async |tx: &mut ControlTx| {
            let Some((tenant, live)) = locked(tx, offboarding).await? else { return Ok(Next::Nothing) };
            if !is_before_deletion(&live) || !same_archives(&live, offboarding) {
                return Ok(Next::Now);
            }
            repo::export_failed(tx, live.id, &error, (now, retry_at)).await?;
            let details = json!({ "offboarding": live.id.to_string(), "error": error });
            record(tx, self.clock, &self.operator(), ("offboarding.export_failed", &tenant.slug), details).await?;
            Ok::<_, ControlError>(Next::At(retry_at))
        };
        self.control.write(work).await
    }

    /// Asks for archives in the stead of those that failed.
    async fn ask_again(&self, offboarding: &Offboarding, [archive, audit]: [&Found; 2]) -> Result<Next, ControlError> {
        let work = async |tx: &mut ControlTx| {
            let Some((tenant, live)) = locked(tx, offboarding).await? else { return Ok(Next::Nothing) };
            if !is_before_deletion(&live) || !same_archives(&live, offboarding) {
                return Ok(Next::Now);
            }
            let mut other = async |found: &Found, id: ArchiveId, purpose| match found.error() {
                Some(_) => archive_request(tx, self.clock, &self.operator(), &tenant, purpose).await,
                None => Ok(id),
            };
            let asked = (
                other(archive, live.archive_id, Purpose::Offboarding).await?,
                other(audit, live.audit_archive_id, Purpose::Audit).await?,
            );
            let now = self.clock.now();
            repo::archives_set(tx, live.id, asked, now).await?;
            Ok::<_, ControlError>(Next::At(now + LOOK_PAUSE))
        };
        self.control.write(work).await
    }

    /// The end of the grace period: the archives are read back once more, and then there is no way back.
    async fn begin(&self, offboarding: &Offboarding) -> Result<Next, ControlError> {
        let found = self.archives(offboarding).await?;
        let [Found::Whole(archive), Found::Whole(audit)] = &found else {
            return self.export_failed(offboarding, &found).await;
        };
        certificate::can_be_signed(self.tokens)?;
        match deletion::begin(self, offboarding, [archive, audit]).await? {
            deletion::Begun::Yes => Ok(Next::Now),
            deletion::Begun::Ended => Ok(Next::Nothing),
            deletion::Begun::Early(server) => {
                tracing::warn!(
                    tenant.slug = %offboarding.slug, offboarding.id = %offboarding.id, database.now = %server,
                    "A deletion is not due by the database's clock; a worker's is ahead"
                );
                Ok(Next::At(offboarding.delete_after.min(server + LOOK_PAUSE_MAX)))
            }
            deletion::Begun::Busy => {
                self.note(offboarding, "a job of the shop is running").await;
                Ok(Next::At(self.clock.now() + LOCK_PAUSE))
            }
            deletion::Begun::Outdated => {
                let error = || {
                    Found::Not("the shop has changed since it was archived, or an archive is near its end".to_owned())
                };
                self.ask_again(offboarding, [&error(), &error()]).await
            }
        }
    }

    /// Both archives, read back once neither is being written: that takes long, and one alone is not enough.
    async fn archives(&self, offboarding: &Offboarding) -> Result<[Found; 2], ControlError> {
        let ids = [offboarding.archive_id, offboarding.audit_archive_id];
        let rows = [archive_by_id(self.control, ids[0]).await?, archive_by_id(self.control, ids[1]).await?];
        let is_unfinished = rows.iter().flatten().any(is_unfinished);
        let [archive, audit] = rows;
        Ok([self.archive(ids[0], archive, is_unfinished).await?, self.archive(ids[1], audit, is_unfinished).await?])
    }

    async fn archive(
        &self,
        id: ArchiveId,
        archive: Option<Archive>,
        is_unfinished: bool,
    ) -> Result<Found, ControlError> {
        let not = |why: String| Found::Not(format!("{id}: {why}"));
        let Some(archive) = archive else { return Ok(not("there is none".to_owned())) };
        Ok(match archive.status() {
            ArchiveStatus::Pending | ArchiveStatus::Running => Found::Unfinished,
            ArchiveStatus::Failed => not(archive.error.unwrap_or_else(|| "it failed".to_owned())),
            ArchiveStatus::Expired => not("it has expired".to_owned()),
            ArchiveStatus::Completed if is_unfinished => Found::Unfinished,
            ArchiveStatus::Completed => match archive_verify(self.objects, self.vault, &archive).await {
                Ok(()) => Found::Whole(Box::new(archive)),
                Err(error) => not(error.to_string()),
            },
        })
    }

    /// Notes why a step could not be done. Where even that cannot be, the log has it.
    async fn note(&self, offboarding: &Offboarding, error: &str) {
        tracing::warn!(tenant.slug = %offboarding.slug, offboarding.id = %offboarding.id, error, "An offboarding waits");
        let now = self.clock.now();
        let work = async |tx: &mut ControlTx| repo::error_set(tx, offboarding.id, error, now).await;
        if let Err(failure) = self.control.write::<_, DbError>(work).await {
            tracing::warn!(offboarding.id = %offboarding.id, error = %failure, "Why an offboarding waits was not noted");
        }
    }
}

/// What was found of an archive.
enum Found {
    /// It was read back, and is what was written.
    Whole(Box<Archive>),
    /// It is being written, or the other is and it was not read back.
    Unfinished,
    /// It cannot be had, and why.
    Not(String),
}

impl Found {
    fn error(&self) -> Option<&str> {
        match self {
            Self::Not(error) => Some(error),
            Self::Whole(_) | Self::Unfinished => None,
        }
    }
}

/// Whether an offboarding can still be called off.
pub(super) fn is_before_deletion(offboarding: &Offboarding) -> bool {
    matches!(offboarding.status(), Some(OffboardingStatus::Exporting | OffboardingStatus::Waiting))
}

fn is_unfinished(archive: &Archive) -> bool {
    matches!(archive.status(), ArchiveStatus::Pending | ArchiveStatus::Running)
}

/// Whether two states of an offboarding are about the same archives.
pub(super) fn same_archives(a: &Offboarding, b: &Offboarding) -> bool {
    (a.archive_id, a.audit_archive_id) == (b.archive_id, b.audit_archive_id)
}

/// A failure in the words of its cause. It tells ids and never a key.
fn told(failure: &ControlError) -> String {
    match failure {
        Failure::Db(error) => error.to_string(),
        Failure::Key(error) => error.to_string(),
        other => format!("{other:?}"),
    }
}
