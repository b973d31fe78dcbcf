//! The tree of categories, kept whole.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::model::Category;
use super::repo;
use crate::cache::Reads;
use crate::cache::keys::{Family, Name};
use crate::db::DbError;
use crate::kernel::ids::CategoryId;

/// The most categories of a tree that is kept. Of a larger one each is read when it is asked for.
const TREE_LEN_MAX: usize = 1_000;

/// All categories of a shop, archived ones included, in the order of their names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tree(Vec<Category>);

impl Tree {
    /// A category by its id.
    #[must_use]
    pub fn find(&self, id: CategoryId) -> Option<&Category> {
        self.0.iter().find(|category| category.id == id)
    }

    /// The categories in use directly within another, in the order of their names.
    pub fn within(&self, parent: CategoryId) -> impl Iterator<Item = &Category> {
        self.0.iter().filter(move |category| category.parent_id == Some(parent.0) && category.archived_at.is_none())
    }
}

/// The tree of a shop; nothing where it is too large.
struct Whole;

impl Family for Whole {
    type Key = ();
    type Value = Option<Tree>;
    const NAME: Name = Name::Categories;

    fn number((): &()) -> u128 {
        0
    }

    fn is_nothing(tree: &Option<Tree>) -> bool {
        tree.is_none()
    }

    fn bytes(tree: &Option<Tree>) -> usize {
        let texts = |category: &Category| category.name.len() + category.name_key.len() + 16 * category.path.len();
        let categories = tree.iter().flat_map(|tree| &tree.0);
        size_of::<Option<Tree>>() + categories.map(|category| size_of::<Category>() + texts(category)).sum::<usize>()
    }
}

/// The tree of the shop, where it is kept: nothing where no cache is asked, and where it is too large.
///
/// # Errors
/// The database failed.
pub async fn tree(reads: &Reads<'_>) -> Result<Arc<Option<Tree>>, DbError> {
    if !reads.is_cached() {
        return Ok(Arc::new(None));
    }
    let read = |read| async move {
        let categories = repo::category_list_some(&read, TREE_LEN_MAX + 1).await?;
        Ok((categories.len() <= TREE_LEN_MAX).then_some(Tree(categories)))
    };
    reads.get::<Whole, _>(&(), read).await
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn what_is_written_of_a_tree_is_of_this_format() {
        let (then, id) = (DateTime::from_timestamp_millis(1_767_225_600_123).unwrap(), Uuid::from_u128(7));
        let category = Category {
            id: CategoryId(id),
            name: "Poetry".to_owned(),
            name_key: "poetry".to_owned(),
            parent_id: None,
            path: vec![id],
            version: 1,
            archived_at: None,
            created_at: then,
            updated_at: then,
        };
        let text = serde_json::to_string(&Tree(vec![category.clone()])).unwrap();
        // Whoever changes this counts up the format in `cache::keys`.
        let expected = r#"[{"id":"category_00000000000000000000000007","name":"Poetry","name_key":"poetry","parent_id":null,"path":["00000000-0000-0000-0000-000000000007"],"version":1,"archived_at":null,"created_at":"2026-01-01T00:00:00.123Z","updated_at":"2026-01-01T00:00:00.123Z"}]"#;
        assert_eq!(text, expected);
        assert_eq!(serde_json::from_str::<Tree>(&text).unwrap(), Tree(vec![category]));
    }
}
