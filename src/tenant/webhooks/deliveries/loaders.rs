//! Batch loads of deliveries' attempts.

use std::collections::HashMap;
use std::sync::Arc;

use dataloader::BatchFn;

use super::model::Attempt;
use super::repo;
use crate::db::{DbError, TenantSession, batch};
use crate::kernel::ids::WebhookDeliveryId;

/// Attempts of a delivery that are shown: the newest.
const ATTEMPTS_SHOWN_MAX: i32 = 20;

/// The newest attempts of a delivery.
pub struct AttemptsByDelivery(pub Arc<TenantSession>);

/// What [`AttemptsByDelivery`] answers for a delivery.
pub type Attempts = Result<Arc<[Attempt]>, DbError>;

impl BatchFn<WebhookDeliveryId, Attempts> for AttemptsByDelivery {
    async fn load(&mut self, ids: &[WebhookDeliveryId]) -> HashMap<WebhookDeliveryId, Attempts> {
        let rows = async { repo::attempts_by_delivery(&self.0.read().await?, ids, ATTEMPTS_SHOWN_MAX).await }.await;
        batch::grouped(ids, rows, |attempt| (attempt.delivery_id, attempt))
    }
}
