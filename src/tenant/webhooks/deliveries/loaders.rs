//! Batch loads of deliveries' attempts.

use std::collections::HashMap;
use std::sync::Arc;

use dataloader::BatchFn;

use super::model::Attempt;
use super::repo;
use crate::db::{DbError, TenantSession};
use crate::kernel::ids::WebhookDeliveryId;

/// Attempts of a delivery that are shown: the newest.
const ATTEMPTS_SHOWN_MAX: i32 = 20;

/// The newest attempts of a delivery.
pub struct AttemptsByDelivery(pub Arc<TenantSession>);

/// What [`AttemptsByDelivery`] answers for a delivery.
pub type Attempts = Result<Arc<Vec<Attempt>>, DbError>;

impl BatchFn<WebhookDeliveryId, Attempts> for AttemptsByDelivery {
    async fn load(&mut self, ids: &[WebhookDeliveryId]) -> HashMap<WebhookDeliveryId, Attempts> {
        let rows = async { repo::attempts_by_delivery(&self.0.read().await?, ids, ATTEMPTS_SHOWN_MAX).await }.await;
        match rows {
            Ok(rows) => {
                let mut found: HashMap<_, Vec<Attempt>> = ids.iter().map(|&id| (id, Vec::new())).collect();
                for attempt in rows {
                    found.entry(attempt.delivery_id).or_default().push(attempt);
                }
                found.into_iter().map(|(id, attempts)| (id, Ok(Arc::new(attempts)))).collect()
            }
            Err(error) => ids.iter().map(|&id| (id, Err(error.clone()))).collect(),
        }
    }
}
