//! From a slug to a tenant's context, for every request: cached, single flight, negative answers too.
//!
//! An entry is trusted for as long as notifications of changes arrive, at most [`TRUST_MAX`]; while the listener is
//! away, for [`TRUST_UNHEARD`]. With the database unreachable a known tenant is served on for [`STALE_MAX`], and asked for
//! again every [`TRUST_UNHEARD`]; an unknown one fails closed.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::FutureExt as _;
use moka::future::Cache;
use moka::ops::compute::{CompResult, Op};

use super::model::TenantStatus;
use super::repo;
use crate::db::listen::{Liveness, Signal};
use crate::db::migrate::TENANT_VERSION_MIN;
use crate::db::{ControlDb, DbError};
use crate::kernel::tenant::{TenantCtx, TenantSlug};
use crate::telemetry::cache::Counts;

/// How long an entry is trusted while notifications arrive.
const TRUST_MAX: Duration = Duration::from_secs(60);

/// How long an entry is trusted while nobody listens: what "within a second" rests on then.
const TRUST_UNHEARD: Duration = Duration::from_millis(500);

/// How long a known tenant is served without the registry.
pub(super) const STALE_MAX: Duration = Duration::from_secs(5 * 60);

/// Slugs that are remembered, unknown ones among them.
const ENTRIES_MAX: u64 = 20_000;

/// Parts of the slugs by which changes are counted; 8 bytes each.
const PARTS: usize = 256;

/// What is notified where the entries of all tenants may have changed: a plan has, or a feature. No slug.
const EVERYBODY: &str = "*";

/// What the registry says of a slug.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// A tenant in use.
    Active(Arc<TenantCtx>),
    /// A tenant that is closed to its users.
    Closed(Arc<TenantCtx>),
    /// No tenant that anybody could know of.
    Unknown,
}

#[derive(Clone)]
struct Entry {
    lookup: Lookup,
    /// When the row was read.
    read_at: Instant,
    /// When the row was last asked for, be it in vain.
    asked_at: Instant,
    /// When something of it ends by itself.
    ends_at: Option<Instant>,
    /// Whether it is all that is known while the row cannot be read: something of it may be over.
    is_stale: bool,
    /// How often it was notified that the entry may have changed before the row was read. Where it was since, what was read may be
    /// what was there before.
    generation: u64,
}

impl Entry {
    /// The entry where the row could not be read again. What has ended of it goes on until the row can be, which is tried again
    /// after [`TRUST_UNHEARD`], and not by each request.
    fn kept_on(self) -> Self {
        Self { asked_at: Instant::now(), ends_at: None, is_stale: true, ..self }
    }
}

/// The cache before the registry.
#[derive(Clone)]
pub struct Registry {
    control: ControlDb,
    entries: Cache<TenantSlug, Entry>,
    liveness: Liveness,
    /// Signals so far, of each of so many parts of the slugs.
    generations: Arc<[AtomicU64; PARTS]>,
    hasher: RandomState,
    /// How look-ups ended.
    counts: Option<Counts>,
}

impl Registry {
    /// A registry over the control plane. It trusts its entries longer while `liveness` says that somebody calls
    /// [`Registry::on_signal`].
    #[must_use]
    pub fn new(control: ControlDb, liveness: Liveness) -> Self {
        let entries = Cache::builder().max_capacity(ENTRIES_MAX).time_to_live(STALE_MAX).build();
        let generations = Arc::new([const { AtomicU64::new(0) }; PARTS]);
        Self { control, entries, liveness, generations, hasher: RandomState::new(), counts: None }
    }

    /// The same, counting how look-ups end.
    #[must_use]
    pub fn counted(self, counts: Counts) -> Self {
        Self { counts: Some(counts), ..self }
    }

    /// What the registry says of a slug.
    ///
    /// # Errors
    /// The database is unreachable, and nothing recent is known of the slug.
    pub async fn resolve(&self, slug: &TenantSlug) -> Result<Lookup, DbError> {
        if let Some(entry) = self.entries.get(slug).await
            && self.is_trusted(slug, &entry)
        {
            self.counts.iter().for_each(|counts| counts.hits.inc());
            return Ok(entry.lookup);
        }
        self.refresh(slug).boxed().await
    }

    async fn refresh(&self, slug: &TenantSlug) -> Result<Lookup, DbError> {
        // One after the other for each slug: who waited finds what the first one read.
        let refresh = |known: Option<moka::Entry<TenantSlug, Entry>>| async move {
            let known = known.map(moka::Entry::into_value);
            if known.as_ref().is_some_and(|entry| self.is_trusted(slug, entry)) {
                return Ok(Op::Nop);
            }
            match (self.read(slug).await, known) {
                (Ok(entry), _) => Ok(Op::Put(entry)),
                (Err(error), Some(entry)) if entry.lookup != Lookup::Unknown && entry.read_at.elapsed() < STALE_MAX => {
                    tracing::warn!(tenant.slug = %slug, %error, "Serving a tenant from a stale registry entry");
                    Ok(Op::Put(entry.kept_on()))
                }
                (Err(error), _) => Err(error),
            }
        };
        match self.entries.entry_by_ref(slug).and_try_compute_with(refresh).await? {
            CompResult::Inserted(entry) | CompResult::ReplacedWith(entry) | CompResult::Unchanged(entry) => {
                Ok(entry.into_value().lookup)
            }
            CompResult::StillNone(_) | CompResult::Removed(_) => Ok(Lookup::Unknown),
        }
    }

