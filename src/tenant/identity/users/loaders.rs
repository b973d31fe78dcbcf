//! Batch loads of users and their roles.

use std::collections::HashMap;
use std::sync::Arc;

use dataloader::BatchFn;

use super::model::User;
use super::repo;
use crate::db::{DbError, TenantSession};
use crate::kernel::ids::UserId;
use crate::tenant::identity::roles::model::RoleRow;
use crate::tenant::identity::roles::repo as roles;

/// The roles of a user, by name.
pub struct RolesByUser(pub Arc<TenantSession>);

/// What [`RolesByUser`] answers for a user.
pub type UserRoles = Result<Arc<[RoleRow]>, DbError>;

impl BatchFn<UserId, UserRoles> for RolesByUser {
    async fn load(&mut self, users: &[UserId]) -> HashMap<UserId, UserRoles> {
        let rows = async { roles::role_list_by_user(&self.0.read().await?, users).await }.await;
        let rows = match rows {
            Ok(rows) => rows,
            Err(error) => return users.iter().map(|&user| (user, Err(error.clone()))).collect(),
        };
        let mut by_user: HashMap<UserId, Vec<RoleRow>> = users.iter().map(|&user| (user, Vec::new())).collect();
        for (user, role) in rows {
            by_user.entry(UserId(user)).or_default().push(role);
        }
        by_user.into_iter().map(|(user, roles)| (user, Ok(roles.into()))).collect()
    }
}

/// A user by id.
pub struct UserById(pub Arc<TenantSession>);

/// What [`UserById`] answers for an id.
pub type MaybeUser = Result<Option<User>, DbError>;

impl BatchFn<UserId, MaybeUser> for UserById {
    async fn load(&mut self, ids: &[UserId]) -> HashMap<UserId, MaybeUser> {
        let rows = async { repo::user_list_by_id(&self.0.read().await?, ids).await }.await;
        match rows {
            Ok(users) => {
                let mut by_id: HashMap<UserId, MaybeUser> = ids.iter().map(|&id| (id, Ok(None))).collect();
                by_id.extend(users.into_iter().map(|user| (user.id, Ok(Some(user)))));
                by_id
            }
            Err(error) => ids.iter().map(|&id| (id, Err(error.clone()))).collect(),
        }
    }
}
