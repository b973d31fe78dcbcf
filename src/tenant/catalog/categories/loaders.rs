//! Batch loads of categories.

use std::collections::HashMap;
use std::sync::Arc;

use dataloader::BatchFn;

use super::model::Category;
use super::repo;
use crate::db::{DbError, TenantSession};
use crate::kernel::ids::CategoryId;

/// A category by its id.
pub struct CategoryById(pub Arc<TenantSession>);

/// What [`CategoryById`] answers for an id.
pub type MaybeCategory = Result<Option<Arc<Category>>, DbError>;

/// The categories directly within another, in the order of their names.
pub struct CategoriesByParent(pub Arc<TenantSession>);

/// What [`CategoriesByParent`] answers for a parent.
pub type Children = Result<Arc<[Category]>, DbError>;

impl BatchFn<CategoryId, MaybeCategory> for CategoryById {
    async fn load(&mut self, ids: &[CategoryId]) -> HashMap<CategoryId, MaybeCategory> {
        let rows = async { repo::category_list_by_id(&self.0.read().await?, ids).await }.await;
        match rows {
            Ok(rows) => {
                let mut found: HashMap<CategoryId, MaybeCategory> = ids.iter().map(|&id| (id, Ok(None))).collect();
                found.extend(rows.into_iter().map(|category| (category.id, Ok(Some(Arc::new(category))))));
                found
            }
            Err(error) => ids.iter().map(|&id| (id, Err(error.clone()))).collect(),
        }
    }
}

impl BatchFn<CategoryId, Children> for CategoriesByParent {
    async fn load(&mut self, parents: &[CategoryId]) -> HashMap<CategoryId, Children> {
        let rows = async { repo::category_list_by_parent(&self.0.read().await?, parents).await }.await;
        let rows = match rows {
            Ok(rows) => rows,
            Err(error) => return parents.iter().map(|&parent| (parent, Err(error.clone()))).collect(),
        };
        let mut by_parent: HashMap<CategoryId, Vec<Category>> = parents.iter().map(|&id| (id, Vec::new())).collect();
        for category in rows {
            if let Some(parent) = category.parent_id {
                by_parent.entry(CategoryId(parent)).or_default().push(category);
            }
        }
        by_parent.into_iter().map(|(parent, children)| (parent, Ok(children.into()))).collect()
    }
}
