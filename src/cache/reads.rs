//! How one operation reads: through the cache where it may, else in its transaction.

use std::future::Future;
use std::sync::Arc;

use super::Cache;
use super::keys::{Family, Key};
use crate::db::{DbError, TenantRead, TenantSession};

/// What one operation reads with. Services that answer what is cached take this in place of a transaction.
pub struct Reads<'a> {
    session: Arc<TenantSession>,
    cache: Option<&'a Cache>,
}

impl<'a> Reads<'a> {
    /// Reads in a session, through a cache if there is one.
    #[must_use]
    pub fn new(session: Arc<TenantSession>, cache: Option<&'a Cache>) -> Self {
        Self { session, cache }
    }

    /// Whether a cache is asked.
    #[must_use]
    pub fn is_cached(&self) -> bool {
        self.cache.is_some()
    }

    /// The session's reading transaction, for what is not cached.
    ///
    /// # Errors
    /// No connection could be borrowed.
    pub async fn read(&self) -> Result<TenantRead, DbError> {
        self.session.read().await
    }

    /// An answer of the session's tenant: known, or read by `read`.
    ///
    /// # Errors
    /// What `read` answers, or no connection could be borrowed.
    pub async fn get<F: Family, R>(
        &self,
        key: &F::Key,
        read: impl FnOnce(TenantRead) -> R + Send,
    ) -> Result<Arc<F::Value>, DbError>
    where
        R: Future<Output = Result<F::Value, DbError>> + Send,
    {
        match self.cache {
            Some(cache) => cache.get(Key::<F>::new(self.session.tenant(), key), &self.session, read).await,
            None => read(self.session.read().await?).await.map(Arc::new),
        }
    }
}
