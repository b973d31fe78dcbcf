//! What shops' settings come to right now: what they have set themselves is remembered for less than a second.
//!
//! What operators and the environment have set comes with the shop's context and costs nothing. What a shop sets counts at once
//! where it was set, elsewhere as soon as it is told, and within a second where nothing is heard.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::model::layer;
use super::repo;
use crate::db::{DbError, News, TenantRead};
use crate::kernel::ids::TenantId;
use crate::kernel::news::{Bulletin, Topic};
use crate::kernel::settings::{Layer, Ruled, Settings};
use crate::kernel::tenant::TenantCtx;
use crate::telemetry::cache::Counts;
use crate::tenant::brief::{Brief, brief, fresh};

/// Counters of changes; several shops share one.
const COUNTERS: usize = 256;

/// From shops to what their settings come to.
#[derive(Clone)]
pub struct ShopSettings {
    environment: Arc<Layer>,
    /// By shop and by how often something of it was changed here: what was read before a change is found by nobody after it.
    known: Brief<(TenantId, u64), Arc<Layer>>,
    changes: Arc<[AtomicU64; COUNTERS]>,
    /// How look-ups ended.
    counts: Option<Counts>,
}

impl ShopSettings {
    /// Nothing is known yet but what the environment sets. It hears what is told of shops from now on.
    #[must_use]
    pub fn new(environment: Arc<Layer>, news: &News) -> Self {
        let changes = Arc::new([const { AtomicU64::new(0) }; COUNTERS]);
        let new = Self { environment, known: brief(), changes, counts: None };
        let heard = new.clone();
        news.attach(Arc::new(move |bulletin, _| heard.hear(bulletin)));
        new
    }

    /// The same, counting how look-ups end.
    #[must_use]
    pub fn counted(self, counts: Counts) -> Self {
        Self { counts: Some(counts), ..self }
    }

    /// What a shop's settings come to. `read` is a transaction of the shop's that writes, or one that has just been opened: what an
    /// old snapshot tells would be old already.
    ///
    /// # Errors
    /// The database failed.
    pub async fn of(&self, tenant: &TenantCtx, read: &TenantRead) -> Result<Settings, DbError> {
        let key = (tenant.id, self.counter(tenant.id).load(Ordering::Acquire));
        let mut is_hit = true;
        let own = async {
            is_hit = false;
            Ok(Arc::new(layer(&repo::own_list(read).await?)))
        };
        let own = fresh(&self.known, key, own).await;
        if let Some(counts) = &self.counts {
            if is_hit { counts.hits.inc() } else { counts.misses.inc() }
        }
        Ok(self.with(tenant, own?))
    }

    /// What they come to where the shop has set this.
    #[must_use]
    pub fn with(&self, tenant: &TenantCtx, own: Arc<Layer>) -> Settings {
        Settings::new(own, Arc::clone(&tenant.ruled), Arc::clone(&self.environment))
    }

    /// What they come to by what the shop and operators have set, as somebody has just read it.
    #[must_use]
    pub fn of_parts(&self, own: Arc<Layer>, ruled: Ruled) -> Settings {
        Settings::new(own, Arc::new(ruled), Arc::clone(&self.environment))
    }

    /// What those come to that are the platform's to change. They cost nothing.
    #[must_use]
    pub fn platforms(&self, tenant: &TenantCtx) -> Settings {
        self.with(tenant, Arc::default())
    }

    /// Forgets what shops have set that may have changed.
    fn hear(&self, bulletin: Bulletin<'_>) {
        let counts = |counter: &AtomicU64| {
            counter.fetch_add(1, Ordering::AcqRel);
        };
        match bulletin {
            Bulletin::Of(tenant, told) if told.is_about(Topic::Setting) => counts(self.counter(tenant)),
            Bulletin::Of(..) => {}
            Bulletin::Gap => self.changes.iter().for_each(counts),
        }
    }

    fn counter(&self, tenant: TenantId) -> &AtomicU64 {
        &self.changes[usize::from(tenant.0.as_bytes()[15])]
    }
}
