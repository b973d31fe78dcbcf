//! Batch loads of customers.

use std::collections::HashMap;
use std::sync::Arc;

use dataloader::BatchFn;

use super::model::Customer;
use super::repo;
use crate::db::{DbError, TenantSession, batch};
use crate::kernel::ids::CustomerId;

/// A customer by id.
pub struct CustomerById(pub Arc<TenantSession>);

/// What [`CustomerById`] answers for an id.
pub type MaybeCustomer = Result<Option<Arc<Customer>>, DbError>;

impl BatchFn<CustomerId, MaybeCustomer> for CustomerById {
    async fn load(&mut self, ids: &[CustomerId]) -> HashMap<CustomerId, MaybeCustomer> {
        let rows = async { repo::customer_list_by_id(&self.0.read().await?, ids).await }.await;
        batch::by_key(ids, rows, |customer| (customer.id, Some(Arc::new(customer))))
    }
}
