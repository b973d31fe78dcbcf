//! Batch loads of categories.

use std::collections::HashMap;
use std::sync::Arc;

use dataloader::BatchFn;

use super::model::Category;
use super::repo;
use crate::db::{DbError, TenantSession, batch};
use crate::kernel::ids::CategoryId;

/// A category by its id.
pub struct CategoryById(pub Arc<TenantSession>);

/// What [`CategoryById`] answers for an id.
pub type MaybeCategory = Result<Option<Arc<Category>>, DbError>;

impl BatchFn<CategoryId, MaybeCategory> for CategoryById {
    async fn load(&mut self, ids: &[CategoryId]) -> HashMap<CategoryId, MaybeCategory> {
        let rows = async { repo::category_list_by_id(&self.0.read().await?, ids).await }.await;
        batch::by_key(ids, rows, |category| (category.id, Some(Arc::new(category))))
    }
}

/// The categories directly within another, in the order of their names.
pub struct CategoriesByParent(pub Arc<TenantSession>);

/// What [`CategoriesByParent`] answers for a parent.
pub type Children = Result<Arc<[Category]>, DbError>;

impl BatchFn<CategoryId, Children> for CategoriesByParent {
    async fn load(&mut self, parents: &[CategoryId]) -> HashMap<CategoryId, Children> {
        let rows = async { repo::category_list_by_parent(&self.0.read().await?, parents).await }.await;
        batch::grouped(parents, rows, |(parent, category)| (CategoryId(parent), category))
    }
}
