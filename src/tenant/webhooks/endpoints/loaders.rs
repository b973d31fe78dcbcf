//! Batch loads of endpoints.

use std::collections::HashMap;
use std::sync::Arc;

use dataloader::BatchFn;

use super::model::Endpoint;
use super::repo;
use crate::db::{DbError, TenantSession, batch};
use crate::kernel::ids::WebhookEndpointId;

/// An endpoint by its id.
pub struct EndpointById(pub Arc<TenantSession>);

/// What [`EndpointById`] answers for an id.
pub type MaybeEndpoint = Result<Option<Endpoint>, DbError>;

impl BatchFn<WebhookEndpointId, MaybeEndpoint> for EndpointById {
    async fn load(&mut self, ids: &[WebhookEndpointId]) -> HashMap<WebhookEndpointId, MaybeEndpoint> {
        let rows = async { repo::endpoints_by_id(&self.0.read().await?, ids).await }.await;
        batch::by_key(ids, rows, |endpoint| (endpoint.id, Some(endpoint)))
    }
}

/// How many events and deliveries wait for an endpoint.
pub struct BacklogByEndpoint(pub Arc<TenantSession>);

/// What [`BacklogByEndpoint`] answers for an id.
pub type Backlog = Result<i64, DbError>;

impl BatchFn<WebhookEndpointId, Backlog> for BacklogByEndpoint {
    async fn load(&mut self, ids: &[WebhookEndpointId]) -> HashMap<WebhookEndpointId, Backlog> {
        let rows = async { repo::backlogs(&self.0.read().await?, ids).await }.await;
        batch::by_key(ids, rows, |row| row)
    }
}
