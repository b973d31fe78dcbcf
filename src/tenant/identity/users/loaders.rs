//! Batch loads of users and their roles.

use std::collections::HashMap;
use std::sync::Arc;

use dataloader::BatchFn;

use super::model::User;
use super::repo;
use crate::db::{DbError, TenantSession, batch};
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
        batch::grouped(users, rows, |(user, role)| (UserId(user), role))
    }
}

/// A user by id.
pub struct UserById(pub Arc<TenantSession>);

/// What [`UserById`] answers for an id.
pub type MaybeUser = Result<Option<User>, DbError>;

impl BatchFn<UserId, MaybeUser> for UserById {
    async fn load(&mut self, ids: &[UserId]) -> HashMap<UserId, MaybeUser> {
        let rows = async { repo::user_list_by_id(&self.0.read().await?, ids).await }.await;
        batch::by_key(ids, rows, |user| (user.id, Some(user)))
    }
}
