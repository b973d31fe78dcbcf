//! Batch loads of customers.

use std::collections::HashMap;
use std::sync::Arc;

use dataloader::BatchFn;

use super::model::Customer;
use super::repo;
use crate::db::{DbError, TenantSession};
use crate::kernel::ids::CustomerId;

/// A customer by id.
pub struct CustomerById(pub Arc<TenantSession>);

/// What [`CustomerById`] answers for an id.
pub type MaybeCustomer = Result<Option<Arc<Customer>>, DbError>;

impl BatchFn<CustomerId, MaybeCustomer> for CustomerById {
    async fn load(&mut self, ids: &[CustomerId]) -> HashMap<CustomerId, MaybeCustomer> {
        let rows = async { repo::customer_list_by_id(&self.0.read().await?, ids).await }.await;
        match rows {
            Ok(rows) => {
                let mut found: HashMap<CustomerId, MaybeCustomer> = ids.iter().map(|&id| (id, Ok(None))).collect();
                found.extend(rows.into_iter().map(|customer| (customer.id, Ok(Some(Arc::new(customer))))));
                found
            }
            Err(error) => ids.iter().map(|&id| (id, Err(error.clone()))).collect(),
        }
    }
}