    fn is_trusted(&self, slug: &TenantSlug, entry: &Entry) -> bool {
        // Also where it was put here after it had been notified.
        let is_doubtful = entry.generation != self.generation(slug).load(Ordering::Acquire);
        let is_heard = self.liveness.is_alive() && !is_doubtful && !entry.is_stale;
        // What ends by itself is notified by nobody.
        let is_over = entry.ends_at.is_some_and(|end| end <= Instant::now());
        !is_over && entry.asked_at.elapsed() < if is_heard { TRUST_MAX } else { TRUST_UNHEARD }
    }

    /// Takes notice of a change: a payload is the slug that changed, or [`EVERYBODY`]; a new connection means that any may have.
    pub fn on_signal(&self, signal: &Signal) {
        let count = |generation: &AtomicU64| {
            generation.fetch_add(1, Ordering::AcqRel);
        };
        let everybody = || {
            self.generations.iter().for_each(count);
            self.entries.invalidate_all();
        };
        match signal {
            Signal::Connected => everybody(),
            Signal::Payload(slug) if slug == EVERYBODY => everybody(),
            Signal::Payload(slug) => {
                if let Ok(slug) = slug.parse::<TenantSlug>() {
                    count(self.generation(&slug));
                    let entries = self.entries.clone();
                    #[expect(clippy::disallowed_methods, reason = "a signal arrives outside of any request")]
                    tokio::spawn(async move { entries.invalidate(&slug).await });
                }
            }
        }
    }

    async fn read(&self, slug: &TenantSlug) -> Result<Entry, DbError> {
        self.counts.iter().for_each(|counts| counts.misses.inc());
        let read_at = Instant::now();
        let generation = self.generation(slug).load(Ordering::Acquire);
        let tenant = repo::tenant_by_slug(&self.control, slug.as_str()).await?;
        let ends_at = tenant.as_ref().and_then(|tenant| read_at.checked_add(tenant.limits_hold()?));
        let lookup = match tenant {
            None => Lookup::Unknown,
            Some(tenant) if tenant.schema_version.as_str() < TENANT_VERSION_MIN => {
                let behind = format!("the tenant `{slug}` is at version {}; migrate it", tenant.schema_version);
                tracing::error!(tenant.slug = %slug, "A tenant's schema is older than this release works on");
                return Err(DbError::Unreachable(behind));
            }
            Some(tenant) => match (tenant.status(), tenant.context()) {
                (TenantStatus::Active, Some(context)) => Lookup::Active(context),
                (TenantStatus::Suspended | TenantStatus::Offboarding, Some(context)) => Lookup::Closed(context),
                _ => Lookup::Unknown,
            },
        };
        Ok(Entry { lookup, read_at, asked_at: read_at, ends_at, is_stale: false, generation })
    }

    fn generation(&self, slug: &TenantSlug) -> &AtomicU64 {
        &self.generations[self.hasher.hash_one(slug) as usize % PARTS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::pool::Pool;
    use crate::db::tls::Target;

    /// A registry whose database is nowhere, and what says that its notices arrive.
    fn out_of_reach() -> (Registry, Liveness) {
        let nobody = Target::from_url("postgres://nobody@127.0.0.1:1/nothing").unwrap();
        let (liveness, wait) = (Liveness::default(), Duration::from_secs(1));
        let registry = Registry::new(ControlDb::new(Pool::control(nobody, wait)), liveness.clone());
        liveness.hear(Instant::now());
        (registry, liveness)
    }

    fn ago(age: Duration) -> Instant {
        Instant::now().checked_sub(age).unwrap()
    }

    #[tokio::test]
    async fn what_has_ended_is_kept_on_without_the_registry_and_never_trusted_for_long() {
        let ((registry, _liveness), slug) = (out_of_reach(), "acme".parse::<TenantSlug>().unwrap());
        let (read_at, generation) = (Instant::now(), registry.generation(&slug).load(Ordering::Acquire));
        let (lookup, ends_at) = (Lookup::Unknown, Some(ago(Duration::from_millis(1))));
        let entry = Entry { lookup, read_at, asked_at: read_at, ends_at, is_stale: false, generation };
        assert!(!registry.is_trusted(&slug, &entry), "something of it has ended");
        let kept = entry.kept_on();
        assert!(registry.is_trusted(&slug, &kept), "not asked for by each request");
        assert!(!registry.is_trusted(&slug, &Entry { asked_at: ago(TRUST_UNHEARD), ..kept }));
    }

    #[tokio::test]
    async fn what_was_read_before_a_notice_is_not_trusted_for_long_whenever_it_is_put() {
        let (registry, _liveness) = out_of_reach();
        let slug: TenantSlug = "acme".parse().unwrap();
        let read = |age: Duration| {
            let (read_at, generation) = (ago(age), registry.generation(&slug).load(Ordering::Acquire));
            let (lookup, ends_at) = (Lookup::Unknown, None);
            Entry { lookup, read_at, asked_at: read_at, ends_at, is_stale: false, generation }
        };
        let payload = |text: &str| Signal::Payload(text.to_owned());
        for signal in [payload(slug.as_str()), payload(EVERYBODY), Signal::Connected] {
            let (old, new) = (read(TRUST_UNHEARD), read(Duration::ZERO));
            assert!(registry.is_trusted(&slug, &old));
            registry.on_signal(&signal);
            assert!(!registry.is_trusted(&slug, &old) && registry.is_trusted(&slug, &new));
            assert!(registry.is_trusted(&slug, &read(TRUST_UNHEARD)), "read after it");
        }
    }
}
