//! Batch loads of API keys.

use std::collections::HashMap;
use std::sync::Arc;

use dataloader::BatchFn;

use super::model::ApiKey;
use super::repo;
use crate::db::{DbError, TenantSession, batch};
use crate::kernel::ids::ApiKeyId;

/// An API key by id, revoked ones too.
pub struct ApiKeyById(pub Arc<TenantSession>);

/// What [`ApiKeyById`] answers for an id.
pub type MaybeApiKey = Result<Option<ApiKey>, DbError>;

impl BatchFn<ApiKeyId, MaybeApiKey> for ApiKeyById {
    async fn load(&mut self, ids: &[ApiKeyId]) -> HashMap<ApiKeyId, MaybeApiKey> {
        let rows = async { repo::api_key_list_by_id(&self.0.read().await?, ids).await }.await;
        batch::by_key(ids, rows, |key| (key.id, Some(key)))
    }
}
